package modules

import (
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readText is readBytes as text.
func readText(path string, mapped bool) (string, error) {
	data, err := readBytes(path, mapped)
	return textOf(data), err
}

// textOf is bytes that do not change while the text is used.
func textOf(data []byte) string { return unsafe.String(unsafe.SliceData(data), len(data)) }

// readBytes reads a whole file, or maps it; what is mapped cannot be written to. It goes past package os because that asks
// epoll(7) about every file that it opens, which for a handful of small files is most of the work.
func readBytes(path string, mapped bool) ([]byte, error) {
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
	var data []byte
	if mapped && st.Size > 0 && st.Mode&unix.S_IFMT == unix.S_IFREG {
		// A filesystem that cannot map is read.
		if data, err = unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE); err == nil {
			return data, nil // mapped to the end of the program
		}
	}
	data = make([]byte, 0, max(st.Size+1, 4<<10)) // files of /proc say that they are empty
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
