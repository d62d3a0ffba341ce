package pidone

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrEnded tells that a process has ended, so that there is nothing to signal.
var ErrEnded = errors.New("the process has ended")

// Process is a process that Spawn started.
type Process struct {
	init   *Init
	pid    int
	done   chan struct{}
	status Status // written under init.mu before done is closed
}

// PID returns the process's id. Once the process has ended it may be another's.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status tells how the process ended. It is to be called after Done is closed; before, it is the zero Status.
func (p *Process) Status() Status {
	if !p.ended() {
		return Status{}
	}
	return p.status
}

// Wait waits for the process's end, or for that of the context, whose error it then returns.
func (p *Process) Wait(ctx context.Context) (Status, error) {
	select {
	case <-p.done:
		return p.status, nil
	case <-ctx.Done():
		return Status{}, fmt.Errorf("waiting for process %d: %w", p.pid, context.Cause(ctx))
	}
}

// Signal sends a signal to the process. It returns ErrEnded where there is none any more, and never reaches another process
// that got the same id.
func (p *Process) Signal(s unix.Signal) error { return p.kill(p.pid, s) }

// SignalGroup sends a signal to the process group that the process leads, which it does where it was started with Foreground
// or Session. It returns ErrEnded once the process has ended: the rest of a group that lost its leader is not reached.
func (p *Process) SignalGroup(s unix.Signal) error { return p.kill(-p.pid, s) }

func (p *Process) kill(pid int, s unix.Signal) error {
	// While the lock is held, the process is not reaped, so that its id is still its own.
	p.init.mu.Lock()
	defer p.init.mu.Unlock()
	if p.ended() {
		return ErrEnded
	}
	if err := unix.Kill(pid, s); err != nil {
		return fmt.Errorf("sending %s to process %d: %w", SignalName(s), p.pid, err)
	}
	return nil
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end is called with the lock held.
func (p *Process) end(s Status) {
	p.status = s
	close(p.done)
}

// Status tells how a process ended.
type Status struct{ wait unix.WaitStatus }

// ExitCode returns what a shell would: the code with which the process exited, or 128 plus the number of the signal that
// killed it.
func (s Status) ExitCode() int {
	if s.wait.Signaled() {
		return 128 + int(s.wait.Signal())
	}
	return s.wait.ExitStatus()
}

// Signal returns the signal that killed the process, or 0 where it exited by itself.
func (s Status) Signal() unix.Signal {
	if s.wait.Signaled() {
		return s.wait.Signal()
	}
	return 0
}

// String is "exit status 3", "killed by SIGSEGV" or "killed by SIGSEGV, with a core dump".
func (s Status) String() string {
	switch {
	case !s.wait.Signaled():
		return fmt.Sprintf("exit status %d", s.wait.ExitStatus())
	case s.wait.CoreDump():
		return fmt.Sprintf("killed by %s, with a core dump", SignalName(s.wait.Signal()))
	default:
		return "killed by " + SignalName(s.wait.Signal())
	}
}
