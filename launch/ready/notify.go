package ready

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// NotifyVar is the environment variable with the address that a supervisor hears messages at (sd_notify(3)).
	NotifyVar = "NOTIFY_SOCKET"

	// StateReady and StateStopping are the states that dockerd sends too.
	StateReady    = "READY=1"
	StateStopping = "STOPPING=1"
)

// notifyLimit bounds how long a supervisor that does not read may hold Notify up.
const notifyLimit = 2 * time.Second

// maxNotify bounds a message. sd_notify(3) has no limit; systemd reads one page.
const maxNotify = 4096

// Notify sends a state, lines such as READY=1, to the address out of NOTIFY_SOCKET: a path, or an abstract name behind an @.
// An empty address is nobody who wants to know, and no error.
func Notify(addr, state string) error {
	if addr == "" {
		return nil
	}
	if addr[0] != '/' && addr[0] != '@' {
		return fmt.Errorf("%s=%.200q: it is neither a path nor an abstract name behind an @", NotifyVar, addr)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("making a socket to notify the supervisor with: %w", err)
	}
	defer unix.Close(fd)
	ctx, cancel := context.WithTimeout(context.Background(), notifyLimit)
	defer cancel()
	for {
		err := unix.Sendto(fd, []byte(state), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: addr})
		if err == unix.EAGAIN || err == unix.EINTR {
			if err = sleep(ctx, retryPause); err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("telling %q to the supervisor at %s: %w", state, addr, err)
		}
		return nil
	}
}

// Event is a message of a service.
type Event struct {
	// PID and UID of the sender, as the kernel knows them here.
	PID, UID int
	// Ready and Stopping tell that the message says so; Status is what it says in words.
	Ready, Stopping bool
	Status          string
}

// Receiver hears what a service says by sd_notify(3).
type Receiver struct {
	file   *os.File
	path   string
	events chan Event
	closed atomic.Bool
	done   chan struct{}
	err    error
}

// Listen makes a socket that a service can send its state to: at a path whose folder is there, or, where path is empty, at
// an abstract name that the kernel picks. An abstract name is known in the whole network namespace, and messages of other
// users than this process's own are dropped. A socket that an earlier run left at the path is replaced.
func Listen(path string) (*Receiver, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket for the service's state: %w", err)
	}
	if err := listen(fd, path); err != nil {
		return nil, fmt.Errorf("listening at %q for the service's state: %w", path, errors.Join(err, unix.Close(fd)))
	}
	r := &Receiver{file: os.NewFile(uintptr(fd), "notify"), path: path, events: make(chan Event, 16), done: make(chan struct{})}
	if path == "" {
		name, err := unix.Getsockname(fd)
		if err != nil {
			return nil, fmt.Errorf("asking for the name of the socket for the service's state: %w", errors.Join(err, r.file.Close()))
		}
		r.path = name.(*unix.SockaddrUnix).Name
	}
	go r.run()
	return r, nil
}

func listen(fd int, path string) error {
	if path != "" && (!filepath.IsAbs(path) || len(path) > maxSocketPath) {
		return fmt.Errorf("it has to be an absolute path of at most %d bytes", maxSocketPath)
	}
	if path != "" {
		if err := removeSocket(path); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return fmt.Errorf("setting SO_PASSCRED: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if path == "" {
		return nil
	}
	return unix.Chmod(path, 0o600)
}

// removeSocket removes a socket that is left over, and nothing else.
func removeSocket(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("something else is there (%s)", st.Mode())
	}
	return os.Remove(path)
}

// Addr is what the service needs to have in NOTIFY_SOCKET.
func (r *Receiver) Addr() string { return r.path }

// Events returns the channel of what the service says. Who does not read loses the oldest messages first, never a Ready or
// Stopping for good: they are put together with what comes next. It is closed after Close.
func (r *Receiver) Events() <-chan Event { return r.events }

// Close ends the receiver and returns what had ended it before, where something had.
func (r *Receiver) Close() error {
	r.closed.Store(true)
	err := r.file.Close()
	<-r.done
	if r.path != "" && r.path[0] == '/' {
		err = errors.Join(err, removeSocket(r.path))
	}
	return errors.Join(err, r.err)
}

func (r *Receiver) run() {
	defer close(r.done)
	defer close(r.events)
	defer func() {
		if caught := recover(); caught != nil {
			r.err = fmt.Errorf("a mistake in the receiver of the service's state, please report it: %v", caught)
		}
	}()
	raw, err := r.file.SyscallConn()
	if err != nil {
		r.err = err
		return
	}
	for {
		var e Event
		var ok bool
		var readErr error
		err := raw.Read(func(fd uintptr) bool {
			e, ok, readErr = receive(int(fd))
			return readErr != unix.EAGAIN && readErr != unix.EINTR
		})
		if r.closed.Load() {
			return
		}
		if err = errors.Join(err, readErr); err != nil {
			r.err = fmt.Errorf("reading the service's state at %s: %w", r.path, err)
			return
		}
		if ok && e.UID == os.Geteuid() {
			r.deliver(e)
		}
	}
}

// deliver hands an event over. Only run calls it, so that what is taken out of the full channel makes room for one.
func (r *Receiver) deliver(e Event) {
	for {
		select {
		case r.events <- e:
			return
		default:
		}
		select {
		case old := <-r.events:
			e.Ready, e.Stopping = e.Ready || old.Ready, e.Stopping || old.Stopping
		default:
		}
	}
}

// receive reads one message. Descriptors that come with it (FDSTORE=1, BARRIER=1) are closed, which is also the answer
// that a barrier waits for.
func receive(fd int) (e Event, ok bool, err error) {
	buf := make([]byte, maxNotify)
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(64*4))
	n, controlLen, _, _, err := unix.Recvmsg(fd, buf, control, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return e, false, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlLen])
	if err != nil {
		return e, false, nil // the kernel's own form: nothing that a sender can bring about
	}
	for _, m := range messages {
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			e.PID, e.UID, ok = int(cred.Pid), int(cred.Uid), true
		}
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range fds {
				_ = unix.Close(fd) // nobody has written to it
			}
		}
	}
	e.parse(string(buf[:n]))
	return e, ok, nil
}

// parse reads the lines of a message; those that are of no concern here are passed over.
func (e *Event) parse(message string) {
	for line := range strings.Lines(message) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == StateReady:
			e.Ready = true
		case line == StateStopping:
			e.Stopping = true
		default:
			if status, ok := strings.CutPrefix(line, "STATUS="); ok {
				e.Status = status
			}
		}
	}
}
