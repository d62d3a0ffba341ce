//go:build linux && amd64

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Scene is what is run.
type Scene struct {
	// Root is the folder of the root tree, which is not written to.
	Root string `json:"root"`
	// Programs are put into the tree: their paths there, and where they come from.
	Programs map[string]string `json:"programs"`
	// Args and Env are the launcher's.
	Args []string `json:"args"`
	Env  []string `json:"env"`
	// StopAt is what is written when the launcher is to be told to stop, by SIGTERM; "" where it ends by itself.
	StopAt string `json:"stop_at,omitempty"`
	// Limit bounds the run, from the launcher's start; 0 is limit.
	Limit time.Duration `json:"limit,omitempty"`
}

// listener keeps what is written, and acts when it hears a text.
type listener struct {
	heard bytes.Buffer // not embedded: io.Copy would pass Write by
	text  string
	act   func()
}

func (l *listener) Write(p []byte) (int, error) {
	n, err := l.heard.Write(p)
	if l.text != "" && bytes.Contains(l.heard.Bytes(), []byte(l.text)) {
		l.text = ""
		l.act()
	}
	return n, err
}

// Run is how a run ended.
type Run struct {
	*Trace
	// Said is what the launcher and what it started wrote.
	Said string
}

// Run runs the scene with a fault, or with none, as nil. Scratch is an empty folder that runs beside each other do not share.
func (s Scene) Run(ctx context.Context, fault *Fault, scratch string) (run *Run, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	groups, back, err := makeGroups("dockerlaunch-faults-" + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(scratch))
	defer func() { err = errors.Join(err, removeGroups(groups)) }()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(stageConfig{Scene: s, Fault: fault, Scratch: scratch, Back: back})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	var stdout bytes.Buffer
	// The stage hands the signal on; one that has ended needs none any more.
	said := listener{text: s.StopAt, act: func() { _ = cmd.Process.Signal(unix.SIGTERM) }}
	cmd.Args = []string{stageName}
	cmd.Stdout, cmd.Stderr = &stdout, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for _, dir := range groups {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0))
	}
	if err == nil {
		_, err = stdin.Write(config)
	}
	err = errors.Join(err, stdin.Close(), cmd.Wait())
	var result stageResult
	if err == nil {
		err = json.Unmarshal(stdout.Bytes(), &result)
	}
	if err == nil && result.Error != "" {
		err = errors.New(result.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("the stage of the run: %w\n%s", err, said.heard.String())
	}
	return &Run{Trace: result.Trace, Said: said.heard.String()}, nil
}

// makeGroups makes a group in every hierarchy that is mounted here, so that the launcher does not rearrange the machine's own
// groups, and returns them with the files by which this process's own are joined.
func makeGroups(name string) (groups, back []string, err error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, nil, err
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(info)) {
		mount, super, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields, kind := strings.Fields(mount), strings.Fields(super)
		if len(fields) < 5 || len(kind) < 3 || kind[0] != "cgroup" && kind[0] != "cgroup2" {
			continue
		}
		for entry := range strings.Lines(string(own)) {
			parts := strings.SplitN(strings.TrimSpace(entry), ":", 3)
			if len(parts) < 3 || (kind[0] == "cgroup2") != (parts[1] == "") ||
				parts[1] != "" && !strings.HasSuffix(","+kind[2], ","+parts[1]) && !strings.Contains(","+kind[2]+",", ","+parts[1]+",") {
				continue
			}
			mine := filepath.Join(fields[4], parts[2])
			if _, err := os.Stat(mine); err != nil {
				mine = fields[4] // in a container that shows its own group alone
			}
			dir := filepath.Join(mine, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				return groups, back, err
			}
			groups, back = append(groups, dir), append(back, filepath.Join(mine, "cgroup.procs"))
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				// A cpuset of v1 takes no processes before these are set; others lack the files, as v2's need nothing.
				if value, err := os.ReadFile(filepath.Join(mine, file)); err == nil && kind[0] == "cgroup" {
					if err := os.WriteFile(filepath.Join(dir, file), value, 0); err != nil {
						return groups, back, err
					}
				}
			}
		}
	}
	return groups, back, nil
}

// leftLimit bounds the wait for the last process of a run to be gone: the kernel ends them with PID 1.
const leftLimit = 10 * time.Second

// removeGroups removes the groups, with what the launcher made below; a process that is left in one is an error.
func removeGroups(groups []string) error {
	var errs []error
	for _, dir := range groups {
		end := time.Now().Add(leftLimit)
		for {
			err := removeTree(dir)
			if err == nil {
				break
			}
			if time.Now().After(end) {
				errs = append(errs, fmt.Errorf("something of the run is left: %w", err))
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}
