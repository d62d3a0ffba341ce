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

// eventSlice is how long a wait lasts at most: who waits has also other things to look at.
const eventSlice = 20 * time.Millisecond

// news is what the kernel told.
type news struct {
	aliases []string // of new devices
	lost    bool     // there was more than the socket holds
}

// wait waits for a new device, so long at most, and returns all that the kernel has told.
func (e *events) wait(ctx context.Context, limit time.Duration) (n news) {
	if limit = max(limit, time.Millisecond); e == nil {
		select {
		case <-ctx.Done():
		case <-time.After(limit):
		}
		return n
	}
	poll := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, int(limit.Milliseconds())); err != nil {
		return n // interrupted: the caller comes again
	}
	buf := make([]byte, 8<<10)
	for {
		size, from, err := unix.Recvfrom(e.fd, buf, 0)
		switch {
		case err == unix.ENOBUFS:
			n.lost = true
			continue
		case err == unix.EINTR:
			continue
		case err != nil:
			return n // EAGAIN: that was all
		}
		// Other processes may send to the socket, too; the kernel's port is 0 (netlink(7)).
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
			if alias := newDevice(buf[:size]); alias != "" {
				n.aliases = append(n.aliases, alias)
			}
		}
	}
}

// newDevice reads a message, "ACTION@DEVPATH" and KEY=VALUE strings each ended by a zero byte, and returns the modalias of
// the device that it tells of; empty where it tells of no new one, or of one that needs no module.
func newDevice(message []byte) string {
	if !bytes.HasPrefix(message, []byte("add@")) {
		return ""
	}
	for field := range bytes.SplitSeq(message, []byte{0}) {
		if alias, ok := bytes.CutPrefix(field, []byte("MODALIAS=")); ok {
			return string(bytes.TrimSpace(alias))
		}
	}
	return ""
}
