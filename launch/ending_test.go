package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

const endVar = "DOCKERLAUNCH_TEST_END"

// firstProcesses are what PID 1 of a machine may run into before it knows anything of its machine.
var firstProcesses = map[string]func(s *supervisor) error{
	// The root is empty and read-only.
	"no /proc": func(s *supervisor) error { return s.supervise(context.Background()) },
	"a panic":  func(*supervisor) error { panic("x is broken") },
	"a goroutine's panic": func(s *supervisor) error {
		s.init.Go(func() { panic("x is broken") })
		select {}
	},
	"a signal that somebody else took": func(s *supervisor) error {
		s.init.Go(func() { <-s.over; s.passOn(unix.SIGPWR) })
		return errors.New("x is broken")
	},
	"no error": func(*supervisor) error { return nil },
}

// TestFirstProcessEnds: PID 1 of a machine ends by reboot(2) and by nothing else, before its machine is known too. In a PID
// namespace that call ends PID 1 with SIGHUP for a reboot and SIGINT for power off (reboot(2)).
func TestFirstProcessEnds(t *testing.T) {
	if name := os.Getenv(endVar); name != "" {
		firstProcess(name)
		return
	}
	testenv.NeedRoot(t)
	t.Parallel() // it waits most of the time
	for name, c := range map[string]struct {
		says string
		send unix.Signal // at the count-down
		ends unix.Signal
	}{
		"no /proc":                         {"/proc", unix.SIGUSR2, unix.SIGINT},
		"a panic":                          {"please report it: x is broken", unix.SIGTERM, unix.SIGHUP},
		"a goroutine's panic":              {"please report it: x is broken", unix.SIGUSR2, unix.SIGINT},
		"a signal that somebody else took": {"x is broken", 0, unix.SIGINT},
		"no error":                         {"has come to its end", 0, unix.SIGHUP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestFirstProcessEnds$")
			cmd.Env = append(os.Environ(), endVar+"="+name)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
			said, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
			defer late.Stop()
			var text strings.Builder
			for lines := bufio.NewScanner(said); lines.Scan(); {
				fmt.Fprintln(&text, lines.Text())
				if c.send != 0 && strings.Contains(lines.Text(), "reboot in ") {
					if err := cmd.Process.Signal(c.send); err != nil {
						t.Error(err)
					}
				}
			}
			err = cmd.Wait()
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || !status.Signaled() || status.Signal() != c.ends {
				t.Errorf("it ends with %v, want %v\n%s", err, c.ends, text.String())
			}
			if !strings.Contains(text.String(), "cannot go on: ") || !strings.Contains(text.String(), c.says) {
				t.Errorf("it does not say %q:\n%s", c.says, text.String())
			}
		})
	}
}

// firstProcess is PID 1 of a namespace that takes it for a machine. Its root is empty, so that none of what an end does to a
// machine reaches the one it is on.
func firstProcess(name string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if os.Getpid() != 1 || host.FirstProcess() {
		fail(errors.New("this is no PID namespace of its own"))
	}
	fail(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	fail(unix.Mount("none", "/mnt", "tmpfs", unix.MS_RDONLY, ""))
	fail(unix.Chroot("/mnt"))
	fail(os.Chdir("/"))
	s := newSupervisor(Config{}, true)
	if name != "no /proc" {
		// Nobody is to be seen without /proc, so that each end would wait for processes as long as it does for those that stay.
		s.fatal.Stop = nil
	}
	os.Exit(s.main(func() error { return firstProcesses[name](s) }))
}

// TestSignalsOfAMachine: of the signals that PID 1 of a machine may get, those that ask it for nothing do not reach the
// daemon; and once the end has begun no daemon is started, and requests reach the end.
func TestSignalsOfAMachine(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	var said lines
	log := logrus.New()
	log.SetOutput(&said)
	pidFile := t.TempDir() + "/pid"
	s := newSupervisor(Config{Log: log, Environ: os.Environ()}, true)
	init, err := pidone.Start(pidone.Options{OnPanic: s.panicked})
	if err != nil {
		t.Fatal(err)
	}
	s.init = init
	s.plan = &Plan{Habitat: host.Machine, Command: Command{Path: "/bin/sh", Args: []string{"-c", "echo $$ >>" + pidFile + "; exec sleep 1000"}}}
	go s.run()
	pid := 0
	wait(t, "daemon", func() bool {
		text, err := os.ReadFile(pidFile)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	for _, signal := range []unix.Signal{unix.SIGQUIT, unix.SIGABRT, 40} {
		if err := unix.Kill(1, signal); err != nil {
			t.Fatal(err)
		}
		wait(t, "message", func() bool { return said.has(pidone.SignalName(signal) + " was sent to PID 1") })
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}

	s.beginEnd()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(1, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	select {
	case action := <-s.sooner:
		if action != power.PowerOff {
			t.Errorf("the end is asked to %s", action)
		}
	case <-time.After(time.Minute):
		t.Fatal("the end is not asked")
	}
	for name, start := range map[string]func() error{"the daemon": s.startDaemon, "containerd": s.runContainerd} {
		if err := start(); err != nil {
			t.Errorf("%s, at the end: %v", name, err)
		}
	}
	if text, err := os.ReadFile(pidFile); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("the daemon was started in the midst of the end: %q, %v", text, err)
	}
}

// TestLogThatIsSlow: what a console has not taken yet is not lost when another log takes over.
func TestLogThatIsSlow(t *testing.T) {
	console := t.TempDir() + "/console"
	if err := unix.Mkfifo(console, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(console, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 4096)) // until it takes nothing
	}
	s := newSupervisor(Config{}, true)
	s.useLog(&machine.Log{Verbosity: machine.Verbosity{Console: machine.Debug}, Console: machine.OpenTerminal(console)})
	for _, line := range []string{"a first line", "one that waits behind it", "the last line"} {
		s.config.log().Warn(line)
	}
	all := make(chan string, 1)
	go func() {
		time.Sleep(100 * time.Millisecond) // that is how slow it is
		var text []byte
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && !strings.Contains(string(text), "the last line"); {
			var data [65536]byte
			if n, err := unix.Read(fd, data[:]); err == nil {
				text = append(text, data[:n]...)
			} else {
				time.Sleep(time.Millisecond)
			}
		}
		all <- string(text)
	}()
	begin := time.Now()
	s.useLog(&machine.Log{})
	if took := time.Since(begin); took > flushLimit+10*time.Second {
		t.Errorf("it waited for %v", took)
	}
	if !strings.Contains(<-all, "the last line") {
		t.Error("the line is lost")
	}
}

func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is no %s", what)
		}
	}
}

// lines is what was said.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *lines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}
