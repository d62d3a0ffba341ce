package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// loopbackUp asks the kernel for the state of lo (netdevice(7)). A kernel without networking has none; that is not an error
// here but a fact, which dockerd itself will complain of.
func loopbackUp() (up bool, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("making a socket to ask for lo: %w", err)
	}
	defer unix.Close(fd) // the answer is in by then
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return false, fmt.Errorf("asking for lo: %w", err)
	}
	switch err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); {
	case errors.Is(err, unix.ENODEV):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("asking for the flags of lo: %w", err)
	}
	return lo.Uint16()&unix.IFF_UP != 0, nil
}
