package rtnl

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Watcher tells of changes of the interfaces. The kernel's messages themselves are not handed on: some are lost when many
// come at once, and who lists the interfaces at each sign of a change misses none. As a file that does not block the socket waits in
// Go's poller, and Close ends a read.
type Watcher struct{ socket *os.File }

// NewWatcher begins to watch: changes from now on are told of.
func NewWatcher() (*Watcher, error) {
	socket, err := open(unix.RTMGRP_LINK, unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, &Error{"watch the network interfaces", err}
	}
	return &Watcher{os.NewFile(uintptr(socket), "netlink")}, nil
}

// Next waits until something has changed since it returned last, or ctx ends, whose cause it returns then.
func (w *Watcher) Next(ctx context.Context) error {
	// Closing the socket ends the read; that it was closed already is no matter.
	stop := context.AfterFunc(ctx, w.Close)
	defer stop()
	_, err := w.socket.Read(make([]byte, unix.SizeofNlMsghdr)) // what does not fit is dropped
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil, errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR):
		return nil // ENOBUFS: messages were lost, which is a change as well
	case errors.Is(err, os.ErrClosed):
		return &Error{"watch the network interfaces", os.ErrClosed}
	}
	return &Error{"watch the network interfaces", err}
}

// Close ends the watching.
func (w *Watcher) Close() { _ = w.socket.Close() } // nothing is lost where that fails
