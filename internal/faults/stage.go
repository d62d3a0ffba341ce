//go:build linux && amd64

package faults

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stageName is argv[0] of the stage: a program that uses this package begins its main with Init, which makes it one.
const stageName = "faults-stage"

// limit bounds a run with stubs. What a launcher waits for by itself is shorter, but for the 30 s that an execve may take.
const limit = 20 * time.Second

// stageConfig is what the stage reads from its stdin.
type stageConfig struct {
	Scene
	Fault *Fault `json:"fault"`
	// Scratch is a folder for the stage's mounts.
	Scratch string `json:"scratch"`
	// Back are the cgroup.procs of the groups that the stage returns to once the launcher has been started in its own.
	Back []string `json:"back"`
}

// stageResult is what it prints.
type stageResult struct {
	Trace *Trace `json:"trace"`
	Error string `json:"error"`
}

// Init runs the stage where this process is one, and does not return then.
func Init() {
	if os.Args[0] != stageName {
		return
	}
	runtime.LockOSThread() // ptrace(2) is by the thread that started the tracee
	var result stageResult
	trace, err := runStage()
	if result.Trace = trace; err != nil {
		result.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, stageName+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runStage() (*Trace, error) {
	var c stageConfig
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var back []*os.File
	for _, path := range c.Back {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		back = append(back, f)
	}
	null, err := os.Open(os.DevNull) // the tree has none yet
	if err != nil {
		return nil, err
	}
	proc, err := os.OpenRoot("/proc")
	if err != nil {
		return nil, err
	}
	if err := c.enterRoot(); err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: launcherPath, Args: append([]string{launcherPath}, c.Args...), Env: append([]string{}, c.Env...), Dir: "/",
		Stdin: null, Stdout: os.Stderr, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
			unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP},
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	return follow(cmd, c.Fault, proc, cmp.Or(c.Limit, limit), func() error {
		go func() {
			for range stop {
				// A launcher that has just ended is waited for by this process alone, which ends then.
				_ = unix.Kill(cmd.Process.Pid, unix.SIGTERM)
			}
		}()
		for _, f := range back {
			if _, err := f.WriteString(strconv.Itoa(os.Getpid())); err != nil {
				return fmt.Errorf("leaving the launcher's cgroup: %w", err)
			}
		}
		return nil
	})
}

// launcherPath is where the launcher lies in the tree.
const launcherPath = "/usr/bin/dockerlaunch"

// enterRoot makes an overlay on the root tree, with the programs under test in it, this process's root. All of it is in memory.
func (c *stageConfig) enterRoot() error {
	unix.Umask(0)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making all mounts private: %w", err)
	}
	if err := unix.Mount("faults", c.Scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	for _, dir := range []string{"upper/usr/bin", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(c.Scratch, dir), 0o755); err != nil {
			return err
		}
	}
	for target, source := range c.Programs {
		if err := place(source, filepath.Join(c.Scratch, "upper", target)); err != nil {
			return err
		}
	}
	merged := filepath.Join(c.Scratch, "merged")
	if err := os.Chdir(c.Scratch); err != nil {
		return err
	}
	if err := unix.Mount("faults", merged, "overlay", 0, "lowerdir="+c.Root+",upperdir=upper,workdir=work"); err != nil {
		return fmt.Errorf("mounting an overlay of %s: %w", c.Root, err)
	}
	if err := os.Chdir(merged); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// The data-root of a container is a volume.
	if err := os.MkdirAll("/var/lib/docker", 0o711); err != nil {
		return err
	}
	if err := unix.Mount("data", "/var/lib/docker", "tmpfs", 0, "mode=0711"); err != nil {
		return fmt.Errorf("mounting the data-root: %w", err)
	}
	unix.Umask(0o022)
	return nil
}

// place puts a program into the tree.
func place(source, target string) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(target, data, 0o755), os.Chmod(target, 0o755))
}
