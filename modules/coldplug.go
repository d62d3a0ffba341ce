package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Coldplug loads the drivers of the devices that a machine has, and of those that appear when their buses have a driver.
type Coldplug struct {
	Loader *Loader
	// Quiet is how long no new device may appear before the work counts as done; half a second when zero. USB storage
	// waits a second by itself before it looks at a disk, so a caller who needs one should wait for the disk, or longer.
	Quiet time.Duration
	// Later tells by its modalias of a device that can do without its driver until Rest is closed. Both may be nil: then there is
	// no such device, or no such time.
	Later func(alias string) bool
	Rest  <-chan struct{}
	// Settled, which may be nil, is called once, when all others have their drivers, and none has appeared for Quiet.
	Settled func()
}

// ColdplugResult is what Run did.
type ColdplugResult struct {
	Aliases int // different modaliases seen
	// Steps are all modules that were tried. A driver that finds it does not drive a device after all has failed; nothing
	// is wrong with that.
	Steps []StepResult
	// Blacklisted are modules that match a device, and that the configuration keeps back.
	Blacklisted []string
}

// UnfinishedError tells that the time was over before all drivers were loaded. The devices that a caller needs may all be
// there nevertheless.
type UnfinishedError struct {
	// Left are the modules that were not loaded, or that the kernel was still busy with.
	Left []string
	Err  error // of the context
}

func (e *UnfinishedError) Error() string {
	if len(e.Left) == 0 {
		return fmt.Sprintf("the search for devices did not come to an end: %v; what appeared last may lack its driver", e.Err)
	}
	return fmt.Sprintf("%d drivers were not loaded in time: %v; their devices may be missing: %s", len(e.Left), e.Err, strings.Join(e.Left, " "))
}

func (e *UnfinishedError) Unwrap() error { return e.Err }

// Run loads what matches the modaliases below /sys/devices, and then what matches the devices that the kernel tells of,
// while the drivers of others are still at work, until none has appeared for Quiet; then, when their time has come, the drivers that
// may come later, in the same way. It is for a machine's first process alone: in a container the devices are the host's. The context
// bounds it; at its end the error is or joins an *UnfinishedError.
// Drivers that the index cannot give, and modaliases that it cannot be asked for, are errors that are joined at the end, when
// all others are loaded. The result is valid as with no error.
func (c *Coldplug) Run(ctx context.Context) (*ColdplugResult, error) {
	p := plug{
		Coldplug: c, result: &ColdplugResult{}, seen: map[string]bool{}, tried: map[string]bool{},
		work: c.Loader.newWork(), done: make(chan loadedBatch), quiet: c.Settled,
	}
	if p.Quiet == 0 {
		p.Quiet = 500 * time.Millisecond
	}
	if p.Later != nil {
		p.rest = p.Rest
	}
	if err := p.run(ctx); err != nil {
		p.fail(err)
	}
	p.settled()
	if ctx.Err() != nil {
		unfinished := &UnfinishedError{Err: ctx.Err()}
		for _, s := range p.result.Steps {
			if s.Outcome == Skipped {
				unfinished.Left = append(unfinished.Left, s.Name)
			}
		}
		p.errs = append(p.errs, unfinished)
	}
	return p.result, errors.Join(p.errs...)
}

// plug is a Coldplug at work.
type plug struct {
	*Coldplug
	result *ColdplugResult
	seen   map[string]bool // modaliases
	tried  map[string]bool // modules
	work   *work
	busy   int // batches
	done   chan loadedBatch
	errs   []error
	told   string // the last of them
	// later are the aliases whose time has not come, rest is nil when it has.
	later []string
	rest  <-chan struct{}
	quiet func() // Settled, until it was called
}

// fail notes an error, after which the other devices get their drivers all the same. Many in a row may have the same reason.
func (p *plug) fail(err error) {
	if text := err.Error(); text != p.told {
		p.told, p.errs = text, append(p.errs, err)
	}
}

// loadedBatch is what became of the drivers for devices that were found together.
type loadedBatch struct {
	steps []StepResult
	err   error
}

func (p *plug) run(ctx context.Context) error {
	// Before the first look, so that no device is missed between.
	events, err := listenEvents()
	if err != nil {
		events = nil // without the kernel's events, as in a user namespace, there is a last look after a pause
	}
	defer events.close()
	aliases, err := p.Loader.Kernel.modaliases()
	if err == nil {
		p.begin(ctx, aliases)
	}
	looked := false // without the kernel's events, since it is quiet
	for quiet := time.Now().Add(p.Quiet); err == nil && ctx.Err() == nil; {
		if p.busy > 0 {
			quiet = time.Now().Add(p.Quiet) // drivers that load bring devices
		}
		news := events.wait(ctx, p.slice(quiet))
		still := p.busy == 0 && !time.Now().Before(quiet)
		switch {
		case news.lost || events == nil && still && !looked:
			before := len(p.seen)
			if aliases, err = p.Loader.Kernel.modaliases(); err == nil {
				p.begin(ctx, aliases)
			}
			if looked = !news.lost; len(p.seen) > before {
				quiet, looked = time.Now().Add(p.Quiet), false
			}
		case len(news.aliases) > 0:
			quiet = time.Now().Add(p.Quiet)
			p.begin(ctx, news.aliases)
		case p.due():
			quiet, looked = time.Now().Add(p.Quiet), false
			p.begin(ctx, p.later)
		case still && p.rest == nil:
			return err
		case still:
			p.settled()
		}
		for collecting := true; collecting; {
			select {
			case batch := <-p.done:
				p.finish(batch)
			default:
				collecting = false
			}
		}
	}
	// They come to their end soon: by themselves, or because the context has ended.
	for p.busy > 0 {
		p.finish(<-p.done)
	}
	return err
}

// slice is how long to wait for the kernel's events before looking at anything else: longer where nothing is going on.
func (p *plug) slice(quiet time.Time) time.Duration {
	if left := time.Until(quiet); p.busy > 0 || left > 0 {
		return min(left, eventSlice)
	}
	return 5 * eventSlice
}

// due tells, once, that the time of the devices has come that may come later.
func (p *plug) due() bool {
	if p.rest == nil {
		return false
	}
	select {
	case <-p.rest:
		p.rest = nil
		return true
	default:
		return false
	}
}

// settled calls Settled, once.
func (p *plug) settled() {
	if p.quiet != nil {
		p.quiet()
		p.quiet = nil
	}
}

func (p *plug) finish(batch loadedBatch) {
	p.busy--
	p.result.Steps = append(p.result.Steps, batch.steps...)
	if batch.steps == nil && batch.err != nil {
		p.fail(batch.err)
	} // else each step has its own error
}

// begin begins to load what matches the aliases and was not tried before.
func (p *plug) begin(ctx context.Context, aliases []string) {
	x := p.Loader.Index
	var names []string
	for _, alias := range aliases {
		if p.seen[alias] {
			continue
		}
		if p.rest != nil && p.Later(alias) {
			if !slices.Contains(p.later, alias) {
				p.later = append(p.later, alias)
			}
			continue
		}
		p.seen[alias] = true
		p.result.Aliases++
		found, err := x.Lookup(alias)
		if err != nil {
			p.fail(err)
			continue
		}
		for _, m := range found {
			if m.Builtin || m.Path == "" || p.tried[m.Name] {
				continue
			}
			p.tried[m.Name] = true
			if x.blacklisted(m, BlacklistAliases) {
				p.result.Blacklisted = append(p.result.Blacklisted, m.Name)
				continue
			}
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	if plan, err := x.Resolve(Query{Names: names}); err == nil {
		p.start(ctx, plan)
		return
	}
	// A driver that cannot be had must not keep the others back.
	for _, name := range names {
		if plan, err := x.Resolve(Query{Names: []string{name}}); err == nil {
			p.start(ctx, plan)
		} else {
			p.fail(fmt.Errorf("driver %s: %w", name, err))
		}
	}
}

// start begins to carry out a plan.
func (p *plug) start(ctx context.Context, plan *Plan) {
	p.busy++
	go func() {
		var batch loadedBatch
		defer func() {
			if caught := recover(); caught != nil {
				batch.err = fmt.Errorf("loading drivers: a mistake in this program: %v", caught)
			}
			p.done <- batch
		}()
		batch.steps, batch.err = p.Loader.run(ctx, plan, p.work)
	}()
}
