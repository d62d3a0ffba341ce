package certs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// random fills b from the kernel's generator, and waits until that is seeded (getrandom(2)). crypto/rand, with the generator
// of its own that it has for FIPS 140, would cost the launcher 90 KB.
func random(b []byte) (n int, err error) {
	for n < len(b) {
		got, err := unix.Getrandom(b[n:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return n, fmt.Errorf("getrandom: %w", err)
		}
		n += max(got, 0)
	}
	return n, nil
}
