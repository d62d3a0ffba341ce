package modules

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Loader loads modules of an index.
type Loader struct {
	Index  *Index
	Kernel Kernel
	// Parallel is how many modules are loaded at the same time. When zero it is twice the number of processors and four at
	// least, as a driver waits for its hardware most of the time.
	Parallel int

	// load stands in for loadFile in tests.
	load  func(path, params string, force int) (unpacked bool, err error)
	force int // see loadFile
}

// Outcome is what became of a Step.
type Outcome int

const (
	Skipped   Outcome = iota // the time was over before it was tried, or before the kernel answered
	Inserted                 // loaded now
	Present                  // loaded before
	WasBuilt                 // part of the kernel
	Failed                   // Err says why
	ByCommand                // the configuration has an install command for it, which is not run
)

func (o Outcome) String() string {
	return [...]string{"skipped", "loaded", "already loaded", "built in", "failed", "has an install command"}[o]
}

// StepResult is a Step with what became of it.
type StepResult struct {
	Step
	Outcome Outcome
	Err     error
	Took    time.Duration
	// Unpacked tells that this process unpacked the file, because the kernel does not know its packing.
	Unpacked bool
}

// Load resolves names or aliases and loads them with all they need. The error joins those of the required modules; what
// happened to each is in the results, also then.
func (l *Loader) Load(ctx context.Context, names ...string) ([]StepResult, error) {
	plan, err := l.Index.Resolve(Query{Names: names})
	if err != nil {
		return nil, err
	}
	return l.Run(ctx, plan)
}

// Run carries out a plan. Steps begin as soon as those before them are done. When the context ends, Run returns without
// those that the kernel is still busy with: a module that is being loaded cannot be called back.
func (l *Loader) Run(ctx context.Context, plan *Plan) ([]StepResult, error) {
	return l.run(ctx, plan, l.newWork())
}

// work is what plans share that are carried out at the same time: room for so many modules, and what becomes of each, so
// that none is loaded twice.
type work struct {
	slots chan struct{}
	mu    sync.Mutex
	begun map[string]*job
}

// job is the loading of a module.
type job struct {
	done   chan struct{} // closed when result is there
	result StepResult
}

func (l *Loader) newWork() *work {
	limit := l.Parallel
	if limit <= 0 {
		limit = max(4, 2*runtime.NumCPU())
	}
	return &work{slots: make(chan struct{}, limit), begun: map[string]*job{}}
}

// do carries out a step, or waits for the plan that does.
func (w *work) do(l *Loader, s Step, loaded map[string]Presence) StepResult {
	w.mu.Lock()
	j, ok := w.begun[s.Name]
	if !ok {
		j = &job{done: make(chan struct{})}
		w.begun[s.Name] = j
	}
	w.mu.Unlock()
	if !ok {
		j.result = l.step(s, loaded)
		close(j.done)
		return j.result
	}
	<-j.done
	result := j.result
	result.Step, result.Took = s, 0
	if result.Outcome == Inserted {
		result.Outcome = Present
	}
	return result
}

// run is Run beside others.
func (l *Loader) run(ctx context.Context, plan *Plan, w *work) ([]StepResult, error) {
	loaded, err := l.Kernel.Loaded()
	if err != nil {
		return nil, err
	}
	r := newRun(plan)
	done := make(chan StepResult, len(plan.Steps)) // so that a step that comes late finds room
	for r.left > 0 && ctx.Err() == nil {
		var room chan struct{}
		if len(r.ready) > 0 {
			room = w.slots
		}
		select {
		case room <- struct{}{}:
			i := r.ready[0]
			r.ready = r.ready[1:]
			go func() {
				defer func() { <-w.slots }()
				done <- w.do(l, plan.Steps[i], loaded)
			}()
		case result := <-done:
			r.finish(result)
		case <-ctx.Done():
		}
	}
	return r.results, r.err(ctx.Err())
}

func (l *Loader) step(s Step, loaded map[string]Presence) (result StepResult) {
	result.Step = s
	// A mistake in the reading of a file must not end the process, which may be the machine's first.
	defer func() {
		if caught := recover(); caught != nil {
			result.Outcome, result.Err = Failed, fmt.Errorf("loading %s (%s): a mistake in this program: %v", s.Name, s.Path, caught)
		}
	}()
	switch {
	case s.Builtin:
		result.Outcome = WasBuilt
	case loaded[s.Name] == Loaded:
		result.Outcome = Present
	case s.Command != "":
		result.Outcome, result.Err = ByCommand, &CommandError{Module: s.Name, Command: s.Command}
	default:
		load := l.load
		if load == nil {
			load = loadFile
		}
		begin := time.Now()
		var err error
		result.Unpacked, err = load(s.Path, s.Params, l.force)
		result.Took = time.Since(begin)
		switch {
		case err == nil:
			result.Outcome = Inserted
		case errors.Is(err, unix.EEXIST):
			result.Outcome = Present // somebody else was faster
		default:
			result.Outcome, result.Err = Failed, err
		}
	}
	return result
}

// run is the state of a plan in work.
type run struct {
	results []StepResult
	at      map[string]int
	waits   []int   // how many steps each still waits for
	next    [][]int // who waits for a step
	ready   []int
	left    int
}

func newRun(plan *Plan) *run {
	n := len(plan.Steps)
	r := &run{results: make([]StepResult, n), at: make(map[string]int, n), waits: make([]int, n), next: make([][]int, n), left: n}
	for i, s := range plan.Steps {
		r.results[i] = StepResult{Step: s}
		r.at[s.Name] = i
		r.waits[i] = len(s.After)
		for _, before := range s.After {
			r.next[before] = append(r.next[before], i)
		}
		if len(s.After) == 0 {
			r.ready = append(r.ready, i)
		}
	}
	return r
}

// finish notes a result and frees the steps that waited for it. After a failure they are tried all the same: whether the
// module was needed is something that the kernel knows best, and its answer names what is missing.
func (r *run) finish(result StepResult) {
	i := r.at[result.Name]
	r.results[i] = result
	r.left--
	for _, next := range r.next[i] {
		if r.waits[next]--; r.waits[next] == 0 {
			r.ready = append(r.ready, next)
		}
	}
}

func (r *run) err(ended error) error {
	var errs []error
	skipped := 0
	for _, result := range r.results {
		if result.Outcome == Skipped {
			skipped++
		}
		if result.Outcome == Failed && result.Required || result.Outcome == ByCommand && result.Asked {
			errs = append(errs, result.Err)
		}
	}
	if skipped > 0 && ended != nil {
		errs = append(errs, fmt.Errorf("%d of %d modules were not loaded in time: %w", skipped, len(r.results), ended))
	}
	return errors.Join(errs...)
}
