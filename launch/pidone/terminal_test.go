package pidone

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fromBackground is what a supervisor writes to the terminal that is its program's.
const fromBackground = "supervisor, in the background"

// terminal returns both ends of a new terminal that stops background processes that write to it.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	modes, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	modes.Lflag |= unix.TOSTOP
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, modes); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// onTerminal starts a supervisor on a terminal and returns what is written there, line by line.
func onTerminal(t *testing.T, cmd *exec.Cmd) (master *os.File, lines chan string) {
	t.Helper()
	master, slave := terminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	lines = make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(master); s.Scan(); {
			lines <- strings.TrimSpace(s.Text())
		}
	}()
	return master, lines
}

func nextLine(t *testing.T, lines chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(patience):
		t.Fatal("nothing more is written to the terminal")
		return ""
	}
}

// TestForeground: the program has the terminal, Ctrl-C goes to it, and its supervisor writes all the same.
func TestForeground(t *testing.T) {
	// Process group, session and the terminal's foreground group (proc(5)).
	script := "set -- $(cut -d' ' -f5,6,8 /proc/self/stat); echo group $1 session $2 foreground $3; exec sleep 1000"
	for _, test := range []struct {
		role          string
		pid1, control bool
	}{
		{"supervise-foreground", true, true},
		{"supervise-foreground", false, true},
		{"supervise-session", true, false},
		{"supervise-session", false, false},
	} {
		t.Run(fmt.Sprintf("%s as PID 1 %v", test.role, test.pid1), func(t *testing.T) {
			cmd := program(t, test.role, "/bin/sh", "-c", script)
			if test.pid1 {
				asPID1(t, cmd)
			}
			cmd.SysProcAttr.Setctty = test.control
			master, lines := onTerminal(t, cmd)
			var group, session, foreground int
			seen := ""
			for range 2 {
				line := nextLine(t, lines)
				if seen += line; line == fromBackground {
					continue
				}
				if _, err := fmt.Sscanf(line, "group %d session %d foreground %d", &group, &session, &foreground); err != nil {
					t.Fatalf("%v: %q", err, line)
				}
			}
			if !strings.Contains(seen, fromBackground) {
				t.Errorf("the supervisor wrote nothing: %q", seen)
			}
			child := childOf(t, cmd.Process.Pid)
			wantSession := cmd.Process.Pid
			if !test.control {
				wantSession = child
			}
			if group != child || foreground != child || session != wantSession {
				t.Errorf("process %d has group %d, session %d, and %d is in the foreground", child, group, session, foreground)
			}
			if got, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPGRP); err != nil || got != child {
				t.Errorf("tcgetpgrp: %d %v, want %d", got, err, child)
			}
			if _, err := master.WriteString("\x03"); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			var ended *exec.ExitError
			if !errors.As(err, &ended) || ended.ExitCode() != 128+int(unix.SIGINT) {
				t.Errorf("after Ctrl-C: %v", err)
			}
		})
	}
}

// superviseAndDie starts a process that is to die with it, from a thread that ends before.
func superviseAndDie() int {
	i, err := Start(Options{})
	if err != nil {
		return complain(err)
	}
	type result struct {
		p      *Process
		thread int
		err    error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with this goroutine
		p, err := i.Spawn(Command{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, ParentDeathSignal: unix.SIGKILL})
		results <- result{p, unix.Gettid(), err}
	}()
	r := <-results
	if r.err != nil {
		return complain(r.err)
	}
	// A main thread that is done only waits, and is there still.
	for r.thread != os.Getpid() {
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(r.thread)); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-r.p.Done():
		return complain(errors.New("the process died with the thread"))
	case <-time.After(50 * time.Millisecond):
	}
	fmt.Println(r.p.PID())
	return 0
}

func TestDiesWithTheParent(t *testing.T) {
	out, err := program(t, "supervise-and-die").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process has died with its parent", func() bool {
		err := unix.Kill(pid, 0)
		if err == nil {
			// Where nobody reaps it, it stays a zombie.
			all, err := processes()
			return err == nil && (all[pid] == "Z" || all[pid] == "")
		}
		return err == unix.ESRCH
	})
}
