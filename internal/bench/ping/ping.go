// Package ping asks a daemon whether it is ready, with as little work of its own as can be: what asks often must not take the
// processor from what it asks.
package ping

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

var request = []byte("GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")

// Unix asks a daemon's unix socket for /_ping once; nil means that it answered with 200. Where someone listens, it waits for an
// answer until ctx ends: a launcher may listen before the daemon does. It makes the calls itself, which costs the machine less
// than a client of HTTP.
func Unix(ctx context.Context, socket string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, request); err != nil {
		return err
	}
	const slice = 100 * time.Millisecond // to see the context's end
	timeout := unix.NsecToTimeval(int64(slice))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return err
	}
	buf := make([]byte, 512)
	for ctx.Err() == nil {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue
		case err != nil:
			return err
		case bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")):
			return nil
		default:
			return fmt.Errorf("the daemon answered %q", buf[:n])
		}
	}
	return ctx.Err()
}
