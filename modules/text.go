package modules

import (
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readText is readBytes as text.
func readText(path string) (string, error) {
	data, err := readBytes(path)
	return textOf(data), err
}

// textOf is bytes that do not change while the text is used.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }

// openRegular opens a file for reading, and waits for nobody who might write. It goes past package os because that asks
// epoll(7) about every file that it opens, which for a handful of small files is most of the work.
func openRegular(path string) (fd int, size int64, err error) {
	fd, err = retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	})
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = ErrNotRegular
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, st.Size, nil
}

// readBytes reads a whole file of at most maxText bytes.
func readBytes(path string) ([]byte, error) { return readMost(path, maxText, unix.EFBIG) }

// readMost reads a whole file of at most so many bytes.
func readMost(path string, most int, tooLarge error) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) { return nil, &fs.PathError{Op: op, Path: path, Err: err} }
	fd, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if size > int64(most) {
		return fail("read", tooLarge)
	}
	data := make([]byte, 0, max(size+1, 4<<10)) // files of /proc say that they are empty
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return fail("read", err)
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; len(data) > most {
			return fail("read", tooLarge)
		}
	}
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
