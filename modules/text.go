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

// readBytes reads a whole file. It goes past package os because that asks
// epoll(7) about every file that it opens, which for a handful of small files is most of the work.
func readBytes(path string) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) { return nil, &fs.PathError{Op: op, Path: path, Err: err} }
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail("stat", err)
	}
	if st.Size > maxText {
		return fail("read", unix.EFBIG)
	}
	data := make([]byte, 0, max(st.Size+1, 4<<10)) // files of /proc say that they are empty
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
		if data = data[:len(data)+n]; len(data) > maxText {
			return fail("read", unix.EFBIG)
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
