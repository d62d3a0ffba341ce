package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterNamespaces are those of PID 1 that a command joins. The PID namespace counts for the child alone (setns(2)).
const enterNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// cancelSignal makes the enter stage kill its child. Pdeathsig would be simpler, but Go's fork compares parent PIDs to find a
// parent that has died meanwhile, and across PID namespaces they always differ (syscall/exec_linux.go).
const cancelSignal = unix.SIGUSR1

// enterFailed is the exit status when a command could not be brought inside, as docker's own for "docker itself failed".
const enterFailed = 125

// Command returns a command that runs a program of the tree inside the sandbox, with DefaultEnv and / as its folder. Its
// end, and its children's, comes with the end of ctx or of the sandbox. Its processes are in the cgroups that PID 1 is in, as
// those of a program that PID 1 started would be; call it when PID 1 has settled there (Ready).
func (s *Sandbox) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, selfExe)
	cmd.Args = append([]string{enterName, strconv.Itoa(s.pid), strconv.FormatUint(s.start, 10), name}, args...)
	cmd.Env = DefaultEnv()
	// Not within reach of a terminal's signals, which are for the program that runs the sandbox.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(cancelSignal) }
	cmd.WaitDelay = outputDelay
	return cmd
}

// Docker returns a command that runs the tree's docker client inside the sandbox.
func (s *Sandbox) Docker(ctx context.Context, args ...string) *exec.Cmd {
	return s.Command(ctx, "docker", args...)
}

// runEnter is the enter stage: PID, start time, program and arguments. It returns the program's exit status.
func runEnter(args []string) int {
	runtime.LockOSThread()
	closeFrom3()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, cancelSignal, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	code, err := enter(args, signals)
	if err != nil {
		complain("enter", err)
		return enterFailed
	}
	return code
}

func enter(args []string, signals <-chan os.Signal) (int, error) {
	if len(args) < 3 {
		return 0, errors.New("usage: PID START PROGRAM [ARGS...]")
	}
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return 0, err
	}
	if err := joinNamespaces(pid, args[1]); err != nil {
		return 0, err
	}
	// From here on, this thread looks things up inside.
	path, err := exec.LookPath(args[2])
	if err != nil {
		return 0, err
	}
	child, err := syscall.ForkExec(path, args[2:], &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return 0, fmt.Errorf("running %s: %w", path, err)
	}
	go func() {
		for sig := range signals {
			if sig == cancelSignal {
				sig = unix.SIGKILL
			}
			// A child that has just ended gets none, and its PID is not reused before it is waited for below.
			_ = unix.Kill(child, sig.(syscall.Signal))
		}
	}()
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(child, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("waiting for %s: %w", path, err)
		}
		break
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// joinNamespaces moves this thread into the namespaces of a process that started at the given time.
func joinNamespaces(pid int, start string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("the sandbox's PID %d: %w", pid, err)
	}
	defer unix.Close(fd)
	// With the pidfd open the PID cannot change hands unnoticed any more; it may have before.
	now, err := startTime(pid)
	if err != nil {
		return err
	}
	if strconv.FormatUint(now, 10) != start {
		return fmt.Errorf("PID %d is no longer the sandbox's", pid)
	}
	// Before the namespaces: the groups are found on the host's mounts.
	if err := joinGroups(pid); err != nil {
		return err
	}
	// A mount namespace cannot be joined while root and working folder are shared with other threads (setns(2)).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leaving the shared root: %w", err)
	}
	if err := unix.Setns(fd, enterNamespaces); err != nil {
		return fmt.Errorf("joining the namespaces of PID %d: %w", pid, err)
	}
	return nil
}

// joinGroups moves this process into the group of another one in every hierarchy. From a group outside the sandbox's cgroup
// namespace, a path in /proc/PID/cgroup would begin with /.. there (cgroup_namespaces(7)). PID 1's own group may hold
// processes, which another one of the sandbox's groups may not on v2.
func joinGroups(pid int) error {
	hs, err := hierarchiesOf(strconv.Itoa(pid))
	if err != nil {
		return err
	}
	for _, h := range hs {
		if err := join(h.Own, os.Getpid()); err != nil {
			return err
		}
	}
	return nil
}
