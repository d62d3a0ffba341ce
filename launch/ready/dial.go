package ready

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// retryPause is how long a full backlog is given before the next try; connect(2) on a unix socket does not wait for room
// where the socket does not block (EAGAIN).
const retryPause = 5 * time.Millisecond

// Dial connects to the daemon. The file's reads and writes wait for the peer, and end with an error that is ctx's when ctx
// ends; release frees what watches for that, and is called before the file is closed. Errors are an *Error.
func Dial(ctx context.Context, t Target) (conn *os.File, release func(), err error) {
	family, addr := t.sockaddr()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &Error{Kind: Failed, Target: t, Err: fmt.Errorf("making a socket: %w", err)}
	}
	if err := connect(ctx, fd, addr); err != nil {
		return nil, nil, &Error{Kind: kindOf(err), Target: t, Err: fmt.Errorf("connecting: %w", errors.Join(err, unix.Close(fd)))}
	}
	// A descriptor that does not block is watched by Go's poller, which gives it deadlines.
	conn = os.NewFile(uintptr(fd), t.String())
	stop := context.AfterFunc(ctx, func() {
		// It fails only on a file that is closed already.
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	return conn, func() { stop() }, nil
}

func connect(ctx context.Context, fd int, addr unix.Sockaddr) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := unix.Connect(fd, addr)
		switch err {
		case nil, unix.EISCONN:
			return nil
		case unix.EAGAIN:
			if err := sleep(ctx, retryPause); err != nil {
				return fmt.Errorf("%w (its backlog is full)", err)
			}
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
			return established(ctx, fd)
		default:
			return err
		}
	}
}

// established waits until a connection over TCP stands or has failed.
func established(ctx context.Context, fd int) error {
	for {
		// Short, so that an end of ctx is seen soon: nothing else wakes the poll.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 20)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("poll: %w", err)
		}
		if n > 0 {
			code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err != nil {
				return fmt.Errorf("asking for the socket's error: %w", err)
			}
			if code != 0 {
				return unix.Errno(code)
			}
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// sleep waits, or until ctx ends, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// kindOf sorts an error of a connection.
func kindOf(err error) Kind {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, unix.ETIMEDOUT),
		errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return NobodyListens
	case errors.Is(err, fs.ErrPermission):
		return Denied
	}
	return Failed
}
