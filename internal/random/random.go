// Package random reads the kernel's random number generator (getrandom(2)), and waits for one that is not seeded yet with a bound.
// A machine without a clock that is fine enough for jitter, without a saved seed and without a device for it would never be.
//
// crypto/rand, with the generator of its own that it has for FIPS 140, would cost the launcher 90 KB.
package random

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Limit bounds the wait for the seed.
const Limit = time.Minute

// ErrUnseeded is the error where the generator was not seeded within Limit.
var ErrUnseeded = errors.New("the kernel's random number generator is not seeded: give this machine a source of randomness, for example virtio-rng")

// Read fills b. It waits for the seed for no longer than Limit; the error is then ErrUnseeded.
func Read(b []byte) error { return read(context.Background(), b, func() {}, unix.Getrandom) }

// Wait waits for the seed until ctx ends, whose cause is then the error, and for no longer than Limit, with ErrUnseeded. Before it
// does so, it calls waiting.
func Wait(ctx context.Context, waiting func()) error {
	return read(ctx, make([]byte, 1), waiting, unix.Getrandom)
}

// read fills b from getrandom(2), which a test replaces.
func read(ctx context.Context, b []byte, waiting func(), getrandom func(b []byte, flags int) (n int, err error)) error {
	fill := func(b []byte, flags int) error {
		for n := 0; n < len(b); {
			got, err := getrandom(b[n:], flags)
			if err != nil && err != unix.EINTR {
				return fmt.Errorf("getrandom: %w", err)
			}
			n += max(got, 0)
		}
		return nil
	}
	err := fill(b, unix.GRND_NONBLOCK)
	if !errors.Is(err, unix.EAGAIN) {
		return err
	}
	waiting()
	seeded := make(chan error, 1)
	go func() {
		// Only while somebody waits in it does the kernel make entropy of its own (try_to_generate_entropy in drivers/char/random.c).
		// What is filled is not the caller's, who may be gone by then. There is nothing in here that panics.
		seeded <- fill(make([]byte, 1), 0)
	}()
	select {
	case err := <-seeded:
		if err != nil {
			return err
		}
		return fill(b, 0)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(Limit):
		return ErrUnseeded
	}
}
