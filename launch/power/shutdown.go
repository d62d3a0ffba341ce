package power

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Steps is what a shutdown does that only its caller knows how to do. Functions that are nil are left out.
type Steps struct {
	// Action is what ends the machine.
	Action Action
	// Machine is false in a container: there the daemon and the other processes are stopped and Shutdown returns, for the
	// caller to exit. Mounts, clock and reboot(2) are not the container's.
	Machine bool

	// StopDaemon ends the daemon and waits for it; DaemonLimit is the time it gets, the daemon's own shutdown timeout with a
	// margin. 25 s where zero: dockerd gives its containers 15.
	StopDaemon  func(context.Context) error
	DaemonLimit time.Duration
	// Grace is the time that the other processes get between SIGTERM and SIGKILL, 10 s where zero.
	Grace time.Duration
	// Save keeps what the next boot is to find: clock and entropy.
	Save func(context.Context) error
	// Unmount unmounts what can be unmounted, in reverse.
	Unmount func(context.Context) error

	// Again tells of each further request while the shutdown goes on. The first hurries it: what is left gets few seconds. The
	// second forces it: SIGKILL, a short sync, and the end.
	Again <-chan struct{}
	// Tell shows what goes on; problem is what went wrong.
	Tell func(problem bool, text string)

	system system
}

// system is what a test replaces, since the real thing would end the machine it runs on. Fields that are nil are the real thing.
type system struct {
	processes func() ([]Process, error)
	signal    func(unix.Signal) error
	sync      func(context.Context) error
	readOnly  func(context.Context) error
	reboot    func(Action, bool) error
	// faster divides the limits of the steps.
	faster time.Duration
}

func (s system) complete() system {
	if s.processes == nil {
		s.processes = otherProcesses
	}
	if s.signal == nil {
		s.signal = signalOthers
	}
	if s.sync == nil {
		s.sync = Sync
	}
	if s.readOnly == nil {
		s.readOnly = ReadOnlyRoot
	}
	if s.reboot == nil {
		s.reboot = Action.Do
	}
	if s.faster == 0 {
		s.faster = 1
	}
	return s
}

// limits are the times a step gets: as it should be, hurried, and forced; zero leaves it out.
type limits [3]time.Duration

// step is one of a shutdown's.
type step struct {
	name    string
	limits  limits
	do      func(context.Context) error
	machine bool // for a machine only
}

const (
	killLimit = 10 * time.Second
	syncLimit = 30 * time.Second
	// progress is how often a step that takes long says so.
	progress = 5 * time.Second
	// pollEvery is how often it is looked whether processes have ended.
	pollEvery = 50 * time.Millisecond
)

func (s Steps) list() []step {
	daemon, grace := s.DaemonLimit, s.Grace
	if daemon == 0 {
		daemon = 25 * time.Second
	}
	if grace == 0 {
		grace = 10 * time.Second
	}
	sys := s.system
	sync := step{"write everything to the disks", limits{syncLimit, 10 * time.Second, 5 * time.Second}, sys.sync, true}
	return []step{
		{"stop the daemon", limits{daemon, 3 * time.Second, 0}, s.StopDaemon, false},
		{"ask the other processes to end", limits{grace, 2 * time.Second, 0}, sys.terminate, false},
		{"kill the processes that are left", limits{killLimit, 5 * time.Second, 2 * time.Second}, sys.kill, false},
		{"save the clock and entropy", limits{10 * time.Second, 3 * time.Second, 0}, s.Save, true},
		sync,
		{"unmount", limits{60 * time.Second, 10 * time.Second, 0}, s.Unmount, true},
		{"mount / read-only", limits{10 * time.Second, 3 * time.Second, 0}, sys.readOnly, true},
		sync,
	}
}

// Limit is the longest that Quiesce may take for these steps, in case each of them takes all the time it has.
func (s Steps) Limit() time.Duration {
	var sum time.Duration
	for _, step := range s.list() {
		sum += step.limits[0] + time.Second
	}
	return sum
}

// Shutdown takes the steps of Quiesce and then ends the machine by s.Action. It returns only where that failed or, with a nil
// error, in a container.
func Shutdown(ctx context.Context, s Steps) error {
	if !s.Action.Out() {
		return fmt.Errorf("%q is no way out of a machine", s.Action)
	}
	Quiesce(ctx, s)
	if !s.Machine {
		return nil
	}
	s.tell(false, fmt.Sprintf("%s now", s.Action))
	return s.system.complete().reboot(s.Action, true)
}

// Quiesce is the sequence of a shutdown up to its end: stop the daemon; SIGTERM to all other processes, and SIGKILL to those
// that stay; save; sync; unmount; / read-only; sync. Each step has a time limit. One that fails, or is not ready in time, is
// told, and the next one is taken: nothing keeps a machine from going down. When ctx ends, that counts as forced.
func Quiesce(ctx context.Context, s Steps) {
	s.system = s.system.complete()
	h := newHurry()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go h.listen(ctx, s.Again, s.tell)
	for _, step := range s.list() {
		for i := range step.limits {
			step.limits[i] /= s.system.faster
		}
		if step.do != nil && (s.Machine || !step.machine) {
			s.take(h, step)
		}
	}
}

func (s Steps) tell(problem bool, text string) {
	defer func() {
		// A message that cannot be shown must not stop a shutdown, and there is nobody left to tell.
		_ = recover()
	}()
	if s.Tell != nil {
		s.Tell(problem, text)
	}
}

// take takes one step, within the limit that the hurry allows, which may become shorter meanwhile.
func (s Steps) take(h *hurry, step step) {
	level, changed := h.now()
	if step.limits[level] == 0 {
		s.tell(true, "left out: "+step.name)
		return
	}
	s.tell(false, step.name)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- bounded(ctx, step.do) }()

	begin := time.Now()
	end := begin.Add(step.limits[level])
	ticker := time.NewTicker(progress)
	defer ticker.Stop()
	timer := time.NewTimer(step.limits[level])
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				s.tell(true, fmt.Sprintf("%s: %v; going on", step.name, err))
			}
			return
		case <-timer.C:
			cancel(fmt.Errorf("%w, after %v", ErrLate, time.Since(begin).Round(100*time.Millisecond)))
		case <-changed:
			level, changed = h.now()
			if sooner := time.Now().Add(step.limits[level]); sooner.Before(end) {
				end = sooner
				timer.Reset(step.limits[level])
			}
		case <-ticker.C:
			s.tell(false, fmt.Sprintf("%s: %v of at most %v", step.name,
				time.Since(begin).Round(time.Second), end.Sub(begin).Round(time.Second)))
		}
	}
}

// terminate asks all other processes to end and waits until they have.
func (s system) terminate(ctx context.Context) error {
	all, err := s.processes()
	if err == nil && len(all) == 0 {
		return nil
	}
	err = errors.Join(err, s.signal(unix.SIGTERM))
	// One that is stopped acts on it only when it goes on.
	err = errors.Join(err, s.signal(unix.SIGCONT))
	return errors.Join(err, s.gone(ctx, func() error { return nil }))
}

// kill kills all other processes, until none is left: they may start new ones meanwhile.
func (s system) kill(ctx context.Context) error {
	return s.gone(ctx, func() error { return s.signal(unix.SIGKILL) })
}

// gone waits until there are no other processes, and calls each, time and again, while there are.
func (s system) gone(ctx context.Context, each func() error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		all, err := s.processes()
		if err == nil && len(all) == 0 {
			return nil
		}
		err = errors.Join(err, each())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if len(all) > 0 {
				err = errors.Join(fmt.Errorf("still there: %s", names(all)), err)
			}
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// hurry is how much of one a shutdown is in: 0, 1 or 2.
type hurry struct {
	mu      sync.Mutex
	level   int
	changed chan struct{}
}

func newHurry() *hurry { return &hurry{changed: make(chan struct{})} }

func (h *hurry) now() (level int, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.level, h.changed
}

func (h *hurry) raise(to int) (level int, higher bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	to = min(to, len(limits{})-1)
	if to <= h.level {
		return h.level, false
	}
	h.level = to
	close(h.changed)
	h.changed = make(chan struct{})
	return to, true
}

func (h *hurry) listen(ctx context.Context, again <-chan struct{}, tell func(bool, string)) {
	for {
		level, _ := h.now()
		select {
		case _, ok := <-again:
			if !ok {
				again = nil
				continue
			}
			switch level, higher := h.raise(level + 1); {
			case !higher:
			case level == 1:
				tell(true, "asked again: what is left gets few seconds; a third request forces the end")
			default:
				tell(true, "asked once more: forcing the end")
			}
		case <-ctx.Done():
			h.raise(len(limits{}) - 1)
			return
		}
	}
}
