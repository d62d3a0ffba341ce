// Package smallfile reads files whole: those of /proc and /sys, of which a start reads dozens, and small ones in /etc.
//
// Package os has its poller watch each file that it opens, which takes up to seven system calls beside the reading, and where
// the file can be polled, as many in /proc, a thread is woken that waits for such. Here a file is opened, read and closed. What
// makes readers wait, a pipe or a terminal, holds up a whole thread, as the opening of one does with package os too.
package smallfile

import (
	"io/fs"
	"math"

	"golang.org/x/sys/unix"
)

// Read returns a file's content. The error is a *fs.PathError, as with os.ReadFile.
func Read(path string) ([]byte, error) { return ReadMost(path, math.MaxInt) }

// ReadMost returns a file's content, but no more than its first bytes, as many as most says.
func ReadMost(path string, most int) ([]byte, error) {
	fd, err := open(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // nothing was written that could be lost
	var part [4096]byte  // on the stack; files of /proc give no more than a page at a time
	var data []byte
	for len(data) < most {
		n, err := unix.Read(fd, part[:min(len(part), most-len(data))])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return data, nil
		default:
			data = append(data, part[:n]...)
		}
	}
	return data, nil
}

func open(path string) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != unix.EINTR {
			return fd, err
		}
	}
}
