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

// source is getrandom(2), which a test replaces.
type source func(b []byte, flags int) (n int, err error)

// Ready tells whether reading waits for nothing.
func Ready() bool {
	return !errors.Is(source(unix.Getrandom).fill(make([]byte, 1), unix.GRND_NONBLOCK), unix.EAGAIN)
}

// Read fills b. It waits for the seed for no longer than Limit; the error is then ErrUnseeded.
func Read(b []byte) error {
	if err := Wait(context.Background()); err != nil {
		return err
	}
	return source(unix.Getrandom).fill(b, 0)
}

// Wait waits for the seed until ctx ends, whose cause is then the error, and for no longer than Limit, with ErrUnseeded.
func Wait(ctx context.Context) error { return source(unix.Getrandom).wait(ctx) }

func (s source) wait(ctx context.Context) error {
	err := s.fill(make([]byte, 1), unix.GRND_NONBLOCK)
	if !errors.Is(err, unix.EAGAIN) {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Limit, ErrUnseeded)
	defer cancel()
	seeded := make(chan error, 1)
	go func() {
		defer func() {
			if caught := recover(); caught != nil {
				seeded <- fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
			}
		}()
		// Only while somebody waits in it does the kernel make entropy of its own (try_to_generate_entropy in drivers/char/random.c).
		seeded <- s.fill(make([]byte, 1), 0)
	}()
	select {
	case err := <-seeded:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s source) fill(b []byte, flags int) error {
	for n := 0; n < len(b); {
		got, err := s(b[n:], flags)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("getrandom: %w", err)
		}
		n += max(got, 0)
	}
	return nil
}
