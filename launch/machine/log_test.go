package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is an outlet that keeps what it is given.
func recorder(t *testing.T, fail error) (*Outlet, func() string) {
	var mu sync.Mutex
	var got bytes.Buffer
	o := newOutlet(func(record []byte, _ <-chan struct{}) error {
		mu.Lock()
		defer mu.Unlock()
		got.Write(record)
		got.WriteByte('|')
		return fail
	}, lostNote)
	t.Cleanup(o.Close)
	return o, func() string {
		mu.Lock()
		defer mu.Unlock()
		return got.String()
	}
}

func TestLog(t *testing.T) {
	kmsg, inKmsg := recorder(t, nil)
	console, onConsole := recorder(t, nil)
	l := &Log{Verbosity: ParseVerbosity(nil, 5), Kmsg: kmsg, Console: console}
	for level, text := range map[Level]string{Warning: "w", Info: "i", Debug: "d"} {
		if err := l.Write(level, text); err != nil {
			t.Error(err)
		}
	}
	if got := inKmsg(); !strings.Contains(got, "<4>dockerlaunch: w\n|") || !strings.Contains(got, "<6>dockerlaunch: i\n|") || strings.Contains(got, ": d") {
		t.Errorf("in the kernel's log: %q", got)
	}
	if got := onConsole(); got != "dockerlaunch: i\n|" {
		t.Errorf("on the console, where the kernel prints warnings itself: %q", got)
	}
	if err := l.Loud(Emergency, "last words"); err != nil || !strings.Contains(inKmsg(), "<0>dockerlaunch: last words") || strings.Contains(onConsole(), "last") {
		t.Errorf("Loud: %v, %q, %q", err, onConsole(), inKmsg())
	}
	l.Kmsg = nil
	if err := l.Loud(Emergency, "last words"); err != nil || !strings.Contains(onConsole(), "last words") {
		t.Errorf("Loud without a kernel's log: %v, %q", err, onConsole())
	}
}

func TestLogWithinTheKernelsRate(t *testing.T) {
	kmsg, inKmsg := recorder(t, nil)
	console, onConsole := recorder(t, nil)
	now := time.Unix(1000, 0)
	l := &Log{Verbosity: ParseVerbosity(nil, 8), Kmsg: kmsg, Console: console, Limited: true, Now: func() time.Time { return now }}
	for i := range 15 {
		if err := l.Write(Info, fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
	}
	if k, c := strings.Count(inKmsg(), "|"), onConsole(); k != 10 || strings.Count(c, "|") != 5 || !strings.HasPrefix(c, "dockerlaunch: 10\n") {
		t.Errorf("%d in the kernel's log, on the console %q", k, c)
	}
	now = now.Add(6 * time.Second)
	if err := l.Write(Info, "again"); err != nil || !strings.Contains(inKmsg(), "again") {
		t.Errorf("five seconds later: %v, %q", err, inKmsg())
	}
}

func TestLogShowsWhatTheKernelRefuses(t *testing.T) {
	refused := errors.New("refused")
	kmsg, _ := recorder(t, refused)
	console, onConsole := recorder(t, nil)
	l := &Log{Verbosity: ParseVerbosity(nil, 8), Kmsg: kmsg, Console: console}
	if err := l.Write(Info, "hello"); !errors.Is(err, refused) || onConsole() != "dockerlaunch: hello\n|" {
		t.Errorf("%v, %q", err, onConsole())
	}
	l.Off = true
	if err := l.Write(Info, "bye"); err != nil || !strings.HasSuffix(onConsole(), "bye\n|") {
		t.Errorf("printk.devkmsg=off: %v, %q", err, onConsole())
	}
	if err := l.Flush(context.Background()); err != nil {
		t.Error(err)
	}
	l.Close()
	if err := l.Write(Info, "x"); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
}
