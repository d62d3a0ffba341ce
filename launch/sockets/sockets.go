// Package sockets opens the sockets of the Docker API before the daemon is there, to be handed on to it as systemd does
// (sd_listen_fds(3)): who comes early waits until the daemon answers, instead of being refused, and finds it again after
// it was started anew.
package sockets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"golang.org/x/sys/unix"
)

// Socket is one address of the API.
type Socket struct {
	// Host is the address as dockerd's --host has it: unix:///var/run/docker.sock, tcp://0.0.0.0:2376.
	Host string `json:"host"`
	// Group owns a unix socket beside root, by name or number: dockerd's --group.
	Group string `json:"group,omitempty"`
	// Groups is what to read in place of /etc/group where that is missing, as it is about to be made.
	Groups string `json:"-"`
}

// InUseError tells that somebody answers at an address already.
type InUseError struct{ Host string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("somebody listens at %s already: stop that daemon, or give this one another --host", e.Host)
}

// backlog is as long as the kernel allows; it cuts it to net.core.somaxconn (listen(2)).
const backlog = 4096

// Parse tells whether an address is one that can be opened here, and splits it.
func (s Socket) Parse() (path string, addr netip.AddrPort, err error) {
	if path, ok := strings.CutPrefix(s.Host, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", addr, fmt.Errorf("socket %s: the path is to begin with /", s.Host)
		}
		// sun_path has 108 bytes with its end (unix(7)).
		if len(path) > 107 {
			return "", addr, fmt.Errorf("socket %s: the path is longer than 107 bytes", s.Host)
		}
		return path, addr, nil
	}
	text, ok := strings.CutPrefix(s.Host, "tcp://")
	if !ok {
		return "", addr, fmt.Errorf("socket %s: it is neither unix:// nor tcp://", s.Host)
	}
	if addr, err = netip.ParseAddrPort(text); err != nil {
		return "", addr, fmt.Errorf("socket %s: %w", s.Host, err)
	}
	return "", addr, nil
}

// Open makes the socket and listens. Its descriptor is closed on exec.
func (s Socket) Open() (fd int, err error) {
	path, addr, err := s.Parse()
	if err != nil {
		return -1, err
	}
	if path != "" {
		return s.openUnix(path)
	}
	return s.openTCP(addr)
}

func (s Socket) fail(fd int, op string, err error) (int, error) {
	err = fmt.Errorf("%s for %s: %w", op, s.Host, err)
	if fd >= 0 {
		err = errors.Join(err, unix.Close(fd))
	}
	return -1, err
}

// openUnix does what dockerd does itself (moby's daemon/listeners and go-connections' sockets.NewUnixSocket): a socket of
// mode 0660 that belongs to root and the group; one that nobody listens at any more is replaced.
func (s Socket) openUnix(path string) (int, error) {
	gid, err := s.gid("/etc/group")
	if err != nil {
		return -1, err
	}
	if err := removeStale(path); err != nil {
		return -1, fmt.Errorf("making room for %s: %w", s.Host, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return -1, fmt.Errorf("making the folder of %s: %w", s.Host, err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return s.fail(-1, "socket", err)
	}
	// Nobody may connect before mode and group are right, as with dockerd's umask of 0777. fchmod(2) on the descriptor
	// before bind(2) sets the mode that bind gives the file, without a umask that all threads share.
	if err := unix.Fchmod(fd, 0); err != nil {
		return s.fail(fd, "fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return s.fail(fd, "bind", err)
	}
	if err := os.Chown(path, 0, gid); err != nil {
		return s.fail(fd, "chown", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return s.fail(fd, "chmod", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return s.fail(fd, "listen", err)
	}
	return fd, nil
}

// removeStale removes a socket that nobody listens at, and refuses to touch anything else.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and no socket: move it away, or name another place with --host", path)
	}
	answers, err := Answers(path)
	if err != nil {
		return err
	}
	if answers {
		return &InUseError{Host: "unix://" + path}
	}
	return os.Remove(path)
}

// Answers tells whether somebody listens at a unix socket. Package net, with its resolver, would cost 370 KB for this
// one call.
func Answers(path string) (bool, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false, fmt.Errorf("making a unix socket: %w", err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	// EAGAIN is a listener whose queue is full (unix(7)).
	answers := err == nil || errors.Is(err, unix.EAGAIN)
	if err := unix.Close(fd); err != nil {
		return answers, fmt.Errorf("asking who listens at %s: close: %w", path, err)
	}
	return answers, nil
}

func (s Socket) openTCP(addr netip.AddrPort) (int, error) {
	var to unix.Sockaddr
	family := unix.AF_INET
	if addr.Addr().Is4() {
		to = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	} else {
		family = unix.AF_INET6
		to = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return s.fail(-1, "socket", err)
	}
	// As package net does for dockerd: a port that was in use a moment ago can be had again.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return s.fail(fd, "setsockopt SO_REUSEADDR", err)
	}
	if err := unix.Bind(fd, to); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return -1, errors.Join(&InUseError{Host: s.Host}, unix.Close(fd))
		}
		return s.fail(fd, "bind", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return s.fail(fd, "listen", err)
	}
	return fd, nil
}

// gid looks the group up. The default group "docker" may be missing: then the socket is root's alone, as with dockerd.
func (s Socket) gid(file string) (int, error) {
	if s.Group == "" {
		return 0, nil
	}
	text, err := smallfile.ReadMost(file, 1<<20)
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte(s.Groups), nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking for the group %s: %w", s.Group, err)
	}
	gid, found, err := lookGroup(bytes.NewReader(text), s.Group)
	if err != nil {
		return 0, fmt.Errorf("looking for the group %s in %s: %w", s.Group, file, err)
	}
	if found {
		return gid, nil
	}
	if gid, err := strconv.ParseUint(s.Group, 10, 31); err == nil {
		return int(gid), nil
	}
	if s.Group == DefaultGroup {
		return 0, nil
	}
	return 0, fmt.Errorf("there is no group %s in %s: make it, or name another with --group", s.Group, file)
}

// DefaultGroup is dockerd's --group where none is given.
const DefaultGroup = "docker"

// lookGroup finds a group's number (group(5)).
func lookGroup(r io.Reader, name string) (gid int, found bool, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 || fields[0] != name {
			continue
		}
		n, err := strconv.ParseUint(fields[2], 10, 31)
		if err != nil {
			return 0, false, fmt.Errorf("the group %s has the number %q: %w", name, fields[2], err)
		}
		return int(n), true, nil
	}
	return 0, false, lines.Err()
}
