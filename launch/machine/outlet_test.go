package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stuck is a sink that takes nothing until it is opened.
type stuck struct {
	gate chan struct{}
	mu   sync.Mutex
	got  []string
}

func (s *stuck) write(record []byte, stop <-chan struct{}) error {
	select {
	case <-s.gate:
	case <-stop:
		return errClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(record))
	return nil
}

func TestOutletIsOutBeforeItReturns(t *testing.T) {
	s := &stuck{gate: make(chan struct{})}
	close(s.gate)
	o := newOutlet(s.write, lostNote)
	defer o.Close()
	for i := range 100 {
		if err := o.Write(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.got) != 100 || s.got[99] != "99" {
		t.Errorf("after the last Write, %d of 100 are out", len(s.got))
	}
}

func TestOutletThatIsStuckKeepsNobody(t *testing.T) {
	s := &stuck{gate: make(chan struct{})}
	o := newOutlet(s.write, lostNote)
	defer o.Close()
	record := strings.Repeat("x", 1000)
	begin := time.Now()
	const writes = 5000
	for range writes {
		if err := o.Write(record); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("%d writes to a sink that takes nothing took %v", writes, took)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := o.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
	close(s.gate)
	if err := o.Flush(context.Background()); err != nil {
		t.Errorf("Flush after it goes on: %v", err)
	}
	s.mu.Lock()
	lines, bytes, note := len(s.got), 0, ""
	for _, line := range s.got {
		bytes += len(line)
		if strings.Contains(line, "lost") {
			note = line
		}
	}
	s.mu.Unlock()
	if bytes > 2*outletBytes || note != lostNote(writes-(lines-1)) {
		t.Errorf("%d lines, %d bytes; the note is %q", lines, bytes, note)
	}
	if err := o.Write("last"); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got[len(s.got)-1] != "last" {
		t.Error("having caught up, Write does not wait")
	}
}

func TestOutletTellsErrors(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	o := newOutlet(func([]byte, <-chan struct{}) error {
		if calls++; calls == 1 {
			return broken
		}
		panic("worse")
	}, lostNote)
	if err := o.Write("1"); !errors.Is(err, broken) {
		t.Errorf("first: %v", err)
	}
	if err := o.Write("2"); err == nil || !strings.Contains(err.Error(), "worse") {
		t.Errorf("a panic: %v", err)
	}
	o.Close()
	if err := o.Write("3"); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A terminal whose output is stopped by flow control, as by Ctrl-S.
func TestStoppedTerminal(t *testing.T) {
	master, slave := pty(t)
	o := OpenTerminal(slave)
	defer o.Close()
	if err := o.Write("before\n"); err != nil {
		t.Fatal(err)
	}
	if got := readSome(t, master); got != "before\r\n" {
		t.Fatalf("the terminal shows %q", got)
	}
	if _, err := master.Write([]byte{0x13}); err != nil { // Ctrl-S
		t.Fatal(err)
	}
	begin := time.Now()
	for i := range 1000 {
		if err := o.Write(fmt.Sprintf("line %d\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("writing to the stopped terminal took %v", took)
	}
	// The action that keeps it from being stopped lets it go on.
	if kept, err := (FreeFlow{Device: slave}).Apply(context.Background()); kept || err != nil {
		t.Fatalf("FreeFlow: kept %v, %v", kept, err)
	}
	if kept, err := (FreeFlow{Device: slave}).Apply(context.Background()); !kept || err != nil {
		t.Errorf("FreeFlow again: kept %v, %v", kept, err)
	}
	var all string
	for !strings.Contains(all, "line 999\r\n") {
		all += readSome(t, master)
	}
	if !strings.Contains(all, "line 0\r\n") {
		t.Errorf("the first line is lost: %.200q", all)
	}
	if _, err := master.Write([]byte{0x13}); err != nil {
		t.Fatal(err)
	}
	if err := o.Write("after\n"); err != nil {
		t.Fatal(err)
	}
	if got := readSome(t, master); !strings.Contains(got, "after\r\n") {
		t.Errorf("after a Ctrl-S that means nothing: %q", got)
	}
}

func TestDeviceComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console")
	o := OpenTerminal(path)
	defer o.Close()
	if err := o.Write("lost"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.Write("here"); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); string(got) != "here" {
		t.Errorf("it holds %q, %v", got, err)
	}
}

// Opening some devices waits for somebody at the other end, as opening a FIFO does.
func TestDeviceThatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	o := OpenTerminal(path)
	defer o.Close()
	if err := o.Write("x"); !errors.Is(err, unix.ENXIO) {
		t.Errorf("opening it: %v", err)
	}
}

// pty opens a terminal of two ends.
func pty(t *testing.T) (master *os.File, slave string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave = fmt.Sprintf("/dev/pts/%d", n)
	// Held open, so that the terminal is not hung up between two opens.
	hold, err := os.OpenFile(slave, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close() })
	termios, err := unix.IoctlGetTermios(int(hold.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	termios.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(hold.Fd()), unix.TCSETS, termios); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func readSome(t *testing.T, f *os.File) string {
	t.Helper()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, 30_000)
	if err != nil || ready == 0 {
		t.Fatalf("the terminal shows nothing: %v", err)
	}
	buf := make([]byte, 4096)
	n, err := f.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}
