package mounts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// copyFile copies a regular file and removes it. It works from the end to the beginning, so that what is copied can be cut off.
func (t *treeCopy) copyFile(n *node, buf []byte) (err error) {
	from, to := filepath.Join(t.from, n.rel), filepath.Join(t.to, n.rel)
	mode, shrink := unix.O_RDONLY, t.shrink && !n.busy && n.st.Size > pieceSize
	if shrink {
		mode = unix.O_RDWR
	}
	source, err := os.OpenFile(from, mode|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer source.Close() // it was only read, or is removed
	goal, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, goal.Close()) }()
	if err := goal.Truncate(n.st.Size); err != nil {
		return err
	}
	var bytes uint64
	for end := n.st.Size; end > 0; {
		begin := (end - 1) / pieceSize * pieceSize
		copied, err := copyPiece(source, goal, begin, end, buf)
		if err != nil {
			return err
		}
		bytes += copied
		if shrink {
			if err := source.Truncate(begin); err != nil {
				return err
			}
		}
		end = begin
	}
	if err := t.attributes(n, to); err != nil {
		return err
	}
	t.mu.Lock()
	t.bytes += bytes
	t.mu.Unlock()
	return t.remove(n)
}

// copyPiece copies what of a range is not a hole.
func copyPiece(source, goal *os.File, begin, end int64, buf []byte) (bytes uint64, err error) {
	for begin < end {
		data, hole, err := nextData(source, begin, end)
		if err != nil {
			return bytes, err
		}
		for at := data; at < hole; {
			n, err := source.ReadAt(buf[:min(int64(len(buf)), hole-at)], at)
			if n == 0 && err != nil {
				if errors.Is(err, io.EOF) {
					return bytes, fmt.Errorf("%s: %w: it became shorter while it was copied", source.Name(), io.ErrUnexpectedEOF)
				}
				return bytes, err
			}
			if _, err := goal.WriteAt(buf[:n], at); err != nil {
				return bytes, err
			}
			at += int64(n)
			bytes += uint64(n)
		}
		begin = hole
	}
	return bytes, nil
}

// nextData gives the first range with data in it between begin and end, an empty one at end if there is none.
func nextData(f *os.File, begin, end int64) (data, hole int64, err error) {
	data, err = f.Seek(begin, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return end, end, nil
	case errors.Is(err, unix.EINVAL): // the filesystem does not tell
		return begin, end, nil
	case err != nil:
		return 0, 0, err
	case data >= end:
		return end, end, nil
	}
	if hole, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
		return 0, 0, err
	}
	return data, min(hole, end), nil
}

// attributes gives the copy owner, mode, extended attributes and times, in this order: a change of owner takes capabilities
// and the setuid bit away, and any change sets the time.
func (t *treeCopy) attributes(n *node, to string) error {
	if err := os.Lchown(to, int(n.st.Uid), int(n.st.Gid)); err != nil {
		return err
	}
	if n.st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(to, n.st.Mode&0o7777); err != nil {
			return &os.PathError{Op: "chmod", Path: to, Err: err}
		}
	}
	t.xattrs(n, to)
	times := []unix.Timespec{n.st.Atim, n.st.Mtim}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: to, Err: err}
	}
	return nil
}

// xattrs copies the extended attributes, see xattr(7). One that is not taken does not stop the move: the machine boots
// without it, and the report names it.
func (t *treeCopy) xattrs(n *node, to string) {
	from := filepath.Join(t.from, n.rel)
	size, err := unix.Llistxattr(from, nil)
	if err != nil || size == 0 {
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			t.lose(n.rel, "the list of extended attributes", err)
		}
		return
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(from, list); err != nil {
		t.lose(n.rel, "the list of extended attributes", err)
		return
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:size]), "\x00"), "\x00") {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		size, err := unix.Lgetxattr(from, name, value)
		if err == nil {
			err = unix.Lsetxattr(to, name, value[:size], 0)
		}
		if err != nil {
			t.lose(n.rel, name, err)
		}
	}
}
