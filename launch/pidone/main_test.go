package pidone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// These tests try what the suites of tini (test/run_inner_tests.py, test/sigconf) and dumb-init (tests/) try, and more:
//
//	tini: 256 exit codes by -e            TestEveryExitCode
//	tini: reaping, as subreaper too       TestOrphansLeaveNothing, TestNoStatusIsLost, TestSubreaper
//	tini: TERM, USR1, USR2 -> 128+n       TestEverySignalThatKills, TestEverySignalArrives
//	tini: process group, -g               TestGroup
//	tini: signal configuration            TestSignalsOfTheChild, TestInheritedIgnored; the mask is always empty here
//	tini: parent death signal, -p         TestDiesWithTheParent
//	dumb-init: exit_status                TestEveryExitCode, TestEverySignalThatKills
//	dumb-init: proxies_signals            TestEverySignalArrives
//	dumb-init: shell_background           TestStopAndContinue; TTIN and TTOU are ignored, as in tini
//	dumb-init: child_processes            TestGroup, TestNotStarted
//	dumb-init: tty                        TestForeground
//
// Without counterpart, as there is no such option: tini's -P, -R, -w, dumb-init's rewriting of signals, and its TERM to the
// session of a program that has ended.

// roleVar names the environment variable that makes the test binary one of the programs below instead of a test run.
const roleVar = "PIDONE_TEST_ROLE"

// patience bounds every wait of these tests. They run beside others on few processors.
const patience = time.Minute

func TestMain(m *testing.M) {
	if role, args := os.Getenv(roleVar), os.Args[1:]; role != "" {
		os.Unsetenv(roleVar)
		os.Exit(roles(role, args))
	}
	os.Exit(m.Run())
}

func roles(role string, args []string) int {
	switch role {
	case "supervise":
		return supervise(Command{}, args)
	case "supervise-foreground":
		return supervise(Command{Foreground: true}, args)
	case "print-signals":
		return printSignals()
	case "list-files":
		return listFiles()
	case "supervise-session":
		return supervise(Command{Foreground: true, Session: true}, args)
	case "supervise-orphans":
		return superviseOrphans()
	case "make-orphans":
		return makeOrphans(args[0])
	case "start-first":
		return startFirst(args[0] == "hurry")
	case "spawn-while-collecting":
		return spawnWhileCollecting()
	case "supervise-and-die":
		return superviseAndDie()
	}
	fmt.Fprintln(os.Stderr, "there is no role", role)
	return 99
}

// supervise is a whole init: it starts one program, passes signals on, and ends as the program does.
func supervise(c Command, args []string) int {
	i, err := Start(Options{})
	if err != nil {
		return complain(err)
	}
	c.Path, c.Args, c.Env, c.Stdout, c.Stderr = args[0], args, os.Environ(), 1, 2
	p, err := i.Spawn(c)
	if err != nil {
		status := complain(err)
		if e, ok := errors.AsType[*ExecError](err); ok {
			status = e.ExitStatus()
		}
		return status
	}
	if c.Foreground {
		fmt.Println(fromBackground)
	}
	f := NewForwarder(p)
	if err := f.Ready(); err != nil {
		return complain(err)
	}
	for {
		select {
		case s := <-i.Signals():
			if err := f.Forward(s); err != nil {
				return complain(err)
			}
		case <-p.Done():
			return p.Status().ExitCode()
		}
	}
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 99
}

// printSignals prints a line for each signal until it is killed.
func printSignals() int {
	// A buffer for more signals than are ever sent.
	caught := make(chan os.Signal, 1000)
	for s := firstSignal; s <= lastSignal; s++ {
		if s != unix.SIGURG { // the runtime's own
			signal.Notify(caught, s)
		}
	}
	fmt.Println("ready", os.Getpid())
	for s := range caught {
		fmt.Println(int(s.(unix.Signal)))
	}
	return 0
}

// program returns a command that runs the test binary in a role. It is killed when the test's thread ends or the time is over.
func program(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self(t), args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	return cmd
}

// asPID1 makes cmd the first process of a PID namespace.
func asPID1(t testing.TB, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	testenv.NeedRoot(t)
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	return cmd
}

func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// inNamespace runs the rest of a test as PID 1 of a PID namespace of its own. It returns nil where the test is to return.
func inNamespace(t *testing.T) *Init {
	t.Helper()
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return nil
	}
	i, err := Start(Options{OnPanic: func(value any, stack []byte) { t.Errorf("panic: %v\n%s", value, stack) }})
	if err != nil {
		t.Fatal(err)
	}
	if !i.IsPID1() {
		t.Fatal("this is not PID 1")
	}
	return i
}

// spawn starts a command with the environment and the output of this process.
func spawn(t testing.TB, i *Init, c Command) *Process {
	t.Helper()
	c.Env = append(os.Environ(), c.Env...)
	p, err := i.Spawn(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func shell(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

// ends waits for the end of a process.
func ends(t testing.TB, p *Process) Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// capture runs a command to its end and returns what it wrote to its output.
func capture(t testing.TB, i *Init, c Command) (string, Status) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	c.Stdout = int(w.Fd())
	p := spawn(t, i, c)
	w.Close()
	out := make(chan string)
	go func() {
		var text strings.Builder
		if _, err := r.WriteTo(&text); err != nil {
			t.Error(err)
		}
		out <- text.String()
	}()
	s := ends(t, p)
	return <-out, s
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// statusField returns a field of /proc/PID/status, such as State.
func statusField(t testing.TB, pid int, field string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the status of process %d", field, pid)
	return ""
}

// processes returns the states of all processes of this /proc, by id.
func processes() (map[int]string, error) {
	dirs, err := filepath.Glob("/proc/[1-9]*/stat")
	if err != nil {
		return nil, err
	}
	states := make(map[int]string)
	for _, dir := range dirs {
		data, err := os.ReadFile(dir)
		if err != nil {
			continue // it has ended since
		}
		text := string(data)
		pid, err := strconv.Atoi(text[:strings.IndexByte(text, ' ')])
		if err != nil {
			return nil, err
		}
		// The name, in parentheses, may contain anything, parentheses too.
		states[pid] = text[strings.LastIndexByte(text, ')')+2:][:1]
	}
	return states, nil
}
