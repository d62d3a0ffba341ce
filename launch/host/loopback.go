package host

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// loopbackUp asks the kernel for the state of lo. A kernel without networking has none; that is not an error here but a
// fact, which dockerd itself will complain of.
func loopbackUp() (bool, error) {
	link, err := netlink.LinkByName("lo")
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EPROTONOSUPPORT):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("asking netlink for lo: %w", err)
	}
	return link.Attrs().RawFlags&unix.IFF_UP != 0, nil
}
