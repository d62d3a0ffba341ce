package modules

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Want is one thing that somebody wants of the kernel, under any of the names it had over the years.
type Want struct {
	// Names are modules, the best first. One of them is enough.
	Names []string
	// For says what is lost without it, in the words of a warning: "port publishing".
	For string
}

// Way is how a Want was met.
type Way int

const (
	Missing      Way = iota
	WayPresent       // loaded already
	WayBuiltIn       // part of the kernel
	WayLoaded        // loaded from the index
	WayRequested     // loaded by the kernel when it was asked
	Unknowable       // this kernel has no modules; whether it has this built in is not written anywhere
)

func (w Way) String() string {
	return [...]string{"missing", "already loaded", "built in", "loaded", "loaded by the kernel", "not a modular kernel"}[w]
}

// WantResult is what became of a Want.
type WantResult struct {
	Want
	Way  Way
	Name string // which of Names it was
	// Err says why it is missing; nil where it is not, whatever failed on the way.
	Err error
}

// Warning is one line for a person where the Want is Missing, else empty.
func (r WantResult) Warning() string {
	if r.Way != Missing {
		return ""
	}
	text := "kernel module " + strings.Join(r.Names, " or ") + " is missing"
	if r.For != "" {
		text += ": without it, no " + r.For
	}
	if r.Err != nil {
		text += " (" + r.Err.Error() + ")"
	}
	return text
}

// Want sees that the kernel has each of the things wanted: what is there is left alone, the rest is loaded from the index,
// and where there is none (Index is nil) or it fails, the kernel is asked with Request. The results are in the order of wants.
func (l *Loader) Want(ctx context.Context, wants []Want) []WantResult {
	results := make([]WantResult, len(wants))
	for i, want := range wants {
		results[i] = WantResult{Want: want}
		for _, name := range want.Names {
			if way := l.there(name); way != Missing {
				results[i].Way, results[i].Name = way, name
				break
			}
		}
	}
	if !l.Kernel.Modular() {
		for i := range results {
			if results[i].Way == Missing {
				results[i].Way = Unknowable
			}
		}
		return results
	}
	l.wantLoaded(ctx, results)
	for i := range results {
		if results[i].Way == Missing && ctx.Err() == nil {
			l.wantRequested(&results[i])
		}
	}
	return results
}

// there tells whether a module needs no loading. An error counts as no: loading it then says what is wrong.
func (l *Loader) there(name string) Way {
	if presence, err := l.Kernel.Has(name); err == nil {
		switch presence {
		case Loaded:
			return WayPresent
		case BuiltIn:
			return WayBuiltIn
		}
	}
	if l.Index != nil && l.Index.builtin()[Normalize(name)] {
		return WayBuiltIn
	}
	return Missing
}

// wantLoaded loads what the index has, all in one plan, so that modules which do not need each other load side by side.
func (l *Loader) wantLoaded(ctx context.Context, results []WantResult) {
	if l.Index == nil {
		return
	}
	q := Query{}
	for i := range results {
		r := &results[i]
		if r.Way != Missing {
			continue
		}
		r.Err = fmt.Errorf("%w in %s", ErrNotFound, l.Index.Dir)
		for _, name := range r.Names {
			plan, err := l.Index.Resolve(Query{Names: []string{name}})
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if r.Name, r.Err = name, err; err == nil && len(plan.Steps) == 0 {
				r.Err = fmt.Errorf("%s is blacklisted", strings.Join(plan.Blacklisted, " "))
			}
			if r.Err == nil {
				q.Names = append(q.Names, name)
			}
			break
		}
	}
	plan, err := l.Index.Resolve(q)
	if err != nil {
		// Each of the names resolved alone; together they can only meet in a cycle. Then nothing of the plan is safe.
		for i := range results {
			if results[i].Way == Missing && results[i].Err == nil {
				results[i].Err = err
			}
		}
		return
	}
	steps, runErr := l.Run(ctx, plan)
	for i := range results {
		r := &results[i]
		if r.Way == Missing && r.Err == nil {
			r.Way, r.Err = l.judge(r.Name, steps, runErr)
		}
	}
}

// judge finds what became of a name's modules.
func (l *Loader) judge(name string, steps []StepResult, runErr error) (Way, error) {
	if steps == nil {
		return Missing, runErr
	}
	found, err := l.Index.Lookup(name)
	if err != nil {
		return Missing, err
	}
	err = fmt.Errorf("%s was not loaded in time", name)
	for _, m := range found {
		for _, s := range steps {
			if s.Name != m.Name {
				continue
			}
			switch s.Outcome {
			case Inserted:
				return WayLoaded, nil
			case Present:
				return WayPresent, nil
			case WasBuilt:
				return WayBuiltIn, nil
			case ByCommand, Failed:
				err = s.Err
			}
		}
	}
	return Missing, err
}

// wantRequested lets the kernel try.
func (l *Loader) wantRequested(r *WantResult) {
	var errs []error
	for _, name := range r.Names {
		if err := Request(name); err != nil {
			errs = append(errs, err)
			continue
		}
		if presence, err := l.Kernel.Has(name); err == nil && presence == Loaded {
			r.Way, r.Name, r.Err = WayRequested, name, nil
			return
		}
	}
	if r.Err == nil {
		r.Err = errors.Join(append(errs, errors.New("the kernel was asked for it and did not load it"))...)
	}
}
