package launch

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
)

// Lane is a sequence of steps. The steps of a lane are taken in order, the lanes beside each other.
type Lane string

const (
	// LaneSystem is all that costs microseconds, and what must be done by the thread that starts the daemon: mounts,
	// cgroups, files, limits.
	LaneSystem Lane = "system"
	// LaneFiles makes files, which waits for the disk.
	LaneFiles Lane = "files"
	// LaneModules loads kernel modules.
	LaneModules Lane = "modules"
	// LaneIPTables asks the kernel which variant of iptables it knows, unless its configuration tells: it makes tables for that.
	LaneIPTables Lane = "iptables"
	// LaneKernel looks whether the kernel has what Docker cannot do without.
	LaneKernel Lane = "kernel"
	// LaneCertificates makes what TLS needs.
	LaneCertificates Lane = "certificates"
	// LaneContainerd starts containerd.
	LaneContainerd Lane = "containerd"
)

// lanes lists the lanes and what each waits for. The daemon waits for all of them.
var lanes = []LaneInfo{
	{Name: LaneSystem},
	{Name: LaneFiles},
	{Name: LaneModules, After: []Lane{LaneSystem}},
	{Name: LaneKernel, After: []Lane{LaneSystem, LaneModules}},
	{Name: LaneIPTables, After: []Lane{LaneModules, LaneKernel}},
	{Name: LaneCertificates, After: []Lane{LaneSystem}},
	// containerd looks at its start which snapshotters work, and overlay may be a module.
	{Name: LaneContainerd, After: []Lane{LaneSystem, LaneModules}},
}

// LaneInfo tells what a lane waits for.
type LaneInfo struct {
	Name  Lane   `json:"name"`
	After []Lane `json:"after,omitempty"`
}

// Lanes returns the lanes that the plan has steps in, each after those that it waits for.
func (p *Plan) Lanes() []LaneInfo {
	used := map[Lane]bool{}
	for _, s := range p.Steps {
		used[s.lane()] = true
	}
	var list []LaneInfo
	for _, l := range lanes {
		if used[l.Name] {
			l.After = slices.DeleteFunc(slices.Clone(l.After), func(n Lane) bool { return !used[n] || !p.waits(l.Name, n) })
			list = append(list, l)
		}
	}
	return list
}

// waits tells whether the one lane has to wait for the other, if usually it does.
func (p *Plan) waits(lane, before Lane) bool {
	switch {
	case lane == LaneKernel:
		return !p.kernelAtOnce
	case lane == LaneIPTables && before == LaneKernel:
		return p.iptablesBuiltIn
	case lane == LaneIPTables:
		return p.loads()
	case lane == LaneContainerd && before == LaneModules:
		return !p.overlay
	}
	return true
}

// lane is the step's own, or the one of all that names none.
func (s Step) lane() Lane { return cmp.Or(s.Lane, LaneSystem) }

// runner applies a plan.
type runner struct {
	plan    *Plan
	hooks   Hooks
	mu      sync.Mutex // guards results and the order of what is told
	results []Result
	cancel  context.CancelCauseFunc
	err     error
}

// Hooks are what Apply asks of its caller.
type Hooks struct {
	// Observe is handed each result as it comes, one at a time.
	Observe func(Result)
	// StartContainerd starts the plan's containerd, on the caller's thread.
	StartContainerd func() error
	// MakeCertificates is called in the place of the plan's Apply. It may be nil.
	MakeCertificates func(ctx context.Context, plan *certs.Plan) (kept bool, err error)
	// AskVersion begins to ask a dockerd for its version; the channel gives it, or the zero Version. It may be nil.
	AskVersion func(ctx context.Context, path string) <-chan daemon.Version

	// ahead is what was done ahead of the plan; nil where nothing was.
	ahead *ahead
}

// Apply takes the plan's steps, those of different lanes beside each other. It ends at the first required step that
// fails, with a *StepError, and where ctx ends, with its cause. What belongs to the calling thread, such as a cgroup
// namespace, is changed on it: the caller has locked it.
func (p *Plan) Apply(ctx context.Context, hooks Hooks) (*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &runner{plan: p, hooks: hooks, results: make([]Result, len(p.Steps)), cancel: cancel}
	infos := p.Lanes()
	done := map[Lane]chan struct{}{}
	for _, l := range infos {
		done[l.Name] = make(chan struct{})
	}
	take := func(l LaneInfo) {
		defer close(done[l.Name])
		defer func() {
			if caught := recover(); caught != nil {
				r.broke(fmt.Errorf("a mistake in the launcher itself, please report it: %v\n%s", caught, debug.Stack()))
			}
		}()
		for _, before := range l.After {
			if !ended(ctx, done[before], 0) {
				return
			}
		}
		r.lane(ctx, l.Name)
	}
	// Of two that begin at once the processor beside the caller's takes the one that is handed out first: what computes goes before
	// LaneFiles, which keeps others from that processor while it waits for the disk.
	for i := range infos {
		if l := infos[len(infos)-1-i]; !p.callers(l.Name) {
			go take(l)
		}
	}
	for _, l := range infos {
		if p.callers(l.Name) {
			take(l)
		}
	}
	for _, l := range infos {
		// What goes on for longer than that is left to itself: it waits for something that does not come, and nobody is to wait
		// for it.
		ended(ctx, done[l.Name], laneGrace)
	}
	return r.report(), r.end(ctx)
}

// laneGrace is how long a lane is waited for where the others do not go on: its step may be about to end.
const laneGrace = 2 * time.Second

// ended waits for done, and where ctx ends, only for the grace.
func ended(ctx context.Context, done <-chan struct{}, grace time.Duration) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-time.After(grace):
		return false
	}
}

// callers tells whether a lane's steps are taken by the thread that calls Apply. containerd is started by it, and a lane that leads
// there is not worth the switch to another thread, which takes as long as ten steps, unless it loads modules: what does not come
// back from that is to hold up nobody.
func (p *Plan) callers(l Lane) bool {
	switch l {
	case LaneSystem, LaneContainerd:
		return true
	case LaneModules:
		return !p.loads()
	}
	return false
}

// loads tells whether a kernel module is to be loaded.
func (p *Plan) loads() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.lane() == LaneModules && s.Action != nil })
}

// lane takes the steps of one lane. A panic of an action is its step's error; see Step.apply.
func (r *runner) lane(ctx context.Context, lane Lane) {
	for i, s := range r.plan.Steps {
		if s.lane() != lane {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		r.take(i, s.apply(ctx, r))
	}
}

func (r *runner) take(i int, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[i] = result
	if r.hooks.Observe != nil {
		r.hooks.Observe(result)
	}
	if result.Outcome == Failed && r.err == nil {
		r.err = &StepError{Step: result.Step, Err: result.Err}
		r.cancel(r.err)
	}
}

// broke has the plan end with an error that is no step's: a lane's goroutine must not end a PID 1 either.
func (r *runner) broke(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		r.cancel(err)
	}
}

// report lists what was taken, in the plan's order.
func (r *runner) report() *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := make([]Result, 0, len(r.results))
	for _, result := range r.results {
		if result.Outcome != "" {
			taken = append(taken, result)
		}
	}
	return &Report{Results: taken}
}

func (r *runner) end(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
