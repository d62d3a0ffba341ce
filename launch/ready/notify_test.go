package ready

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func lockThread() { runtime.LockOSThread() }

func event(t *testing.T, r *Receiver) Event {
	t.Helper()
	select {
	case e, ok := <-r.Events():
		if !ok {
			t.Fatal("the receiver has ended")
		}
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is heard")
	}
	panic("not reached")
}

func TestNotifyAndListen(t *testing.T) {
	path := filepath.Join(shortDir(t), "notify")
	for _, at := range []string{path, ""} {
		r, err := Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range []string{"STATUS=starting\nX=1", StateReady, "READY=11\n", "STOPPING=1\nSTATUS=bye\n"} {
			if err := Notify(r.Addr(), message); err != nil {
				t.Fatal(err)
			}
			e := event(t, r)
			want := Event{PID: os.Getpid(), UID: os.Getuid()}
			switch message[:2] {
			case "ST":
				want.Status = strings.TrimSpace(message[strings.LastIndex(message, "STATUS=")+7:])
				want.Status, _, _ = strings.Cut(want.Status, "\n")
				want.Stopping = message[2] == 'O'
			case "RE":
				want.Ready = message == StateReady
			}
			if e != want {
				t.Errorf("%q is heard as %+v, want %+v", message, e, want)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, ok := <-r.Events(); ok {
			t.Error("there is something to hear after the end")
		}
		if err := Notify(r.Addr(), StateReady); err == nil {
			t.Error("somebody listens after the end")
		}
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left over")
	}
}

func TestNotifyAddresses(t *testing.T) {
	if err := Notify("", StateReady); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{"x", "vsock:2:1234", "/nonexistent/x", "@" + strings.Repeat("x", 300)} {
		if err := Notify(addr, StateReady); err == nil {
			t.Errorf("%s: no error", addr)
		}
	}
}

func TestListenPlaces(t *testing.T) {
	dir := shortDir(t)
	stale := filepath.Join(dir, "stale")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: stale}), unix.Close(fd)); err != nil {
		t.Fatal(err)
	}
	r, err := Listen(stale)
	if err != nil {
		t.Fatalf("over a socket that is left over: %v", err)
	}
	if st, err := os.Stat(stale); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, "relative", dir + "/missing/x", "/" + strings.Repeat("x", 107)} {
		if r, err := Listen(path); err == nil {
			t.Errorf("%s: no error, %v", path, r.Close())
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestBarrier sends descriptors along: they are closed, which is what a sender that waits for it sees.
func TestBarrier(t *testing.T) {
	r, err := Listen("")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, count := range []int{1, 60, 200} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fds := make([]int, count)
		for i := range fds {
			fds[i] = int(writer.Fd())
		}
		if err := unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(fds...), &unix.SockaddrUnix{Name: r.Addr()}, 0); err != nil {
			t.Fatal(err)
		}
		writer.Close()
		if err := reader.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := reader.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d descriptors: %v", count, err)
		}
		reader.Close()
	}
}

// TestNobodyReads sends more than the channel holds: what counts is heard all the same.
func TestNobodyReads(t *testing.T) {
	r, err := Listen("")
	if err != nil {
		t.Fatal(err)
	}
	if err := Notify(r.Addr(), StateReady); err != nil {
		t.Fatal(err)
	}
	for range 3 * cap(r.events) {
		if err := Notify(r.Addr(), "STATUS=x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := Notify(r.Addr(), StateStopping); err != nil {
		t.Fatal(err)
	}
	ready := false
	for {
		e := event(t, r)
		ready = ready || e.Ready
		if e.Stopping {
			break
		}
	}
	if !ready {
		t.Error("READY=1 was lost")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzEvent(f *testing.F) {
	f.Add("READY=1\nSTATUS=x\n\nSTOPPING=1")
	f.Fuzz(func(t *testing.T, message string) {
		var e Event
		e.parse(message)
		if e.Ready && !strings.Contains(message, StateReady) || e.Stopping && !strings.Contains(message, StateStopping) {
			t.Errorf("%q is read as %+v", message, e)
		}
	})
}
