package pidone

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Stage is what a new process does between its fork and the program, in this order.
type Stage int32

// The stages.
const (
	StageFork Stage = iota
	StageParent
	StageSession
	StageOOMScore
	StageDir
	StageFiles
	StageTerminal
	StageLimits
	StageSignals
	StageExec
)

// String is the stage as part of a sentence.
func (s Stage) String() string {
	switch s {
	case StageFork:
		return "forking"
	case StageParent:
		return "asking for a signal at the parent's death"
	case StageSession:
		return "making a session or process group"
	case StageOOMScore:
		return "writing /proc/self/oom_score_adj"
	case StageDir:
		return "changing the directory"
	case StageFiles:
		return "passing on file descriptors"
	case StageTerminal:
		return "taking the terminal"
	case StageLimits:
		return "setting resource limits"
	case StageSignals:
		return "setting back signals"
	case StageExec:
		return "executing it"
	default:
		return fmt.Sprintf("stage %d", int32(s))
	}
}

// ExecError tells that a program was not started. Err is the errno of the system call that failed: with StageExec that of
// execve(2), with ENOENT where there is no such file or its interpreter is missing, EACCES where it may not be executed,
// ENOEXEC where it is not a program of this machine, E2BIG where arguments and environment are too long.
type ExecError struct {
	Path  string
	Stage Stage
	// Dir is the directory that was asked for, where StageDir failed.
	Dir string
	Err error
}

func (e *ExecError) Error() string {
	what := e.Stage.String()
	if e.Stage == StageDir {
		what += " to " + e.Dir
	}
	return fmt.Sprintf("starting %s: %s: %v", e.Path, what, e.Err)
}

func (e *ExecError) Unwrap() error { return e.Err }

// ExitStatus returns the status with which shells report this failure: 127 where the program was not found, 126 where it is
// there, or was not looked for, and was not executed.
func (e *ExecError) ExitStatus() int {
	if e.Stage == StageExec && errors.Is(e.Err, unix.ENOENT) {
		return 127
	}
	return 126
}
