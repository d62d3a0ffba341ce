package ready

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "unix:///run/docker.sock",
		"unix://":                   "unix:///run/docker.sock",
		"/x/y.sock":                 "unix:///x/y.sock",
		"unix:///x/y.sock":          "unix:///x/y.sock",
		"unix://@docker":            "unix://@docker",
		"tcp://127.0.0.1:2375":      "tcp://127.0.0.1:2375",
		"tcp://localhost:2375":      "tcp://127.0.0.1:2375",
		"tcp://:2375":               "tcp://127.0.0.1:2375",
		"http://[::1]:2375/":        "tcp://[::1]:2375",
		"tcp://[::ffff:10.0.0.1]:1": "tcp://[::ffff:10.0.0.1]:1",
	} {
		if got, err := ParseTarget(text); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"docker": "of the form", "unix://run/docker.sock": "begin with /", "tcp://docker:2375": "not looked up",
		"tcp://127.0.0.1": "port", "tcp://127.0.0.1:0": "port", "ssh://x": "only unix and tcp", "npipe:////./pipe/x": "only unix",
		"https://127.0.0.1:2376": "TLS", "unix:///" + strings.Repeat("x", 107): "at most", "unix:///a\x00b": "zero",
		"tcp://[fe80::1%eth0]:2375": "zone", "fd://": "only unix",
	} {
		if got, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"", "unix:///x", "tcp://[::1]:2375", "tcp://localhost:1/", "/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := ParseTarget(text)
		if err != nil {
			return
		}
		if again, err := ParseTarget(target.String()); err != nil || again != target {
			t.Errorf("%q is written as %s, which is read as %v, %v", text, target, again, err)
		}
		target.sockaddr()
	})
}

func TestParseStatus(t *testing.T) {
	for answer, want := range map[string]int{
		"HTTP/1.0 200 OK\r\n": 200, "HTTP/1.1 503 Service Unavailable\r\n\r\n": 503, "HTTP/1.1 204": 204,
		"": 0, "HTTP/2 200 OK": 0, "HTTP/1.1 20 OK": 0, "HTTP/1.1 099 x": 0, "HTTP/1.1  200": 0, "SSH-2.0-x": 0, "HTTP/1.1 +20 x": 0,
	} {
		if got, err := parseStatus(answer); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v", answer, got, err)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\n\r\nOK")
	f.Fuzz(func(t *testing.T, answer string) {
		if status, err := parseStatus(answer); err == nil && (status < 100 || status > 999) {
			t.Errorf("%q has status %d", answer, status)
		}
	})
}

// serve answers HTTP on a socket.
func serve(t *testing.T, handler http.HandlerFunc) Target {
	t.Helper()
	path := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	s.Start()
	t.Cleanup(s.Close)
	return Target{Socket: path}
}

// shortDir is a temporary folder with a path that a socket's fits behind.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ready")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func kind(t *testing.T, err error) Kind {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	return e.Kind
}

func TestPing(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" || r.Method != "GET" {
			t.Errorf("%s %s was asked", r.Method, r.URL)
		}
		io.WriteString(w, "OK")
	})
	if err := Ping(t.Context(), target); err != nil {
		t.Error(err)
	}
	tcp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "OK") }))
	defer tcp.Close()
	target, err := ParseTarget(tcp.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := Ping(t.Context(), target); err != nil {
		t.Error(err)
	}
}

func TestPingNotReady(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 3000))
		http.Error(w, "the swarm is asleep", http.StatusServiceUnavailable)
	})
	err := Ping(t.Context(), target)
	if kind(t, err) != NotReady || !strings.Contains(err.Error(), "503: the swarm is asleep") {
		t.Error(err)
	}
	tls := httptest.NewTLSServer(nil)
	defer tls.Close()
	tls.Config.ErrorLog = nil
	target, err = ParseTarget("tcp://" + tls.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := Ping(t.Context(), target); kind(t, err) != NotReady || !strings.Contains(err.Error(), "TLS") {
		t.Error(err)
	}
}

func TestPingNobodyListens(t *testing.T) {
	dir := shortDir(t)
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, target := range []Target{{Socket: filepath.Join(dir, "missing")}, {Socket: stale}, {Socket: stale + "/x"}} {
		if err := Ping(t.Context(), target); kind(t, err) != NobodyListens {
			t.Error(err)
		}
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := tcp.Addr().String()
	tcp.Close()
	target, err := ParseTarget("tcp://" + address)
	if err != nil {
		t.Fatal(err)
	}
	if err := Ping(t.Context(), target); kind(t, err) != NobodyListens {
		t.Error(err)
	}
}

// TestPingBounded asks daemons that accept and say nothing, that never accept, and that say too much or nonsense.
func TestPingBounded(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	// The first waits in the backlog for an answer, the second for room in the backlog.
	for range 2 {
		conn, err := net.Dial("unix", path)
		if err == nil {
			defer conn.Close()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := Ping(ctx, Target{Socket: path}); kind(t, err) != TimedOut {
			t.Error(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	silent := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(io.Discard, c) // until it gives up
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Ping(ctx, Target{Socket: silent}); kind(t, err) != TimedOut || !strings.Contains(err.Error(), "reading its answer") {
		t.Error(err)
	}
	for text, says := range map[string]string{
		strings.Repeat("x", 100_000): "8192 bytes", "SSH-2.0-OpenSSH\r\n": "no HTTP/1", "": "without a word",
	} {
		if err := Ping(t.Context(), speaker(t, text)); kind(t, err) != Failed || !strings.Contains(err.Error(), says) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}

// speaker says the same to everybody who connects and asks.
func speaker(t *testing.T, text string) Target {
	t.Helper()
	path := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1000))
			io.WriteString(c, text)
			c.Close()
		}
	}()
	return Target{Socket: path}
}

func TestPingDenied(t *testing.T) {
	testenv.NeedRoot(t)
	target := serve(t, func(http.ResponseWriter, *http.Request) {})
	if err := os.Chmod(filepath.Dir(target.Socket), 0o700); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		// The thread is never given back, so that nobody else runs on it without root's rights.
		lockThread()
		if err := unix.Setfsuid(65534); err != nil {
			done <- err
			return
		}
		done <- Ping(t.Context(), target)
	}()
	if err := <-done; kind(t, err) != Denied {
		t.Error(err)
	}
}

func TestWait(t *testing.T) {
	asked := make(chan struct{}, 100)
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if len(asked) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if err := Wait(t.Context(), target, time.Millisecond); err != nil || len(asked) != 3 {
		t.Errorf("after %d questions: %v", len(asked), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := Wait(ctx, Target{Socket: "/nonexistent"}, time.Millisecond)
	if kind(t, err) != TimedOut || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nobody listens") {
		t.Error(err)
	}
}
