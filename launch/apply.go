package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
)

// Outcome is how a step ended.
type Outcome string

const (
	// Kept: it stood there already.
	Kept Outcome = "kept"
	// Done: it was done.
	Done Outcome = "done"
	// Skipped: it does not apply here.
	Skipped Outcome = "skipped"
	// Warned: the daemon has to do without it.
	Warned Outcome = "warned"
	// Failed: a required step could not be done.
	Failed Outcome = "failed"
)

// Result is what became of a step.
type Result struct {
	Step    string  `json:"step"`
	Lane    Lane    `json:"lane"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	// Began is when the step was begun, Took how long it took.
	Began time.Time     `json:"began"`
	Took  time.Duration `json:"took_ns"`
	// Err is what the step's action answered.
	Err error `json:"-"`
}

// Report lists the results in the order in which the steps were taken.
type Report struct {
	Results []Result `json:"results"`
}

// Count returns how many steps ended so.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, result := range r.Results {
		if result.Outcome == o {
			n++
		}
	}
	return n
}

// apply takes one step. A panic in an action must not end a PID 1: it is the step's error like any other.
func (s Step) apply(ctx context.Context, r *runner) (result Result) {
	begin := time.Now()
	result = Result{Step: s.Name, Lane: s.Lane, Reason: s.Note, Began: begin}
	defer func() {
		result.Took = time.Since(begin)
		if caught := recover(); caught != nil {
			result.fail(s, fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught))
		}
	}()
	switch {
	case s.Verdict == Refuse:
		result.fail(s, errors.New(s.Note))
	case s.Verdict == Keep:
		result.Outcome = Kept
	case s.Verdict == Skip, s.Action == nil && s.Verdict == Do:
		result.Outcome = Skipped
	case s.Action == nil:
		result.Outcome = Warned
	default:
		kept, err := r.do(ctx, s.Action)
		switch {
		case err != nil:
			result.fail(s, err)
		case s.Verdict == Warn:
			result.Outcome = Warned
		case kept:
			// The plan's reason was one for doing it.
			result.Outcome, result.Reason = Kept, ""
		default:
			result.Outcome = Done
		}
		if f, ok := s.Action.(interface{ Found() string }); ok && err == nil {
			result.Reason = cmp.Or(f.Found(), result.Reason)
		}
	}
	return result
}

// do applies an action, or has the hook do it that belongs to it.
func (r *runner) do(ctx context.Context, a Action) (kept bool, err error) {
	if _, ok := a.(StartContainerd); ok && r.hooks.StartContainerd != nil {
		return false, r.hooks.StartContainerd()
	}
	if plan, ok := a.(*certs.Plan); ok && r.hooks.MakeCertificates != nil {
		return r.hooks.MakeCertificates(ctx, plan)
	}
	if r.hooks.ahead != nil {
		switch a := a.(type) {
		case JudgeKernel:
			return true, a.judge(r.hooks.ahead.config())
		case files.Member:
			return a.ApplyDraft(r.hooks.ahead.drafts)
		}
	}
	return a.Apply(ctx)
}

func (r *Result) fail(s Step, err error) {
	r.Err, r.Reason = err, err.Error()
	r.Outcome = Warned
	if s.Required || s.Verdict == Refuse {
		r.Outcome = Failed
	}
}
