package pidone

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// Forwarder passes signals on to one process, and to none of its children: a daemon that is asked to stop sees to its own.
type Forwarder struct {
	process *Process

	mu    sync.Mutex
	ready bool
	held  bool // a HUP came before Ready
}

// NewForwarder returns a Forwarder to p.
func NewForwarder(p *Process) *Forwarder { return &Forwarder{process: p} }

// Forward passes a signal on. A HUP that comes before Ready is kept until then: it asks to read the configuration again, and
// ends a process that has not got so far as to handle it. A process that has ended gets nothing, and that is no error.
//
// A TSTP, by which a terminal or a shell stops a job, stops this process too, so that the shell sees its job stopped; PID 1
// goes on.
func (f *Forwarder) Forward(s unix.Signal) error {
	if s == unix.SIGHUP && f.hold() {
		return nil
	}
	if err := f.process.Signal(s); err != nil && !errors.Is(err, ErrEnded) {
		return err
	}
	if s == unix.SIGTSTP && !f.process.init.isPID1 {
		return unix.Kill(unix.Getpid(), unix.SIGSTOP)
	}
	return nil
}

// hold keeps a HUP where it is too early for it.
func (f *Forwarder) hold() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = f.held || !f.ready
	return !f.ready
}

// Ready tells that the process handles signals now, and passes a HUP on that was kept, several of them as one. It may be
// called again.
func (f *Forwarder) Ready() error {
	f.mu.Lock()
	held := f.held
	f.ready, f.held = true, false
	f.mu.Unlock()
	if !held {
		return nil
	}
	return f.Forward(unix.SIGHUP)
}
