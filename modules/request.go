package modules

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLongName is returned by Request for a name that does not fit the kernel's request.
var ErrLongName = errors.New("longer than the 15 bytes of an interface's name")

// Request makes the kernel load a module on its own, with its own modprobe and in the initial namespaces: where a
// container has no modules, the host often does. It asks for the index of a network interface of that name, and the
// kernel, finding none, requests the module netdev-NAME, and then NAME itself (dev_load in net/core/dev_ioctl.c). It needs
// CAP_SYS_MODULE in the initial user namespace, and answers whether the module came or not: a nil error says only that
// the kernel was asked, so look at Kernel.Has afterwards.
func Request(name string) error {
	if len(name) >= unix.IFNAMSIZ {
		return fmt.Errorf("asking the kernel for module %s: %w", name, ErrLongName)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("asking the kernel for module %s: %w", name, os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("asking the kernel for module %q: %w", name, err)
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
	// ENODEV is the usual answer: there is still no such interface.
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("asking the kernel for module %s: %w", name, os.NewSyscallError("ioctl SIOCGIFINDEX", err))
	}
	return nil
}
