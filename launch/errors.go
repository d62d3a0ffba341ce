package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Exit statuses of the launcher. Once a daemon was started, its status is the launcher's.
const (
	ExitUsage         = 2   // the command line is wrong
	ExitCannotLaunch  = 3   // the system is not fit to start the daemon on
	ExitNotExecutable = 126 // the daemon is there and cannot be executed
	ExitNotFound      = 127 // there is no such daemon
	ExitSignal        = 128 // plus the signal's number: stopped before the daemon was started
)

// UsageError is a mistake in the arguments or the configuration.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// RefusedError tells why the daemon is not started. Everything that stands in the way is listed at once, and nothing was
// changed but the mounts without which the system cannot be looked at.
type RefusedError struct{ Reasons []string }

func (e *RefusedError) Error() string {
	if len(e.Reasons) == 1 {
		return "not starting the daemon: " + e.Reasons[0]
	}
	return fmt.Sprintf("not starting the daemon, for %d reasons:\n  %s", len(e.Reasons), strings.Join(e.Reasons, "\n  "))
}

// StepError is a required step that failed.
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// ExecError tells that the daemon was not found or could not be executed.
type ExecError struct {
	Daemon string
	Err    error
	// Found tells that a file of that name is there.
	Found bool
}

func (e *ExecError) Error() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist) && e.Found:
		return fmt.Sprintf("%s: %v, though the file is there: its interpreter, named in its ELF header or #! line, is missing from this root", e.Daemon, e.Err)
	case errors.Is(e.Err, fs.ErrNotExist) && strings.Contains(e.Daemon, "/"):
		return fmt.Sprintf("%s: there is no such daemon: install docker.io, or name the daemon's path", e.Daemon)
	case errors.Is(e.Err, fs.ErrNotExist):
		return fmt.Sprintf("%s: there is no such daemon in PATH: install docker.io, or name the daemon's path", e.Daemon)
	case errors.Is(e.Err, unix.ENOEXEC):
		return fmt.Sprintf("%s: %v: it is not a program for this machine's architecture", e.Daemon, e.Err)
	default:
		return fmt.Sprintf("cannot execute %s: %v", e.Daemon, e.Err)
	}
}

func (e *ExecError) Unwrap() error { return e.Err }

// SignalError tells that a signal ended the launch before the daemon was started.
type SignalError struct{ Signal unix.Signal }

func (e *SignalError) Error() string {
	return fmt.Sprintf("stopped by %s before the daemon was started", unix.SignalName(e.Signal))
}

// ExitStatus returns the exit status that belongs to an error of this package, 0 for nil.
func ExitStatus(err error) int {
	var (
		usage   *UsageError
		program *ExecError
		signal  *SignalError
		ended   *DaemonError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &ended):
		return ended.Status.ExitCode()
	case errors.As(err, &signal):
		return ExitSignal + int(signal.Signal)
	case errors.As(err, &program):
		if errors.Is(program.Err, fs.ErrNotExist) {
			return ExitNotFound
		}
		return ExitNotExecutable
	default:
		return ExitCannotLaunch
	}
}
