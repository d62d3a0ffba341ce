package ready

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where dockerd listens by default, and clients ask.
const DefaultSocket = "/run/docker.sock"

// maxSocketPath is the longest path that fits into sun_path with its final zero byte (unix(7)).
const maxSocketPath = 107

// Target is an address of the daemon's API: a unix socket, or TCP in the clear.
type Target struct {
	// Socket is a unix socket's path, or its abstract name behind an @.
	Socket string
	// Addr is an address of TCP, where Socket is empty.
	Addr netip.AddrPort
}

// ParseTarget reads an address in the form of DOCKER_HOST: unix:///run/docker.sock, a plain path, tcp://127.0.0.1:2375 or
// tcp://localhost:2375. Empty means DefaultSocket. Names but localhost are not looked up, and TLS is not spoken: a daemon
// that has nothing but TLS is asked through its unix socket.
func ParseTarget(text string) (Target, error) {
	fail := func(why string) (Target, error) {
		return Target{}, fmt.Errorf("the daemon's address %.200q: %s", text, why)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return Target{Socket: DefaultSocket}, nil
	case strings.HasPrefix(text, "/"):
		scheme, rest = "unix", text
	case !ok:
		return fail("it is of the form unix:///run/docker.sock or tcp://127.0.0.1:2375")
	}
	switch scheme {
	case "unix":
		switch {
		case rest == "":
			return Target{Socket: DefaultSocket}, nil
		case strings.IndexByte(rest, 0) >= 0:
			return fail("it holds a zero byte")
		case len(rest) > maxSocketPath:
			return fail(fmt.Sprintf("a unix socket's path has at most %d bytes, and this one has %d", maxSocketPath, len(rest)))
		case rest[0] != '@' && !filepath.IsAbs(rest):
			return fail("the socket's path has to begin with /")
		}
		return Target{Socket: rest}, nil
	case "tcp", "http":
		rest = strings.TrimSuffix(rest, "/")
		if port, ok := strings.CutPrefix(rest, "localhost:"); ok {
			rest = "127.0.0.1:" + port
		} else if strings.HasPrefix(rest, ":") {
			rest = "127.0.0.1" + rest
		}
		addr, err := netip.ParseAddrPort(rest)
		if err != nil || addr.Port() == 0 {
			return fail("tcp takes an IP address or localhost, and a port; names are not looked up here")
		}
		if addr.Addr().Zone() != "" {
			return fail("an address with a zone cannot be asked here")
		}
		return Target{Addr: addr}, nil
	case "https":
		return fail("TLS is not spoken here: ask the daemon's unix socket")
	}
	return fail("only unix and tcp can be asked")
}

// String writes the target as ParseTarget reads it.
func (t Target) String() string {
	if t.Socket != "" {
		return "unix://" + t.Socket
	}
	return "tcp://" + t.Addr.String()
}

// sockaddr returns the address for connect(2), and the family of its socket.
func (t Target) sockaddr() (int, unix.Sockaddr) {
	switch {
	case t.Socket != "":
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: t.Socket}
	case t.Addr.Addr().Unmap().Is4():
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(t.Addr.Port()), Addr: t.Addr.Addr().Unmap().As4()}
	default:
		return unix.AF_INET6, &unix.SockaddrInet6{Port: int(t.Addr.Port()), Addr: t.Addr.Addr().As16()}
	}
}
