package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits until no other process holds the file's lock, and holds it until the file is closed. See flock(2).
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening a lock: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return f, nil
}

// ErrInUse tells that somebody runs on the tree, which is then left as it is.
var ErrInUse = errors.New("something runs on it, `make run` for example: stop that first")

// lockTree locks the folder of a tree that is about to be replaced. Whoever runs on a tree holds a shared lock on its folder:
// as the lower layer of an overlay in another mount namespace it shows in no mount table here. A tree that is not there
// yet needs no lock.
func lockTree(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the tree: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	return nil, fmt.Errorf("replacing %s: %w", dir, err)
}
