package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/modules"
)

// coldplugLimit bounds the search for the machine's devices: a disk that is slow to appear must not keep Docker from
// starting without it. It also bounds the wait of the devices that nobody waits for.
const coldplugLimit = 10 * time.Second

// coldplugEnd bounds the loading that goes on in the background after that.
const coldplugEnd = 5 * time.Minute

// PlugDevices loads the drivers of the machine's devices, beside all else: who waits for a device waits for it alone.
type PlugDevices struct {
	// background calls a function in a goroutine of its own.
	background func(func())
	// late hears what came of the drivers.
	late func(error)
	// before is loaded first, and then begun is closed; both may be nil.
	before []string
	begun  chan struct{}
	// settled is closed when no new device appears, or after coldplugLimit: then what was to come soon is there.
	settled chan struct{}
	// later tells by its modalias of a device whose driver is loaded when rest is closed; with wait there is none.
	later func(alias string) bool
	rest  <-chan struct{}
	// wait tells that the step ends no sooner: what comes next leaves the modules behind.
	wait bool
}

// String tells what Apply does.
func (*PlugDevices) String() string { return "load the drivers of the devices below /sys/devices" }

// Apply begins to load what matches the devices. What is not loaded after coldplugLimit is loaded all the same: its disk or network
// card comes late, but it comes.
func (p *PlugDevices) Apply(ctx context.Context) (kept bool, err error) {
	settle := sync.OnceFunc(func() { close(p.settled) })
	loader, err := openLoader()
	if err != nil {
		settle()
		if p.begun != nil {
			close(p.begun)
		}
		return false, fmt.Errorf("%w. Lost, unless their drivers are built in: disks and network cards", err)
	}
	plug := &modules.Coldplug{Loader: loader, Settled: settle}
	if !p.wait {
		plug.Later, plug.Rest = p.later, p.rest
	}
	p.background(func() {
		defer settle()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), coldplugEnd)
		defer cancel()
		if len(p.before) > 0 {
			// Whoever wants these tells of what is missing.
			_, _ = loader.Load(ctx, p.before...)
		}
		if p.begun != nil {
			close(p.begun)
		}
		_, err := plug.Run(ctx)
		p.late(errors.Join(skipped(loader), err))
	})
	p.background(func() {
		select {
		case <-p.settled:
		case <-time.After(coldplugLimit):
			settle()
			p.late(fmt.Errorf("not all drivers were loaded within %v; the rest is loaded while the machine goes on", coldplugLimit))
		}
	})
	if p.wait {
		err = within(ctx, p.settled)
	}
	return false, err
}

// mayWait tells by its modalias whether a device can do without its driver until Docker is ready: what the processor asks for itself
// (kvm, ciphers), displays, and where no disk is used mass storage, by its PCI class (include/linux/pci_ids.h). The class is in lower
// case, numbers are not (do_pci_entry in scripts/mod/file2alias.c).
func mayWait(alias string, noDisk bool) bool {
	return strings.HasPrefix(alias, "cpu:") || strings.HasPrefix(alias, "pci:") && (strings.Contains(alias, "bc03") || noDisk && strings.Contains(alias, "bc01"))
}

// within waits until a channel is closed, which it is sooner or later, or ctx ends.
func within(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
