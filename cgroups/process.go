package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is one that could not be moved out of a cgroup.
type Process struct {
	// PID is 0 for a process outside of the PID namespace: the kernel shows all of them as 0, and they cannot be moved from
	// inside, since a 0 that is written stands for the writer.
	PID int `json:"pid"`
	// Comm is the name from /proc/PID/comm, empty where it is gone or hidden.
	Comm string `json:"comm,omitempty"`
	// Kernel says that it is a kernel thread; many of those cannot be moved.
	Kernel bool `json:"kernel,omitempty"`
	// Err is what the kernel answered to moving it; nil where it was moved, or came, after the last look.
	Err error `json:"-"`
}

// String describes the process in a few words.
func (p Process) String() string {
	if p.PID == 0 {
		return "0 (outside of this PID namespace)"
	}
	text := strconv.Itoa(p.PID)
	var notes []string
	if p.Comm != "" {
		notes = append(notes, p.Comm)
	}
	if p.Kernel {
		notes = append(notes, "kernel thread")
	}
	if p.Err != nil {
		notes = append(notes, p.Err.Error())
		if errors.Is(p.Err, unix.EINVAL) && !p.Kernel {
			notes = append(notes, "it may have a real-time scheduling policy")
		}
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// describeAll lists processes, at most ten of them.
func describeAll(list []Process) string {
	var words []string
	for i, p := range list {
		if i == 10 {
			words = append(words, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		words = append(words, p.String())
	}
	return strings.Join(words, ", ")
}

// readPIDs reads cgroup.procs. 0 is in the list once for each process outside of the PID namespace.
func readPIDs(dir string) ([]int, error) {
	path := filepath.Join(dir, "cgroup.procs")
	text, err := readFile(path)
	if e, ok := errors.AsType[*Error](err); ok && errors.Is(err, unix.EOPNOTSUPP) {
		e.Kind = ErrThreaded
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, word := range strings.Fields(text) {
		pid, err := natural(word)
		if err != nil {
			return nil, failed("read", path, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// movePID writes a PID to cgroup.procs of a cgroup. The errno is returned as it is: ESRCH where the process is gone.
func movePID(dir string, pid int) error {
	err := writeFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Err
	}
	return err
}

// writeFile writes a cgroup file with one write(2), as the kernel wants it. The file is not made where it is missing.
func writeFile(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(value)
		// close(2) of a file in cgroupfs has nothing left to report.
		_ = file.Close()
	}
	if err != nil {
		e := failed("write", path, err)
		e.Data = value
		return e
	}
	return nil
}

// look fills in what /proc says about a process.
func look(pid int, cause error) Process {
	p := Process{PID: pid, Err: cause}
	if pid == 0 {
		return p
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if comm, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil {
		p.Comm = strings.TrimSpace(string(comm))
	}
	// A kernel thread has no program. The link of a process that has one can be read by root, or the error is another.
	_, err := os.Readlink(filepath.Join(dir, "exe"))
	p.Kernel = p.Comm != "" && errors.Is(err, fs.ErrNotExist)
	return p
}
