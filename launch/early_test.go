package launch_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
	"golang.org/x/sys/unix"
)

// late has dockerd wait until start is called.
func late(t *testing.T, o *sandbox.Options) (start func(*sandbox.Sandbox)) {
	o.Binds = append(o.Binds, sandbox.Bind{Source: program(t, "testdata/late"), Target: "/usr/bin/dockerd"},
		sandbox.Bind{Source: filepath.Join(o.Root, "usr/bin/dockerd"), Target: "/opt/late/dockerd"})
	return func(s *sandbox.Sandbox) {
		t.Helper()
		if err := os.WriteFile(inside(s, "/go"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// answer is what a client was told, or what it got instead.
type answer struct {
	line string
	err  error
}

// waits lets a client ask, and fails where it does not wait.
func waits(t *testing.T, asks func() (string, error)) <-chan answer {
	t.Helper()
	told := make(chan answer, 1)
	go func() {
		line, err := asks()
		told <- answer{line, err}
	}()
	select {
	case a := <-told:
		t.Errorf("a client that comes before the daemon does not wait: %q, %v", a.line, a.err)
	case <-time.After(100 * time.Millisecond): // it would be refused at once
	}
	return told
}

func answered(t *testing.T, told <-chan answer) {
	t.Helper()
	select {
	case a := <-told:
		if a.err != nil || a.line != "HTTP/1.0 200 OK" {
			t.Errorf("a client that came early was told %q, %v", a.line, a.err)
		}
	case <-time.After(startLimit):
		t.Error("a client that came early is not answered")
	}
}

// TestEarlyClient: clients that come while there is no dockerd wait, at the unix socket, which has dockerd's own mode and group by
// then, and at the port for TLS; and all are answered.
func TestEarlyClient(t *testing.T) {
	o := options(t)
	o.Env = append(sandbox.DefaultEnv(), "DOCKER_TLS_CERTDIR=/certs")
	begin := late(t, &o)
	s := start(t, o)
	eventually(t, "program in dockerd's place", func() bool { return child(t, s, "dockerd") != 0 })
	socket := inside(s, "/run/docker.sock")

	var st unix.Stat_t
	if err := unix.Stat(socket, &st); err != nil {
		t.Fatal(err)
	}
	if want := groupOf(t, s, "docker"); st.Mode != unix.S_IFSOCK|0o660 || st.Uid != 0 || st.Gid != want {
		t.Errorf("the socket has mode %o, user %d and group %d, which is to be %d", st.Mode, st.Uid, st.Gid, want)
	}
	overUnix := waits(t, func() (string, error) { return ask(socket) })
	config, address := clientTLS(t, inside(s, "/certs/client")), net.JoinHostPort(s.Addr().String(), "2376")
	overTLS := waits(t, func() (string, error) { return askTLS(address, config) })
	begin(s)
	answered(t, overUnix)
	answered(t, overTLS)
}

// TestReadyIsTheDaemonsWord: that it is ready counts from the daemon alone, and not from who else reaches the socket for it.
func TestReadyIsTheDaemonsWord(t *testing.T) {
	o := options(t)
	begin := late(t, &o)
	s := start(t, o)
	eventually(t, "program in dockerd's place", func() bool { return child(t, s, "dockerd") != 0 })
	c, err := net.Dial("unixgram", inside(s, "/run/dockerlaunch/notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("READY=1")); err != nil {
		t.Fatal(err)
	}
	begin(s)
	ready(t, s)
	file := inside(s, report.Path)
	eventually(t, "report", func() bool { _, err := os.Stat(file); return err == nil })
	r, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Events, func(e report.Event) bool {
		return e.Who == "dockerd" && e.What == "Daemon has completed initialization"
	}) {
		t.Errorf("it was ready before it was up: %v", r.Events)
	}
}

// groupOf is the number of a group inside.
func groupOf(t *testing.T, s *sandbox.Sandbox, name string) (gid uint32) {
	t.Helper()
	data, err := os.ReadFile(inside(s, "/etc/group"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscanf(rest, "x:%d:", &gid); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return gid
		}
	}
	t.Fatalf("there is no group %s:\n%s", name, data)
	return 0
}

// clientTLS is the configuration of a client with the certificate in a folder.
func clientTLS(t *testing.T, dir string) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: "localhost"}
}

// askTLS is ask over TLS.
func askTLS(address string, config *tls.Config) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return askOver(tls.Client(c, config))
}

// TestSocketsHandedToTheLauncher: where the user says fd://, and hands the sockets over himself, dockerd gets his, and the launcher
// opens none.
func TestSocketsHandedToTheLauncher(t *testing.T) {
	for _, exec := range []string{"", "--exec"} {
		t.Run("dockerlaunch "+exec, func(t *testing.T) {
			o := options(t, append(strings.Fields(exec), "/usr/bin/dockerd", "-H", "fd://")...)
			o.Binds = append(o.Binds, sandbox.Bind{Source: o.Launcher, Target: "/opt/launcher"})
			o.Launcher = program(t, "testdata/activator")
			s := start(t, o)
			for _, path := range []string{"/mine.sock", "/second.sock"} {
				eventually(t, "socket "+path, func() bool { _, err := os.Stat(inside(s, path)); return err == nil })
				if line, err := ask(inside(s, path)); err != nil || line != "HTTP/1.0 200 OK" {
					t.Errorf("%s: %q, %v", path, line, err)
				}
			}
			if _, err := os.Stat(inside(s, "/run/docker.sock")); err == nil {
				t.Error("there is a socket that nobody asked for")
			}
		})
	}
}

// TestContainerdEndsLast: containerd outlives the daemon, which stops its containers with it.
func TestContainerdEndsLast(t *testing.T) {
	s := startReady(t, options(t))
	importProbe(t, s)
	docker(t, s, "run", "-d", "-v", "/tmp:/there", "probe", "last", "/there/last", "written at the end")
	if err := unix.Kill(s.PID(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// What the stopped container writes a second later is read while the daemon waits for that.
	said := ""
	for ended := false; !ended; {
		select {
		case <-s.Done():
			ended = true
		default:
			containerd, dockerd := child(t, s, "containerd"), child(t, s, "dockerd")
			if containerd == 0 && dockerd != 0 {
				t.Fatal("containerd has ended before the daemon")
			}
			if data, err := os.ReadFile(inside(s, "/tmp/last")); err == nil {
				said = string(data)
			}
			time.Sleep(time.Millisecond)
		}
	}
	if status := s.Wait(); status != 0 || said != "written at the end\n" {
		t.Errorf("exit status %d, and the container wrote %q", status, said)
	}
}

// TestOuterNotify: whoever started the launcher is told when the daemon is ready, and when it stops (sd_notify(3)).
func TestOuterNotify(t *testing.T) {
	dir := t.TempDir()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hears := func(want string) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(startLimit)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil || strings.TrimSpace(string(buf[:n])) != want {
			t.Errorf("it says %q, %v, and not %s", buf[:n], err, want)
		}
	}
	o := options(t)
	o.Env = append(sandbox.DefaultEnv(), "NOTIFY_SOCKET=/outer/notify")
	o.Binds = []sandbox.Bind{{Source: dir, Target: "/outer"}}
	begin := late(t, &o)
	s := start(t, o)
	eventually(t, "program in dockerd's place", func() bool { return child(t, s, "dockerd") != 0 })
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes are said before the daemon is there", n)
	}
	begin(s)
	hears("READY=1")
	if err := unix.Kill(s.PID(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hears("STOPPING=1")
}
