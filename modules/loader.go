package modules

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Loader loads modules of an index.
type Loader struct {
	Index  *Index
	Kernel Kernel
	// Parallel is how many modules are loaded at the same time; the number of processors when zero.
	Parallel int
}

// Outcome is what became of a Step.
type Outcome int

const (
	Skipped   Outcome = iota // something it needs failed, or the time was over
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
	loaded, err := l.Kernel.Loaded()
	if err != nil {
		return nil, err
	}
	r := newRun(plan)
	limit := l.Parallel
	if limit <= 0 {
		limit = runtime.NumCPU()
	}
	done := make(chan StepResult, len(plan.Steps)) // so that a step that comes late finds room
	busy := 0
	for r.left > 0 {
		for busy < limit && len(r.ready) > 0 && ctx.Err() == nil {
			i := r.ready[0]
			r.ready = r.ready[1:]
			busy++
			go func() { done <- l.step(plan.Steps[i], loaded) }()
		}
		if busy == 0 {
			break
		}
		select {
		case result := <-done:
			busy--
			r.finish(result)
		case <-ctx.Done():
			return r.results, r.err(ctx.Err())
		}
	}
	return r.results, r.err(ctx.Err())
}

func (l *Loader) step(s Step, loaded map[string]Presence) StepResult {
	result := StepResult{Step: s}
	switch {
	case s.Builtin:
		result.Outcome = WasBuilt
	case loaded[s.Name] == Loaded:
		result.Outcome = Present
	case s.Command != "":
		result.Outcome, result.Err = ByCommand, &CommandError{Module: s.Name, Command: s.Command}
	default:
		begin := time.Now()
		err := loadFile(s.Path, s.Params)
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
