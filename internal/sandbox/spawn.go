package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dataTarget is where State/docker is mounted: dockerd's default data-root.
const dataTarget = "/var/lib/docker"

// selfExe is this program also when its file was replaced or removed, and inside a new PID namespace.
const selfExe = "/proc/self/exe"

// outputDelay bounds the wait for a launcher's output after its end: its descendants die with it, so nobody else holds the pipes.
const outputDelay = 5 * time.Second

// stage is the parent's side of the init stage.
type stage struct {
	config *os.File // written to, then closed: the stage begins
	status *os.File // read from; it ends when the launcher has been executed
	pidfd  *os.File
}

func (st *stage) close() {
	for _, f := range []*os.File{st.config, st.status, st.pidfd} {
		f.Close() // a descriptor of this process alone: nothing is lost
	}
}

// spawn starts the init stage, which waits.
func (s *Sandbox) spawn() (*stage, error) {
	configR, configW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer configR.Close()
	statusR, statusW, err := os.Pipe()
	if err != nil {
		configW.Close()
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer statusW.Close()
	pidfd := -1
	cmd := &exec.Cmd{
		Path: selfExe, Args: []string{initName}, Env: []string{},
		ExtraFiles: []*os.File{configR, statusW}, // become descriptors 3 and 4
		WaitDelay:  outputDelay,
		SysProcAttr: &syscall.SysProcAttr{
			// The cgroup namespace comes later: its root is the group at the moment of its making.
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			// A session of its own: a terminal's Ctrl-C is for the parent, which decides.
			Setsid:    true,
			Pdeathsig: unix.SIGKILL,
			PidFD:     &pidfd,
		},
	}
	cmd.Stdout, cmd.Stderr = s.tail.writers(s.opts.Stdout, s.opts.Stderr)

	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that forked ends, so this one stays until the child has ended, and is not unlocked.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		s.end = ExitError{Code: exitCode(cmd.ProcessState), Output: s.tail.lines()}
		// A status is in Code; anything else is about the output.
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			s.end.Output = append(s.end.Output, "("+err.Error()+")")
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		configW.Close()
		statusR.Close()
		return nil, fmt.Errorf("starting a process in namespaces of its own: %w", err)
	}
	s.cmd, s.pid = cmd, cmd.Process.Pid
	st := &stage{config: configW, status: statusR, pidfd: os.NewFile(uintptr(pidfd), "pidfd")}
	if pidfd < 0 {
		err = errors.New("the kernel gave no pidfd: Linux 5.4 or later is needed")
	} else {
		s.start, err = startTime(s.pid)
	}
	if err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

// exitCode is the status as a shell would show it.
func exitCode(ps *os.ProcessState) int {
	if ps == nil {
		return -1
	}
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ps.ExitCode()
}

// stageConfig is what the init stage is told.
type stageConfig struct {
	Root, State, Launcher, Hostname string
	Argv, Env, Hide                 []string
	Binds                           []Bind
	Files                           []File
	ReadonlyRoot, HostCgroupNS      bool
	UID, GID                        int
	DropCaps                        []int
}

func (s *Sandbox) stageConfig() (*stageConfig, error) {
	o := s.opts
	cfg := &stageConfig{
		Root: o.Root, State: o.State, Launcher: o.Launcher, Hostname: o.Hostname,
		Argv: o.Argv, Env: o.Env, Hide: o.Hide, Binds: o.Binds, Files: o.Files,
		ReadonlyRoot: o.ReadonlyRoot, HostCgroupNS: o.HostCgroupNS,
		UID: o.UID, GID: o.GID, DropCaps: o.DropCaps,
	}
	if o.NAT {
		conf, err := resolvers()
		if err != nil {
			return nil, err
		}
		cfg.Files = append([]File{{Path: "/etc/resolv.conf", Data: conf}}, o.Files...)
	}
	cfg.Binds = append([]Bind{{Source: filepath.Join(o.State, "docker"), Target: dataTarget}}, o.Binds...)
	return cfg, nil
}

// message is what the init stage says: a notice, or the error that ended it.
type message struct {
	Volatile bool
	Error    string
	Errno    syscall.Errno
}

// StageError is an error of the stage that prepares the inside of a sandbox.
type StageError struct {
	Text  string
	Errno syscall.Errno // 0 where the kernel did not refuse
}

func (e *StageError) Error() string { return "inside the sandbox, before the launcher: " + e.Text }

// Unwrap returns the kernel's answer, for errors.Is.
func (e *StageError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// run tells the stage to begin and waits until it has executed the launcher.
func (st *stage) run(ctx context.Context, cfg *stageConfig, s *Sandbox) error {
	if err := json.NewEncoder(st.config).Encode(cfg); err != nil {
		return fmt.Errorf("talking to the init stage: %w", err)
	}
	if err := st.config.Close(); err != nil {
		return fmt.Errorf("talking to the init stage: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { st.status.SetReadDeadline(time.Now()) }) // os.Pipe supports deadlines
	defer stop()
	ready := false
	for dec := json.NewDecoder(st.status); ; {
		var m message
		if err := dec.Decode(&m); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			break
		}
		if m.Error != "" {
			return &StageError{Text: m.Error, Errno: m.Errno}
		}
		s.volatile, ready = m.Volatile, true
	}
	// The status pipe closes when the launcher is executed, and also when the stage dies on the way.
	if !ready {
		select {
		case <-s.done:
		case <-time.After(time.Second):
		}
		return fmt.Errorf("the init stage ended without a word: %s", strings.Join(s.tail.lines(), "\n"))
	}
	return nil
}
