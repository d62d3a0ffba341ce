package pidone

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// endsBySignal are the signals whose default action ends a process (signal(7)).
func endsBySignal() (list []unix.Signal) {
	for s := firstSignal; s <= lastSignal; s++ {
		switch s {
		case unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		default:
			list = append(list, s)
		}
	}
	return list
}

func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || !cmd.ProcessState.Exited() {
		t.Fatalf("%v\n%s", err, out)
	}
	return cmd.ProcessState.ExitCode()
}

func TestEveryExitCode(t *testing.T) {
	for code := range 256 {
		cmd := asPID1(t, program(t, "supervise", "/bin/sh", "-c", fmt.Sprintf("exit %d", code)))
		if got := exitCode(t, cmd); got != code {
			t.Errorf("the program exits %d, its PID 1 %d", code, got)
		}
	}
}

func TestEverySignalThatKills(t *testing.T) {
	for _, s := range endsBySignal() {
		cmd := asPID1(t, program(t, "supervise", "/bin/sh", "-c", fmt.Sprintf("ulimit -c 0; kill -%d $$", s)))
		if got := exitCode(t, cmd); got != 128+int(s) {
			t.Errorf("%s kills the program, and its PID 1 exits %d", SignalName(s), got)
		}
	}
}

// TestNotStarted is what shells, tini and dumb-init end with where there is nothing to run.
func TestNotStarted(t *testing.T) {
	for path, want := range map[string]int{
		"/nonexistent": 127,
		"/etc/passwd":  126,
		"/etc":         126,
	} {
		if got := exitCode(t, asPID1(t, program(t, "supervise", path))); got != want {
			t.Errorf("%s: exit status %d, want %d", path, got, want)
		}
	}
}

// TestNobodyReads: PID 1 writes to a pipe that nobody reads, and goes on.
func TestNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := asPID1(t, program(t, "supervise-foreground", "/bin/sh", "-c", "exit 7"))
	cmd.Stdout = w
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Error(err)
	}
}

func TestStatusString(t *testing.T) {
	for wait, want := range map[unix.WaitStatus]string{
		0:                               "exit status 0",
		3 << 8:                          "exit status 3",
		255 << 8:                        "exit status 255",
		unix.WaitStatus(unix.SIGKILL):   "killed by SIGKILL",
		0x80 | 11:                       "killed by SIGSEGV, with a core dump",
		unix.WaitStatus(37):             "killed by SIGRTMIN+3",
		unix.WaitStatus(34):             "killed by SIGRTMIN",
		unix.WaitStatus(33):             "killed by signal 33",
		unix.WaitStatus(unix.SIGUSR1):   "killed by SIGUSR1",
		unix.WaitStatus(unix.SIGSTKFLT): "killed by SIGSTKFLT",
	} {
		s := Status{wait}
		if s.String() != want {
			t.Errorf("%#x: %q, want %q", uint32(wait), s, want)
		}
		if killed := s.Signal() != 0; killed != (s.ExitCode() > 128 && s.ExitCode() != 255) {
			t.Errorf("%#x: signal %d and exit code %d", uint32(wait), s.Signal(), s.ExitCode())
		}
	}
}
