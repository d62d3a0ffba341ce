package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTail(t *testing.T) {
	var tl tail
	if got := tl.lines(); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	out, errOut := tl.writers(nil, nil)
	if out != errOut {
		t.Error("two writers where one would keep the order")
	}
	fmt.Fprint(out, "one\ntw")
	fmt.Fprint(out, "o\n")
	if got := tl.lines(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
	for i := range 10000 {
		fmt.Fprintf(out, "line %d\n", i)
	}
	got := tl.lines()
	if len(got) != tailLines || got[tailLines-1] != "line 9999" || got[0] != fmt.Sprintf("line %d", 10000-tailLines) {
		t.Errorf("%q", got)
	}
	if len(tl.buf) > tailBytes {
		t.Errorf("%d bytes are kept", len(tl.buf))
	}
	// Lines too long for the buffer are dropped, not shown from the middle.
	fmt.Fprintf(out, "%s\nend\n", strings.Repeat("x", 2*tailBytes))
	if got := tl.lines(); !slices.Equal(got, []string{"end"}) {
		t.Errorf("%q", got)
	}
}

type failing struct{ calls int }

func (f *failing) Write([]byte) (int, error) { f.calls++; return 0, errors.New("disk is full") }

// uncomparable is a writer that == would panic on.
type uncomparable struct{ b []*bytes.Buffer }

func (u uncomparable) Write(p []byte) (int, error) { return u.b[0].Write(p) }

func TestTailWriters(t *testing.T) {
	var tl tail
	var buf bytes.Buffer
	bad := &failing{}
	out, errOut := tl.writers(bad, &buf)
	for range 2 {
		if n, err := out.Write([]byte("text\n")); n != 5 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if bad.calls != 1 {
		t.Errorf("a writer that failed was called %d times", bad.calls)
	}
	if got := strings.Join(tl.lines(), "|"); !strings.Contains(got, "disk is full") {
		t.Errorf("%q", got)
	}
	fmt.Fprint(errOut, "other")
	if buf.String() != "other" {
		t.Errorf("%q", buf.String())
	}
	u := uncomparable{[]*bytes.Buffer{&buf}}
	tl.writers(u, u)
}

func TestHandles(t *testing.T) {
	const status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004002\n"
	for sig, want := range map[unix.Signal]bool{unix.SIGTERM: true, unix.SIGINT: true, unix.SIGPIPE: true, unix.SIGHUP: false, unix.SIGUSR1: false} {
		if got := handles(status, sig); got != want {
			t.Errorf("%v: %v", sig, got)
		}
	}
	if handles("", unix.SIGTERM) || handles("SigCgt:\tzz\n", unix.SIGTERM) {
		t.Error("no mask, yet handled")
	}
}
