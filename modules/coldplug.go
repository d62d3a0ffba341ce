package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Coldplug loads the drivers of the devices that a machine has, and of those that appear when their buses have a driver.
type Coldplug struct {
	Loader *Loader
	// Quiet is how long no new device may appear before the work counts as done; half a second when zero. USB storage
	// waits a second by itself before it looks at a disk, so a caller who needs one should wait for the disk, or longer.
	Quiet time.Duration
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
// while the drivers of others are still at work, until none has appeared for Quiet. It is for a machine's first process
// alone: in a container the devices are the host's. The context bounds it; at its end the error is or joins an *UnfinishedError.
// Drivers that the index cannot give, and modaliases that it cannot be asked for, are errors that are joined at the end, when
// all others are loaded. The result is valid as with no error.
func (c *Coldplug) Run(ctx context.Context) (*ColdplugResult, error) {
	p := plug{
		Coldplug: c, result: &ColdplugResult{}, seen: map[string]bool{}, tried: map[string]bool{},
		work: c.Loader.newWork(), done: make(chan loadedBatch),
	}
	if p.Quiet == 0 {
		p.Quiet = 500 * time.Millisecond
	}
	if err := p.run(ctx); err != nil {
		p.fail(err)
	}
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
	aliases, err := modaliases(p.Loader.Kernel.sys("devices"))
	if err == nil {
		p.begin(ctx, aliases)
	}
	for quiet := time.Now().Add(p.Quiet); err == nil && ctx.Err() == nil; {
		if p.busy > 0 {
			quiet = time.Now().Add(p.Quiet) // drivers that load bring devices
		}
		news := events.wait(ctx, min(time.Until(quiet), eventSlice))
		switch {
		case news.lost || events == nil && p.busy == 0 && !time.Now().Before(quiet):
			before := len(p.seen)
			if aliases, err = modaliases(p.Loader.Kernel.sys("devices")); err == nil {
				p.begin(ctx, aliases)
			}
			if len(p.seen) > before {
				quiet = time.Now().Add(p.Quiet)
			} else if !news.lost {
				return err
			}
		case len(news.aliases) > 0:
			quiet = time.Now().Add(p.Quiet)
			p.begin(ctx, news.aliases)
		case p.busy == 0 && !time.Now().Before(quiet):
			return err
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

// modaliases are the contents of all files called modalias below a folder, each once, in the order in which to load for them.
func modaliases(dir string) ([]string, error) {
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil // the device has gone
		}
		if err != nil || d.Name() != "modalias" || d.IsDir() {
			return err
		}
		text, err := readText(path)
		if err != nil {
			return nil // gone, or a device that does not answer: the others matter
		}
		if alias := strings.TrimSpace(text); alias != "" {
			seen[alias] = true
		}
		return nil
	})
	aliases := make([]string, 0, len(seen))
	for alias := range seen {
		aliases = append(aliases, alias)
	}
	// What the processor asks for, kvm and ciphers, is large and nobody waits for it: it comes behind disks and networks.
	sort.Slice(aliases, func(i, j int) bool {
		a, b := aliases[i], aliases[j]
		if cpuA, cpuB := strings.HasPrefix(a, "cpu:"), strings.HasPrefix(b, "cpu:"); cpuA != cpuB {
			return cpuB
		}
		return a < b
	})
	return aliases, err
}
