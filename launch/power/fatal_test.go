package power

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParsePanic(t *testing.T) {
	for _, c := range []struct {
		line, kernel string
		want         Panic
	}{
		{"", "", Panic{}},
		{"", "0\n", Panic{}},
		{"panic=0", "0\n", Panic{0, true}},
		{"panic=5 panic=-1", "", Panic{-1, true}},
		{"panic=0x10", "", Panic{16, true}},
		{"panic=5 panic=x panic", "", Panic{5, true}},
		{"panic=99999999999", "", Panic{}},
		{"panic=5", "7", Panic{7, true}},
		{"", "-1\n", Panic{-1, true}},
		{"-- panic=5", "", Panic{}},
	} {
		if got := ParsePanic(strings.Fields(c.line), c.kernel); got != c.want {
			t.Errorf("%q, %q: %+v, want %+v", c.line, c.kernel, got, c.want)
		}
	}
}

func FuzzParsePanic(f *testing.F) {
	f.Add("panic=5 panic=-1", "0\n")
	f.Fuzz(func(t *testing.T, line, kernel string) {
		if p := ParsePanic(strings.Fields(line), kernel); !p.Given && p.Seconds != 0 {
			t.Errorf("%q, %q: %+v", line, kernel, p)
		}
	})
}

// end runs Fatal with a reboot that ends its goroutine, and gives what was said and done.
func end(t *testing.T, f *Fatal, cause error) (did, told []string) {
	t.Helper()
	var mu sync.Mutex
	add := func(list *[]string, text string) {
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, text)
	}
	f.Machine = true
	f.Tell = func(text string) { add(&told, text) }
	f.system.sync = func(context.Context) error { add(&did, "sync"); return nil }
	if f.system.reboot == nil {
		f.system.reboot = func(a Action, machine bool) error {
			add(&did, string(a))
			runtime.Goexit()
			return nil
		}
	}
	f.after = func(d time.Duration) <-chan time.Time {
		add(&did, d.String())
		c := make(chan time.Time, 1)
		if f.Signals == nil && f.Asked == nil {
			c <- time.Time{}
		}
		return c
	}
	f.Exit = func(int) { t.Error("PID 1 of a machine exits") }
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.End(cause, 3)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end: %q, %q", did, told)
	}
	mu.Lock()
	defer mu.Unlock()
	return did, told
}

func TestFatal(t *testing.T) {
	cause := errors.New("the reason")
	signal := func(list ...unix.Signal) <-chan unix.Signal {
		c := make(chan unix.Signal, len(list))
		for _, s := range list {
			c <- s
		}
		return c
	}
	pressed := func(list ...Action) <-chan Action {
		c := make(chan Action, len(list))
		for _, a := range list {
			c <- a
		}
		return c
	}
	for name, c := range map[string]struct {
		fatal *Fatal
		did   string
	}{
		"nothing said":           {&Fatal{}, "5s 5s sync reboot"},
		"a longer count-down":    {&Fatal{Countdown: 12 * time.Second}, "5s 5s 2s sync reboot"},
		"panic=3":                {&Fatal{Panic: Panic{3, true}}, "3s sync reboot"},
		"panic=-1":               {&Fatal{Panic: Panic{-1, true}, Countdown: time.Hour}, "sync reboot"},
		"to be powered off":      {&Fatal{Then: PowerOff}, "5s 5s sync power off"},
		"cut short":              {&Fatal{Signals: signal(unix.SIGUSR2)}, "5s sync power off"},
		"Ctrl-Alt-Del":           {&Fatal{Signals: signal(unix.SIGINT), Then: Halt}, "5s sync reboot"},
		"a signal of no meaning": {&Fatal{Signals: signal(unix.SIGHUP, unix.SIGCHLD)}, "5s 5s sync reboot"},
		"the power button":       {&Fatal{Asked: pressed(PowerOff)}, "5s sync power off"},
		"a button, and panic=0":  {&Fatal{Panic: Panic{0, true}, Asked: pressed(Reload, PowerOff)}, "sync power off"},
		"panic=3, found late":    {&Fatal{FindPanic: func() Panic { return Panic{3, true} }}, "3s sync reboot"},
		"panic= cannot be found": {&Fatal{FindPanic: func() Panic { panic("and this breaks too") }}, "5s 5s sync reboot"},
		"panic=0":                {&Fatal{Panic: Panic{0, true}, Signals: signal(unix.SIGHUP, unix.SIGUSR1)}, "sync halt"},
	} {
		t.Run(name, func(t *testing.T) {
			did, told := end(t, c.fatal, cause)
			if got := strings.Join(did, " "); got != c.did || told[0] != "cannot go on: the reason" {
				t.Errorf("did %q, want %q; told %q", got, c.did, told)
			}
		})
	}
}

// TestFatalWithoutCause: who ends without an error has made a mistake, and yet ends like all others.
func TestFatalWithoutCause(t *testing.T) {
	did, told := end(t, &Fatal{Panic: Panic{-1, true}}, nil)
	if strings.Join(did, " ") != "sync reboot" || told[0] != "cannot go on: the launcher has come to its end" {
		t.Errorf("did %q, told %q", did, told)
	}
}

func TestFatalStopsWhatRuns(t *testing.T) {
	stopped := false
	f := &Fatal{Panic: Panic{-1, true}, Stop: func(context.Context) { stopped = true; panic("and this breaks too") }}
	did, told := end(t, f, errors.New("x"))
	if !stopped || strings.Join(did, " ") != "sync reboot" || !strings.Contains(strings.Join(told, "\n"), "and this breaks too") {
		t.Errorf("%v, %q, %q", stopped, did, told)
	}
}

// PID 1 stays, also where nothing ends the machine.
func TestFatalWithoutWayOut(t *testing.T) {
	tried := make(chan Action, 10)
	f := &Fatal{Machine: true, Panic: Panic{-1, true}, Exit: func(int) { t.Error("it exits") }, Tell: func(string) { panic("no console") }}
	f.system.sync = func(context.Context) error { return nil }
	f.system.reboot = func(a Action, machine bool) error {
		if !machine {
			t.Error("not as a machine")
		}
		tried <- a
		return errors.New("refused")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Recover()
		panic("a mistake")
	}()
	for _, want := range []Action{Reboot, Reboot, Halt} {
		if got := <-tried; got != want {
			t.Errorf("tried to %s, want %s", got, want)
		}
	}
	go func() {
		f.End(errors.New("a second one"), 1)
		t.Error("a second call came back")
	}()
	select {
	case <-ended:
		t.Error("it came back")
	case a := <-tried:
		t.Errorf("the second call tries to %s", a)
	case <-time.After(300 * time.Millisecond):
	}
}

func TestFatalInContainer(t *testing.T) {
	status, told, stopped := -1, "", false
	container := func() *Fatal {
		f := &Fatal{Exit: func(s int) { status = s }, Tell: func(text string) { told = text }}
		f.system.reboot = func(Action, bool) error { t.Error("a container reboots the machine"); return nil }
		f.system.sync = func(context.Context) error { t.Error("a container waits for the machine's disks"); return nil }
		f.Stop = func(context.Context) { stopped = status < 0 }
		return f
	}
	container().End(errors.New("the reason"), 3)
	if status != 3 || told != "the reason" || !stopped {
		t.Errorf("status %d, told %q, stopped before %v", status, told, stopped)
	}
	func() {
		defer container().Recover()
		panic("a mistake")
	}()
	if status != 2 || !strings.Contains(told, "a mistake") || !strings.Contains(told, "TestFatalInContainer") {
		t.Errorf("after a panic: status %d, told %q", status, told)
	}
}
