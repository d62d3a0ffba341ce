package machine

import (
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// device is a character device that is opened when it is written to, and again after an error: a console that was hung up, or
// a serial adapter that was pulled, comes back.
type device struct {
	path string
	fd   int
	open bool
}

// write writes a record whole. The device is open in non-blocking mode, through an open file description of its own, so that
// this mode reaches nobody else: stdin, stdout and stderr stay as programs expect them.
func (d *device) write(record []byte, stop <-chan struct{}) error {
	if !d.open {
		// O_NONBLOCK also keeps open(2) from waiting for a modem's carrier.
		fd, err := unix.Open(d.path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: d.path, Err: err}
		}
		d.fd, d.open = fd, true
	}
	err := writeAll(d.fd, record, stop)
	if err != nil {
		unix.Close(d.fd) // what it would say has been said: the write failed
		d.open = false
		return &fs.PathError{Op: "write", Path: d.path, Err: err}
	}
	return nil
}

func writeAll(fd int, data []byte, stop <-chan struct{}) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		switch err {
		case nil:
			data = data[max(n, 0):]
			continue
		case unix.EINTR:
			continue
		case unix.EAGAIN:
		default:
			return err
		}
		select {
		case <-stop:
			return errClosed
		default:
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 500)
		if err != nil && err != unix.EINTR {
			return err
		}
		if ready > 0 {
			// Where another process sits in a write to the same terminal, poll(2) says ready and write(2) says EAGAIN.
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// OpenKmsg makes an outlet to the kernel's log. Nothing is opened before the first record.
func OpenKmsg(path string) *Outlet {
	d := &device{path: path}
	return newOutlet(d.write, func(lost int) string { return Records(Warning, lostNote(lost))[0] })
}

// OpenTerminal makes an outlet to a console.
func OpenTerminal(path string) *Outlet {
	d := &device{path: path}
	return newOutlet(d.write, func(lost int) string { return Lines(lostNote(lost))[0] })
}

func lostNote(lost int) string {
	if lost == 1 {
		return "one line was lost here: the console or the kernel's log took it too slowly"
	}
	return fmt.Sprintf("%d lines were lost here: the console or the kernel's log took them too slowly", lost)
}
