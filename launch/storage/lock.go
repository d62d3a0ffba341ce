package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockName is the file in a data-root that is locked. It stays there when the lock is gone, and is of no use then.
const LockName = ".dockerlaunch.lock"

// Lock keeps other daemons off a data-root, as two on one corrupt it. It is a lock of flock(2): it goes with the last
// descriptor of the open file, so that none can be left over from a process or machine that is gone. It works between containers
// that share a volume, as they share the file; between machines only where the filesystem passes locks on, as NFS does since
// Linux 2.6.12.
//
// The daemon itself knows nothing of the lock: one that was not started by a launcher is not kept off.
type Lock struct{ f *os.File }

// LockedError says who holds a lock. It matches ErrInUse.
type LockedError struct {
	Path string // of the data-root
	// PID is the holder's in its own PID namespace, Host the host name there: a container's. They are empty where the holder
	// has not said so yet.
	PID   int
	Host  string
	Since time.Time
}

// Error is one line.
func (e *LockedError) Error() string {
	who := "somebody"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d on %s, since %s", e.PID, strconv.Quote(e.Host), e.Since.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the data-root %s is in use by %s; two daemons would corrupt it: stop the other one, or use another data-root", e.Path, who)
}

// Is matches ErrInUse.
func (e *LockedError) Is(target error) bool { return target == ErrInUse }

// LockDataRoot takes the lock, without waiting. The error is a *LockedError where somebody has it, and matches ErrReadOnly
// where the data-root is read-only.
func LockDataRoot(root string) (*Lock, error) {
	path := filepath.Join(root, LockName)
	failed := func(err error) error {
		e := &Error{Op: "lock", Path: path, Err: err, Advice: "make the data-root a folder on a disk or volume of its own"}
		if errors.Is(err, unix.EROFS) {
			e.Kind, e.Detail = ErrReadOnly, "dockerd cannot work on it"
		}
		return e
	}
	// O_NOFOLLOW: containers' data lies here, though not at this level.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, failed(err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(holder(f, root), f.Close())
	case err != nil:
		return nil, errors.Join(failed(err), f.Close())
	}
	l := &Lock{f}
	if err := l.sign(); err != nil {
		return nil, errors.Join(failed(err), f.Close())
	}
	return l, nil
}

// sign writes who holds the lock, for the message of the next.
func (l *Lock) sign() error {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it is for a message only
	}
	text := fmt.Sprintf("%d %d %s\n", os.Getpid(), time.Now().Unix(), host)
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err = l.f.WriteAt([]byte(text), 0)
	return err
}

func holder(f *os.File, root string) *LockedError {
	e := &LockedError{Path: root}
	buf := make([]byte, 512)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return e
	}
	fields := strings.Fields(string(buf[:n]))
	if len(fields) < 2 {
		return e
	}
	pid, err1 := strconv.Atoi(fields[0])
	since, err2 := strconv.ParseInt(fields[1], 10, 64)
	if err1 != nil || err2 != nil || pid <= 0 {
		return e
	}
	e.PID, e.Since = pid, time.Unix(since, 0)
	if len(fields) > 2 {
		e.Host = fields[2]
	}
	return e
}

// Inherit lets programs that this process executes keep the lock, for one that becomes the daemon. The descriptor then
// reaches the daemon's children too, containerd's shims among them, and the lock lasts until the last of them has ended. A
// supervisor should rather keep the lock itself.
func (l *Lock) Inherit() error {
	if _, err := unix.FcntlInt(l.f.Fd(), unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("handing the lock on: %w", err)
	}
	return nil
}

// Unlock gives the lock back. Where a program inherited it, that goes on holding it.
func (l *Lock) Unlock() error { return l.f.Close() }
