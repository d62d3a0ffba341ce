package power

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// diary writes down what happens.
type diary struct {
	mu       sync.Mutex
	lines    []string
	problems []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) tell(problem bool, text string) {
	if !problem {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problems = append(d.problems, text)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (d *diary) said(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.problems, func(line string) bool { return strings.Contains(line, text) })
}

func (d *diary) step(name string, err error) func(context.Context) error {
	return func(context.Context) error {
		d.add(name)
		return err
	}
}

var errRebooted = errors.New("rebooted")

// fake gives steps whose world has one process, which ends by the signal.
func fake(d *diary, endsBy unix.Signal) Steps {
	var mu sync.Mutex
	gone := false
	return Steps{
		Action: PowerOff, Machine: true, Tell: d.tell,
		StopDaemon: d.step("daemon", nil), Save: d.step("save", nil), Unmount: d.step("unmount", nil),
		system: system{
			processes: func() ([]Process, error) {
				mu.Lock()
				defer mu.Unlock()
				if gone {
					return nil, nil
				}
				return []Process{{7, "stubborn"}}, nil
			},
			signal: func(s unix.Signal) error {
				mu.Lock()
				defer mu.Unlock()
				gone = gone || s == endsBy
				d.add(unix.SignalName(s))
				return nil
			},
			sync:     d.step("sync", nil),
			readOnly: d.step("read-only", nil),
			reboot: func(a Action, machine bool) error {
				d.add(string(a))
				return errRebooted
			},
		},
	}
}

func TestShutdownOrder(t *testing.T) {
	d := &diary{}
	if err := Shutdown(context.Background(), fake(d, unix.SIGTERM)); !errors.Is(err, errRebooted) {
		t.Error(err)
	}
	want := []string{"daemon", "SIGTERM", "SIGCONT", "save", "sync", "unmount", "read-only", "sync", "power off"}
	if diff := cmp.Diff(want, d.all()); diff != "" || len(d.problems) > 0 {
		t.Errorf("problems %q, -want +got:\n%s", d.problems, diff)
	}
}

func TestShutdownKillsWhatStays(t *testing.T) {
	d := &diary{}
	s := fake(d, unix.SIGKILL)
	s.Grace = 100 * time.Millisecond
	if err := Shutdown(context.Background(), s); !errors.Is(err, errRebooted) {
		t.Error(err)
	}
	want := []string{"daemon", "SIGTERM", "SIGCONT", "SIGKILL", "save", "sync", "unmount", "read-only", "sync", "power off"}
	if diff := cmp.Diff(want, d.all()); diff != "" || !d.said("still there: stubborn (7)") {
		t.Errorf("problems %q, -want +got:\n%s", d.problems, diff)
	}
}

// Each step fails, panics or hangs in turn: the others are taken all the same.
func TestShutdownGoesOn(t *testing.T) {
	fault := errors.New("it is broken")
	for _, kind := range []string{"fails", "panics", "hangs"} {
		for _, name := range []string{"daemon", "save", "sync", "unmount", "read-only"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				d := &diary{}
				s := fake(d, unix.SIGTERM)
				bad := func(ctx context.Context) error {
					d.add(name)
					switch kind {
					case "panics":
						panic(fault)
					case "hangs":
						select {} // not even the end of ctx is heeded
					}
					return fault
				}
				switch name {
				case "daemon":
					s.StopDaemon = bad
				case "save":
					s.Save = bad
				case "sync":
					s.system.sync = bad
				case "unmount":
					s.Unmount = bad
				case "read-only":
					s.system.readOnly = bad
				}
				if kind == "hangs" {
					s.system.faster = 50
				}
				if err := Shutdown(context.Background(), s); !errors.Is(err, errRebooted) {
					t.Error(err)
				}
				want := []string{"daemon", "SIGTERM", "SIGCONT", "save", "sync", "unmount", "read-only", "sync", "power off"}
				if diff := cmp.Diff(want, d.all()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if says := map[string]string{"fails": "it is broken", "panics": "a mistake in the launcher", "hangs": "not ended in time"}[kind]; !d.said(says) {
					t.Errorf("not told: %q", d.problems)
				}
			})
		}
	}
}

// A second and a third request force the end, while the daemon and the disks hang.
func TestShutdownForced(t *testing.T) {
	d := &diary{}
	s := fake(d, unix.SIGKILL)
	again := make(chan struct{})
	s.Again, s.DaemonLimit = again, time.Hour
	s.StopDaemon = func(ctx context.Context) error {
		d.add("daemon")
		again <- struct{}{}
		again <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	begin := time.Now()
	if err := Shutdown(context.Background(), s); !errors.Is(err, errRebooted) {
		t.Error(err)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	lines := slices.DeleteFunc(d.all(), func(line string) bool { return line == "SIGKILL" })
	if diff := cmp.Diff([]string{"daemon", "sync", "sync", "power off"}, lines); diff != "" || !d.said("left out: unmount") {
		t.Errorf("problems %q, -want +got:\n%s", d.problems, diff)
	}
}

func TestShutdownCancelled(t *testing.T) {
	d := &diary{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := fake(d, unix.SIGKILL)
	s.StopDaemon = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	if err := Shutdown(ctx, s); !errors.Is(err, errRebooted) {
		t.Error(err)
	}
}

func TestShutdownInContainer(t *testing.T) {
	d := &diary{}
	s := fake(d, unix.SIGTERM)
	s.Machine = false
	if err := Shutdown(context.Background(), s); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"daemon", "SIGTERM", "SIGCONT"}, d.all()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.Action = Reload
	if err := Shutdown(context.Background(), s); err == nil {
		t.Error("reload is no way out")
	}
	if limit := s.Limit(); limit < time.Minute || limit > 10*time.Minute {
		t.Errorf("at most %v", limit)
	}
}

// The real signals, with this process as PID 1 of a namespace: processes that end, that ignore SIGTERM, that are stopped,
// that have children and that make new ones.
func TestShutdownForReal(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	for _, script := range []string{
		"exec sleep 1000",
		"trap '' TERM; echo ready; while :; do sleep 1000; done",
		"kill -STOP $$; sleep 1000",
		"(trap '' TERM; sleep 1000 & sleep 1000)& sleep 1000",
		"trap '' TERM; while :; do sleep 0.05 & wait; done",
	} {
		cmd := exec.Command("/bin/sh", "-c", script)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go cmd.Wait() // how it ended is no matter
	}
	waitFor(t, func() bool {
		all, err := otherProcesses()
		return err == nil && len(all) >= 8
	})
	d := &diary{}
	s := fake(d, 0)
	s.system.processes, s.system.signal = nil, nil
	s.Grace = time.Second
	if err := Shutdown(context.Background(), s); !errors.Is(err, errRebooted) {
		t.Error(err)
	}
	if all, err := otherProcesses(); len(all) > 0 || err != nil {
		t.Errorf("still there: %s, %v", names(all), err)
	}
	if !d.said("still there: ") || d.said("kill the processes") {
		t.Errorf("problems: %q", d.problems)
	}
	if os.Getpid() != 1 {
		t.Error("this was to be PID 1")
	}
}

func waitFor(t *testing.T, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !true(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be in time")
		}
	}
}
