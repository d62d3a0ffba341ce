// Package report is the record of one start: what each step came to and when, what was started and when it was ready. The
// launcher writes it, and `dockerlaunch timeline` shows it.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Path is where the launcher writes the report of the last start.
const Path = "/run/dockerlaunch/report.json"

// maxSize is more than any report has, in bytes.
const maxSize = 4 << 20

// Run is one start of the launcher. All times within it are nanoseconds since Started, so that a clock that is set
// meanwhile, as on a machine without one, does not bend them.
type Run struct {
	// Version is the launcher's.
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	Habitat string `json:"habitat"`
	// Started is when the launcher began, by the clock of then.
	Started time.Time `json:"started"`
	// Boot is how long the kernel had been running at Started, on a machine.
	Boot time.Duration `json:"boot_ns,omitempty"`
	// Daemon is the command line that was started.
	Daemon []string `json:"daemon,omitempty"`
	Steps  []Step   `json:"steps"`
	Events []Event  `json:"events"`
	// Ready is when the daemon said that it was; 0 where it did not.
	Ready time.Duration `json:"ready_ns,omitempty"`
	// Error is why the launch failed; empty where it did not.
	Error string `json:"error,omitempty"`
}

// Step is what became of a step of the plan.
type Step struct {
	Name string `json:"name"`
	// Lane is the sequence that the step belongs to; lanes run beside each other.
	Lane string `json:"lane"`
	// Outcome is kept, done, skipped, warned or failed.
	Outcome string        `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	Began   time.Duration `json:"began_ns"`
	Took    time.Duration `json:"took_ns"`
}

// Event is something that happened at a moment: a program that was started, a line by which it tells of its phases.
type Event struct {
	// Who is the program: "launcher", "containerd", "dockerd", "preload".
	Who  string        `json:"who"`
	What string        `json:"what"`
	At   time.Duration `json:"at_ns"`
}

// Write writes the report, whole or not at all.
func (r *Run) Write(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("the report of this start: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making a folder for the report of this start: %w", err)
	}
	part := path + ".part"
	if err := os.WriteFile(part, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report of this start: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("writing the report of this start: %w", errors.Join(err, os.Remove(part)))
	}
	return nil
}

// Read reads a report.
func Read(path string) (*Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the report of the last start: %w", err)
	}
	defer f.Close()
	return Parse(f)
}

// Parse reads a report.
func Parse(from io.Reader) (*Run, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading a report: %w", err)
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("reading a report: it is longer than %d bytes, as none is", maxSize)
	}
	r := &Run{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("this is no report of a start: %w", err)
	}
	if r.Steps == nil {
		return nil, errors.New("this is no report of a start: it has no steps")
	}
	return r, nil
}
