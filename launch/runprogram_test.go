package launch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"golang.org/x/sys/unix"
)

// fakeProcess ends upon one signal, or none.
type fakeProcess struct {
	ends unix.Signal
	got  []unix.Signal
	done chan struct{}
}

func (p *fakeProcess) Done() <-chan struct{} { return p.done }

func (p *fakeProcess) Signal(s unix.Signal) error {
	p.got = append(p.got, s)
	if s == p.ends {
		close(p.done)
	}
	return nil
}

// TestWaitForProgram: a program that does not end, as one that waits for a broken disk does not even when it is killed, holds up
// nothing for good, and it is said what is waited for.
func TestWaitForProgram(t *testing.T) {
	asked := errors.New("asked for")
	for _, c := range []struct {
		name   string
		ends   unix.Signal
		cancel time.Duration // 0: nobody does
		got    []unix.Signal
		took   time.Duration
		says   string
		told   int
	}{
		{"ends when it is asked to", unix.SIGTERM, 30 * time.Second, []unix.Signal{unix.SIGTERM}, 30 * time.Second, "e2fsck -p /dev/x was ended: asked for", 1},
		{"ends when it is killed", unix.SIGKILL, time.Second, []unix.Signal{unix.SIGTERM, unix.SIGKILL}, 6 * time.Second, "was ended: asked for", 0},
		{"does not end", 0, time.Second, []unix.Signal{unix.SIGTERM, unix.SIGKILL}, 11 * time.Second, "a disk that does not answer: asked for", 0},
		{"takes too long", unix.SIGTERM, 0, []unix.Signal{unix.SIGTERM}, programLimit - time.Second, "too long", 89},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), programLimit-time.Second, errors.New("too long"))
				defer cancel()
				if c.cancel > 0 {
					var stop context.CancelCauseFunc
					ctx, stop = context.WithCancelCause(ctx)
					defer time.AfterFunc(c.cancel, func() { stop(asked) }).Stop()
				}
				var told []string
				r := &programRunner{say: func(text string) { told = append(told, text) }}
				p := &fakeProcess{ends: c.ends, done: make(chan struct{})}
				began := time.Now()
				err := r.wait(ctx, "e2fsck -p /dev/x", p)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
				if !slices.Equal(p.got, c.got) || len(told) != c.told {
					t.Errorf("signals %v, want %v; told %d times, want %d", p.got, c.got, len(told), c.told)
				}
			})
		})
	}
}

// TestRunProgram runs real ones.
func TestRunProgram(t *testing.T) {
	if !testenv.InNamespaces(t, 0) { // two reapers in a process would take each other's children
		return
	}
	init, err := pidone.Start(pidone.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &programRunner{init: init, env: []string{"PATH=/usr/bin:/bin"}, say: func(string) {}, limit: time.Minute}
	if code, output, err := r.Run(t.Context(), "/bin/sh", "-c", "echo out; echo err >&2; exit 4"); code != 4 || output != "out\nerr\n" || err != nil {
		t.Errorf("%d, %q, %v", code, output, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := r.Run(ctx, "/bin/sh", "-c", "exec sleep 1000"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	// What it leaves behind holds the pipe.
	if code, _, err := r.Run(t.Context(), "/bin/sh", "-c", "sleep 1000 & exit 3"); code != 3 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}
