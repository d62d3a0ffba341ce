package modules

import (
	"bytes"
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// events is the kernel's broadcast of new devices (netlink(7), NETLINK_KOBJECT_UEVENT).
type events struct{ fd int }

func listenEvents() (*events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	const kernelGroup = 1
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &events{fd}, nil
}

func (e *events) close() {
	if e != nil {
		unix.Close(e.fd)
	}
}

// wait reports whether there may be a new device with a modalias. It returns false when none appeared for the time of
// quiet, and at the context's end.
func (e *events) wait(ctx context.Context, quiet time.Duration) bool {
	end := time.Now().Add(quiet)
	buf := make([]byte, 8<<10)
	for ctx.Err() == nil {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		slice := min(left, 50*time.Millisecond) // to see the context's end
		if e == nil {
			time.Sleep(slice)
			continue
		}
		poll := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, int(slice.Milliseconds())+1); err != nil && err != unix.EINTR {
			time.Sleep(slice)
			continue
		}
		for {
			n, _, err := unix.Recvfrom(e.fd, buf, 0)
			if err == unix.ENOBUFS {
				return true // more events than the socket holds: something happened
			}
			if err != nil {
				break
			}
			if newDevice(buf[:n]) {
				return true
			}
		}
	}
	return false
}

// newDevice tells whether a message, "ACTION@DEVPATH" and KEY=VALUE strings each ended by a zero byte, tells of a device
// that a module may drive.
func newDevice(message []byte) bool {
	return bytes.HasPrefix(message, []byte("add@")) && bytes.Contains(message, []byte("\x00MODALIAS="))
}
