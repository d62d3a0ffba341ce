package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
)

// PIDFile is a PID file that an earlier daemon left behind. A daemon takes a number in it for a sign that it is running
// already, whatever process has that number by now (moby's pkg/pidfile; moby issue 40292).
type PIDFile struct {
	Path string `json:"path"`
	PID  int    `json:"pid"`
	// Alive tells that a process of one of the daemon's names has that PID, so that the file is not stale.
	Alive bool `json:"alive,omitempty"`
	// Process is the name of the process with that PID, "" where there is none.
	Process string `json:"process,omitempty"`
}

// maxPIDFile is more than any PID file holds, in bytes.
const maxPIDFile = 64

// ObservePIDFiles looks at the PID files of dockerd and of the containerd that it starts itself (containerd/containerd.pid
// below its exec-root). Files that hold no number are none of theirs and left out.
func ObservePIDFiles(e Effective) ([]PIDFile, error) {
	names := []string{e.Pidfile()}
	if e.ContainerdAddress() == "" {
		names = append(names, filepath.Join(e.ExecRoot(), "containerd", "containerd.pid"))
	}
	var found []PIDFile
	for _, name := range names {
		if name == "" {
			continue
		}
		f, err := readPIDFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.PID > 0 {
			found = append(found, f)
		}
	}
	return found, nil
}

func readPIDFile(name string) (PIDFile, error) {
	f := PIDFile{Path: name}
	st, err := os.Stat(name)
	if err != nil {
		return f, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxPIDFile {
		return f, nil
	}
	data, err := smallfile.Read(name)
	if err != nil {
		return f, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return f, nil // not a PID file: whose it is we do not know
	}
	f.PID = pid
	if pid == os.Getpid() {
		return f, nil // our own number: the daemon that had it before us is gone
	}
	comm, err := smallfile.Read(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err == nil {
		f.Process = strings.TrimSpace(string(comm))
	}
	f.Alive = f.Process == "dockerd" || f.Process == "containerd" || f.Process == "docker-containe"
	return f, nil
}

// String tells what Apply does.
func (f PIDFile) String() string { return "remove the stale PID file " + f.Path }

// Apply removes the file, unless its daemon has come to life in between.
func (f PIDFile) Apply(context.Context) (kept bool, err error) {
	now, err := readPIDFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case now.Alive:
		return false, fmt.Errorf("%s: the process %d, %s, is running", f.Path, now.PID, now.Process)
	case now.PID != f.PID:
		return false, fmt.Errorf("%s has changed while it was looked at", f.Path)
	}
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return false, nil
}
