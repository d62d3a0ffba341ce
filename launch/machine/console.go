package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Stdio is what one of the three standard descriptors is.
type Stdio string

const (
	// StdioOpen is a terminal, a pipe or a file.
	StdioOpen Stdio = "open"
	// StdioNull is /dev/null, which the Go runtime opens where the kernel left the descriptor closed (runtime/fds_unix.go). In a
	// tree without /dev/null it ends the program before main, and a PID 1 with it the machine: an initramfs needs the node for
	// machines whose kernel finds no console.
	StdioNull Stdio = "null"
	// StdioClosed is a closed descriptor.
	StdioClosed Stdio = "closed"
)

// ParseConsoles reads /sys/class/tty/console/active: the consoles that the kernel prints to. The last one is what
// /dev/console stands for (Documentation/ABI/testing/sysfs-tty).
func ParseConsoles(text string) []string {
	var names []string
	for _, name := range strings.Fields(text) {
		if !strings.Contains(name, "/") && name != "." && name != ".." {
			names = append(names, name)
		}
	}
	return names
}

// observeStdio looks at a standard descriptor.
func observeStdio(fd int) Stdio {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return StdioClosed
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
		return StdioNull
	}
	return StdioOpen
}

// OpenConsole opens a console as standard input, output and error, each where it is none, as when the kernel said "Warning:
// unable to open an initial console". It takes the first device that can be opened.
type OpenConsole struct {
	Devices []string
}

// String tells what Apply does.
func (c OpenConsole) String() string {
	return "open " + strings.Join(c.Devices, " or ") + " as standard input, output and error"
}

// Apply opens it.
func (c OpenConsole) Apply(ctx context.Context) (kept bool, err error) {
	var missing []int
	for fd := range 3 {
		if observeStdio(fd) != StdioOpen {
			missing = append(missing, fd)
		}
	}
	if len(missing) == 0 {
		return true, nil
	}
	if len(c.Devices) == 0 {
		return false, errors.New("the kernel has no console: nothing can be read or shown but its log (add console=ttyS0 or the like to its command line)")
	}
	var errs []error
	for _, device := range c.Devices {
		err := try(ctx, ioLimit, "opening "+device, func() error { return openStdio(device, missing) })
		if err == nil {
			return false, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(errs...)
}

func openStdio(device string, fds []int) error {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: device, Err: err}
	}
	// Non-blocking was for open(2) alone.
	if err := unix.SetNonblock(fd, false); err != nil {
		return &fs.PathError{Op: "fcntl", Path: device, Err: err}
	}
	for _, to := range fds {
		if to == fd {
			continue
		}
		if err := unix.Dup3(fd, to, 0); err != nil {
			return fmt.Errorf("dup3(%s, %d): %w", device, to, err)
		}
	}
	if fd <= 2 {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		return err
	}
	return unix.Close(fd)
}

// FreeFlow turns software flow control (IXON) off on a console: noise on a serial line that looks like Ctrl-S, or somebody
// who presses it and leaves, would stop every program that writes there for good. Hardware flow control stays as console=
// says.
type FreeFlow struct {
	Device string
}

// String tells what Apply does.
func (f FreeFlow) String() string {
	return "let nothing that arrives on " + f.Device + " stop its output"
}

// Apply sets the terminal.
func (f FreeFlow) Apply(ctx context.Context) (kept bool, err error) {
	return within(ctx, ioLimit, "setting "+f.Device, f.set)
}

func (f FreeFlow) set() (kept bool, err error) {
	fd, err := unix.Open(f.Device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, &fs.PathError{Op: "open", Path: f.Device, Err: err}
	}
	defer unix.Close(fd)
	termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return false, &fs.PathError{Op: "TCGETS", Path: f.Device, Err: err}
	}
	if termios.Iflag&unix.IXON == 0 {
		return true, nil
	}
	// Turning it off also starts what was stopped: n_tty_set_termios in drivers/tty/n_tty.c.
	termios.Iflag &^= unix.IXON
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, termios); err != nil {
		return false, &fs.PathError{Op: "TCSETS", Path: f.Device, Err: err}
	}
	return false, nil
}

// ConsoleDevices lists the devices to open as console, the best first: the last one that the kernel prints to, and /dev/console,
// which stands for it where it has no node of its own.
func ConsoleDevices(consoles []string) []string {
	if len(consoles) == 0 {
		return nil
	}
	return []string{filepath.Join("/dev", consoles[len(consoles)-1]), "/dev/console"}
}

// ConsoleDevice is the first of the devices that is there, or "".
func ConsoleDevice(devices []string) string {
	for _, device := range devices {
		if st, err := os.Stat(device); err == nil && st.Mode()&fs.ModeCharDevice != 0 {
			return device
		}
	}
	return ""
}
