package sockets

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// accept answers the clients of a listening descriptor, as the daemon would.
func accept(t *testing.T, fd int) {
	t.Helper()
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); f.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
}

func hears(t *testing.T, network, address string, before func()) {
	t.Helper()
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		t.Fatalf("a client that comes early is refused: %v", err)
	}
	defer c.Close()
	before()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 5)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("the client hears %q, %v", b[:n], err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "docker.sock")
	s := Socket{Host: "unix://" + path}
	if os.Geteuid() == 0 {
		s.Group = "12345"
	}
	fd, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode != unix.S_IFSOCK|0o660 || os.Geteuid() == 0 && (st.Uid != 0 || st.Gid != 12345) {
		t.Errorf("mode %o, owner %d:%d", st.Mode, st.Uid, st.Gid)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor would leak into every child: flags %x, %v", flags, err)
	}
	// A second launcher must not take the socket away from the first.
	var inUse *InUseError
	if _, err := s.Open(); !errors.As(err, &inUse) {
		t.Errorf("a socket in use is taken over: %v", err)
	}
	hears(t, "unix", path, func() { accept(t, fd) })
}

func TestUnixSocketThatIsLeftOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	fd, err := Socket{Host: "unix://" + path}.Open()
	if err != nil {
		t.Fatalf("a stale socket is not replaced: %v", err)
	}
	accept(t, fd)

	file := filepath.Join(t.TempDir(), "docker.sock")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Socket{Host: "unix://" + file}).Open(); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in the socket's place: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

func TestTCPSocket(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		probe, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Logf("no %s here: %v", host, err)
			continue
		}
		addr := probe.Addr().String()
		probe.Close()
		fd, err := Socket{Host: "tcp://" + addr}.Open()
		if err != nil {
			t.Fatal(err)
		}
		var inUse *InUseError
		if _, err := (Socket{Host: "tcp://" + addr}).Open(); !errors.As(err, &inUse) {
			t.Errorf("a port in use: %v", err)
		}
		hears(t, "tcp", addr, func() { accept(t, fd) })
	}
}

func TestWrongSockets(t *testing.T) {
	for host, says := range map[string]string{
		"fd://": "neither", "unix://relative": "begin with /", "tcp://:2375": "tcp://:2375", "tcp://host:1": "host",
		"unix:///" + strings.Repeat("x", 120): "107", "tcp://1.2.3.4:99999": "99999", "": "neither",
	} {
		if _, err := (Socket{Host: host}).Open(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	check := func(want bool) {
		t.Helper()
		if got, err := Answers(path); got != want || err != nil {
			t.Errorf("answers: %v, %v; want %v", got, err, want)
		}
	}
	check(false)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	check(true)
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(false) // the socket of a containerd that is gone
}

func TestGroups(t *testing.T) {
	file := filepath.Join(t.TempDir(), "group")
	if err := os.WriteFile(file, []byte("root:x:0:\n# odd\nwheel\ndocker:x:999:me,you\nbad:x:many:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]int{"": 0, "docker": 999, "77": 77, "root": 0} {
		if gid, err := (Socket{Group: group}).gid(file); err != nil || gid != want {
			t.Errorf("%q: %d, %v", group, gid, err)
		}
	}
	for _, group := range []string{"bad", "missing"} {
		if gid, err := (Socket{Group: group}).gid(file); err == nil {
			t.Errorf("%q: %d without an error", group, gid)
		}
	}
	if gid, err := (Socket{Group: "docker", Groups: "docker:x:77:\n"}).gid(file + ".missing"); err != nil || gid != 77 {
		t.Errorf("the file is about to be made: %d, %v", gid, err)
	}
	if gid, err := (Socket{Group: "docker"}).gid(file + ".missing"); err != nil || gid != 0 {
		t.Errorf("without a file of groups: %d, %v", gid, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("unix:///var/run/docker.sock")
	f.Add("tcp://0.0.0.0:2376")
	f.Fuzz(func(t *testing.T, host string) {
		path, addr, err := Socket{Host: host}.Parse()
		if err == nil && (path == "") == !addr.IsValid() {
			t.Errorf("%q is both or neither", host)
		}
	})
}

func FuzzLookGroup(f *testing.F) {
	f.Add("docker:x:999:\n", "docker")
	f.Fuzz(func(t *testing.T, text, name string) {
		if gid, found, err := lookGroup(strings.NewReader(text), name); err == nil && found && gid < 0 {
			t.Errorf("gid %d", gid)
		}
	})
}
