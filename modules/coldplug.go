package modules

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
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

// Run reads every modalias below /sys/devices and loads what matches, again and again until no device has appeared for
// Quiet. It is for a machine's first process alone: in a container the devices are the host's. The context bounds it; its
// end is no error, as the devices that a caller needs may all be there.
func (c *Coldplug) Run(ctx context.Context) (*ColdplugResult, error) {
	quiet := c.Quiet
	if quiet == 0 {
		quiet = 500 * time.Millisecond
	}
	events, err := listenEvents()
	if err != nil {
		events = nil // without the kernel's events, as in a user namespace, the wait is a pause before the last look
	}
	defer events.close()
	result := &ColdplugResult{}
	seen := map[string]bool{}
	tried := map[string]bool{}
	settled := false // nothing appeared for the time of Quiet, and this is the last look
	for ctx.Err() == nil {
		aliases, err := modaliases(c.Loader.Kernel.sys("devices"))
		if err != nil {
			return result, err
		}
		aliases = slices.DeleteFunc(aliases, func(alias string) bool { return seen[alias] })
		for _, alias := range aliases {
			seen[alias] = true
		}
		result.Aliases = len(seen)
		if err := c.load(ctx, aliases, tried, result); err != nil {
			return result, err
		}
		if len(aliases) > 0 {
			settled = false
			continue // drivers were loaded, so look at once for what they found
		}
		if settled {
			break
		}
		settled = !events.wait(ctx, quiet)
	}
	return result, nil
}

// load loads what matches the aliases and was not tried before.
func (c *Coldplug) load(ctx context.Context, aliases []string, tried map[string]bool, result *ColdplugResult) error {
	x := c.Loader.Index
	var names []string
	for _, alias := range aliases {
		found, err := x.Lookup(alias)
		if err != nil {
			return err
		}
		for _, m := range found {
			if m.Builtin || m.Path == "" || tried[m.Name] {
				continue
			}
			tried[m.Name] = true
			if x.blacklisted(m, BlacklistAliases) {
				result.Blacklisted = append(result.Blacklisted, m.Name)
				continue
			}
			names = append(names, m.Name)
		}
	}
	plan, err := x.Resolve(Query{Names: names})
	if err != nil {
		return err
	}
	steps, err := c.Loader.Run(ctx, plan)
	result.Steps = append(result.Steps, steps...)
	if steps == nil {
		return err
	}
	return nil // each step has its own error
}

// modaliases are the contents of all files called modalias below a folder, each once, sorted.
func modaliases(dir string) ([]string, error) {
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	aliases := make([]string, 0, len(seen))
	for alias := range seen {
		aliases = append(aliases, alias)
	}
	slices.Sort(aliases)
	return aliases, err
}
