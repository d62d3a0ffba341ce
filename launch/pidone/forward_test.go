package pidone

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// printer is a supervisor whose program prints the signals that it gets.
type printer struct {
	cmd   *exec.Cmd
	lines chan string
	child int // as this test sees it
}

func startPrinter(t *testing.T, pid1 bool) *printer {
	t.Helper()
	cmd := program(t, "supervise", "/usr/bin/env", roleVar+"=print-signals", self(t))
	if pid1 {
		asPID1(t, cmd)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &printer{cmd: cmd, lines: make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		if err := unix.Kill(p.child, unix.SIGKILL); p.child > 0 && err != nil && err != unix.ESRCH {
			t.Error(err)
		}
		for range p.lines {
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(unix.SIGKILL) {
			t.Errorf("the supervisor did not end as its program did: %v", err)
		}
	})
	if line := p.next(t); !strings.HasPrefix(line, "ready ") {
		t.Fatalf("the program says %q", line)
	}
	p.child = childOf(t, cmd.Process.Pid)
	return p
}

func (p *printer) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-p.lines:
		return line
	case <-time.After(patience):
		t.Fatal("the program got no signal")
		return ""
	}
}

func (p *printer) send(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(p.cmd.Process.Pid, s); err != nil {
		t.Fatal(err)
	}
}

// notForwarded are the signals that tini and dumb-init catch and pass on, or could, and this package does not; Caught says
// why. tini ignores TTIN and TTOU as well, and leaves FPE, ILL, SEGV, BUS, ABRT, TRAP and SYS to themselves, which arrive here,
// as with dumb-init. dumb-init passes none above 31 on.
var notForwarded = []unix.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, 32, 33, 34}

func TestEverySignalArrives(t *testing.T) {
	for name, pid1 := range map[string]bool{"PID 1": true, "subreaper": false} {
		t.Run(name, func(t *testing.T) {
			p := startPrinter(t, pid1)
			sent := 0
			for s := firstSignal; s <= lastSignal; s++ {
				if !Caught(s) || s == unix.SIGPROF || s == unix.SIGTSTP {
					continue // TSTP stops: TestStopAndContinue
				}
				p.send(t, s)
				sent++
				if got := p.next(t); got != strconv.Itoa(int(s)) {
					t.Fatalf("%s was sent, and %q arrives", SignalName(s), got)
				}
			}
			if want := 64 - 2 - len(notForwarded) - 1; sent != want {
				t.Errorf("%d signals were tried instead of %d", sent, want)
			}
			for _, s := range notForwarded {
				if Caught(s) {
					t.Errorf("%s is caught", SignalName(s))
				}
				p.send(t, s)
				// What comes next is what is sent next.
				p.send(t, unix.SIGUSR1)
				if got := p.next(t); got != strconv.Itoa(int(unix.SIGUSR1)) {
					t.Fatalf("%s was sent, and %q arrives", SignalName(s), got)
				}
			}
		})
	}
}

// state returns the letter of a process's state.
func state(t *testing.T, pid int) string {
	t.Helper()
	return statusField(t, pid, "State")[:1]
}

func TestStopAndContinue(t *testing.T) {
	for name, pid1 := range map[string]bool{"PID 1": true, "subreaper": false} {
		t.Run(name, func(t *testing.T) {
			cmd := program(t, "supervise", "/bin/sleep", "1000")
			// A group of its own, whose parent is outside of it and in the same session: nothing stops in an orphaned group.
			cmd.SysProcAttr.Setpgid = true
			if pid1 {
				asPID1(t, cmd)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			init := cmd.Process.Pid
			defer func() {
				if err := unix.Kill(init, unix.SIGTERM); err != nil {
					t.Error(err)
				}
				if cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(unix.SIGTERM) {
					t.Errorf("exit status %d", cmd.ProcessState.ExitCode())
				}
			}()
			var child int
			eventually(t, "the program runs", func() bool {
				child = childOf(t, init)
				return child != 0 && statusField(t, child, "Name") == "sleep"
			})
			for range 3 {
				if err := unix.Kill(init, unix.SIGTSTP); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the program is stopped", func() bool { return state(t, child) == "T" })
				if pid1 {
					if state(t, init) == "T" {
						t.Fatal("PID 1 is stopped, too")
					}
				} else {
					eventually(t, "the supervisor is stopped as its program is", func() bool { return state(t, init) == "T" })
				}
				if err := unix.Kill(init, unix.SIGCONT); err != nil {
					t.Fatal(err)
				}
				eventually(t, "both go on", func() bool { return state(t, child) != "T" && state(t, init) != "T" })
			}
		})
	}
}

// childOf returns a child of a process, or 0.
func childOf(t *testing.T, parent int) int {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for pid := range all {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue // it has ended since
		}
		text := string(data)
		if strings.Fields(text[strings.LastIndexByte(text, ')')+1:])[1] == strconv.Itoa(parent) {
			return pid
		}
	}
	return 0
}

func TestHoldsHUPUntilReady(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	p := spawn(t, i, shell(`trap "exit 5" HUP; echo; while :; do sleep 0.01; done`))
	early := spawn(t, i, Command{Path: "/bin/sleep", Args: []string{"sleep", "1000"}})
	f := NewForwarder(early)
	for range 3 {
		if err := f.Forward(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	// A TERM, unlike a HUP, is not held, so that the program's end tells what it got first.
	if err := f.Forward(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := ends(t, early); got.Signal() != unix.SIGTERM {
		t.Errorf("before it is ready: %s", got)
	}
	if err := f.Ready(); err != nil {
		t.Errorf("ready when it has ended: %v", err)
	}
	if err := f.Forward(unix.SIGTERM); err != nil {
		t.Errorf("a signal when it has ended: %v", err)
	}
	if err := early.Signal(unix.SIGTERM); !errors.Is(err, ErrEnded) {
		t.Errorf("Signal when it has ended: %v", err)
	}
	f = NewForwarder(p)
	if err := f.Forward(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trap is set", func() bool {
		return testenv.SignalMask(t, statusOf(t, p.PID()), "SigCgt")&bit(unix.SIGHUP) != 0
	})
	if err := f.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := ends(t, p).ExitCode(); got != 5 {
		t.Errorf("when it is ready: exit status %d", got)
	}
}

func statusOf(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestStormLosesNothing sends one signal as fast as can be, and one each of two others in between.
func TestStormLosesNothing(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	storm := spawn(t, i, shell(`while :; do kill -USR1 1; kill -40 1; done`))
	began := uint64(0)
	for deadline := time.After(patience); began&bit(unix.SIGUSR1) == 0 || began&bit(40) == 0; {
		select {
		case s := <-i.Signals():
			began |= bit(s)
		case <-deadline:
			t.Fatalf("the storm does not begin: %#x", began)
		}
	}
	for round := range 200 {
		for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, 50} {
			if err := unix.Kill(1, s); err != nil {
				t.Fatal(err)
			}
		}
		missing := bit(unix.SIGTERM) | bit(unix.SIGINT) | bit(unix.SIGHUP) | bit(50)
		for deadline := time.After(patience); missing != 0; {
			select {
			case s := <-i.Signals():
				missing &^= bit(s)
			case <-deadline:
				t.Fatalf("round %d: lost signals: %#x", round, missing)
			}
		}
	}
	if err := storm.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ends(t, storm)
}
