package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ioctls of include/uapi/linux/watchdog.h, with the numbers of all of Go's Linux ports but mips and ppc64.
const (
	wdiocKeepAlive  = 0x80045705
	wdiocSetTimeout = 0xc0045706
	wdiocGetTimeout = 0x80045707
)

// Watchdog resets the machine when it is no longer fed (Documentation/watchdog/watchdog-api.rst). It stays armed when the
// machine reboots or powers off: a shutdown that hangs ends by it.
type Watchdog struct {
	path    string
	fd      int
	timeout time.Duration
}

// OpenWatchdog arms a watchdog, such as /dev/watchdog. The timeout, in whole seconds, is what the device makes of the one that
// is asked for; a device that cannot change its own keeps it.
func OpenWatchdog(path string, timeout time.Duration) (*Watchdog, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the watchdog (is its module loaded, and nobody else feeding it?): %w", &fs.PathError{Op: "open", Path: path, Err: err})
	}
	w := &Watchdog{path: path, fd: fd}
	seconds := int32(max(1, timeout/time.Second))
	if err := w.ioctl(wdiocSetTimeout, &seconds); err != nil && err != unix.EOPNOTSUPP && err != unix.ENOTTY && err != unix.EINVAL {
		return nil, errors.Join(&fs.PathError{Op: "WDIOC_SETTIMEOUT", Path: path, Err: err}, w.Close())
	}
	if err := w.ioctl(wdiocGetTimeout, &seconds); err != nil || seconds < 1 {
		seconds = 1 // one that does not tell is fed three times a second
	}
	w.timeout = time.Duration(seconds) * time.Second
	return w, nil
}

// Timeout is how long the machine lives after the last feeding.
func (w *Watchdog) Timeout() time.Duration { return w.timeout }

// Run feeds the watchdog every third of its timeout until ctx ends, and leaves it armed then. failed hears of a feeding that
// the device refused.
func (w *Watchdog) Run(ctx context.Context, failed func(error)) {
	defer func() {
		if caught := recover(); caught != nil {
			failed(fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught))
		}
	}()
	ticker := time.NewTicker(w.timeout / 3)
	defer ticker.Stop()
	for {
		if err := w.ioctl(wdiocKeepAlive, new(int32)); err != nil {
			failed(&fs.PathError{Op: "WDIOC_KEEPALIVE", Path: w.path, Err: err})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close disarms the watchdog by the letter V, the magic close, unless the driver was told to know no way out (nowayout).
func (w *Watchdog) Close() error {
	_, err := unix.Write(w.fd, []byte("V"))
	if err := errors.Join(err, unix.Close(w.fd)); err != nil {
		return fmt.Errorf("closing the watchdog %s (the machine may be reset in %v): %w", w.path, w.timeout, err)
	}
	return nil
}

func (w *Watchdog) ioctl(request uintptr, value *int32) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), request, uintptr(unsafe.Pointer(value))); errno != 0 {
		return errno
	}
	return nil
}
