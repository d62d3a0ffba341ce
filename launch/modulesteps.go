package launch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// coldplugLimit bounds the search for the machine's devices: a disk that is slow to appear must not keep Docker from
// starting without it.
const coldplugLimit = 10 * time.Second

// moduleLoader loads all that is wanted in one go, so that independent modules load beside each other; the steps of the
// single modules then ask it for theirs.
type moduleLoader struct {
	wants   []modules.Want
	once    sync.Once
	indexed bool
	results map[string]modules.WantResult
	err     error
}

// openLoader reads the index of the running kernel. Without one the loader can only ask the kernel.
func openLoader() (l *modules.Loader, indexed bool, err error) {
	cmdline, err := modules.ReadCommandLine()
	if err != nil {
		return nil, false, err
	}
	index, err := modules.Open(modules.Options{CommandLine: cmdline})
	switch {
	case errors.Is(err, modules.ErrNoModules):
		return &modules.Loader{}, false, nil
	case err != nil:
		return nil, false, err
	}
	return &modules.Loader{Index: index}, true, nil
}

func (m *moduleLoader) load(ctx context.Context) {
	var loader *modules.Loader
	if loader, m.indexed, m.err = openLoader(); m.err != nil {
		return
	}
	m.results = map[string]modules.WantResult{}
	for _, r := range loader.Want(ctx, m.wants) {
		m.results[r.Names[0]] = r
	}
}

// LoadModule sees that the kernel has one of several modules.
type LoadModule struct {
	Names []string `json:"names"`
	For   string   `json:"for"`

	loader *moduleLoader
}

// String tells what Apply does.
func (m LoadModule) String() string { return "load kernel module " + m.Names[0] }

// Apply loads the module, and with the first one applied all others that the plan wants.
func (m LoadModule) Apply(ctx context.Context) (kept bool, err error) {
	m.loader.once.Do(func() { m.loader.load(ctx) })
	if m.loader.err != nil {
		return false, fmt.Errorf("kernel module %s: %w. Lost, unless it is built in: %s", m.Names[0], m.loader.err, m.For)
	}
	switch r := m.loader.results[m.Names[0]]; {
	case r.Way == modules.Missing && !m.loader.indexed:
		// What is built in and has no parameters shows up nowhere without modules.builtin.
		return false, fmt.Errorf("kernel module %s: there is no /lib/modules here for this kernel, and asked for it the kernel did not load it. "+
			"Lost, unless it is built in: %s. Load it on the host: modprobe %s", m.Names[0], m.For, m.Names[0])
	case r.Way == modules.Missing:
		return false, errors.New(r.Warning())
	default:
		return r.Way != modules.WayLoaded && r.Way != modules.WayRequested, nil
	}
}

// PlugDevices loads the drivers of the machine's devices.
type PlugDevices struct{}

// String tells what Apply does.
func (PlugDevices) String() string { return "load the drivers of the devices below /sys/devices" }

// Apply loads what matches the devices, and returns when no new one appears, or after coldplugLimit.
func (PlugDevices) Apply(ctx context.Context) (kept bool, err error) {
	loader, indexed, err := openLoader()
	if err != nil {
		return false, err
	}
	if !indexed {
		return false, errors.New("there is no /lib/modules for this kernel. Lost, unless their drivers are built in: disks and network cards")
	}
	ctx, cancel := context.WithTimeout(ctx, coldplugLimit)
	defer cancel()
	_, err = (&modules.Coldplug{Loader: loader}).Run(ctx)
	return false, err
}

// modules plans the kernel modules that Docker wants, and on a machine those of its devices.
func (p *Plan) modules(f Facts) {
	if !f.Host.LoadableModules {
		p.add(Step{Name: "modules", Why: "the kernel's features that Docker uses", Verdict: Skip, Note: "this kernel has no loadable modules"})
		return
	}
	if f.Host.Habitat == host.Machine {
		p.add(Step{Name: "coldplug", Why: "disks and network cards need their drivers", Verdict: Do, Action: PlugDevices{}})
	}
	wants := WantedModules(f.IPTables)
	loader := &moduleLoader{wants: wants}
	for _, w := range wants {
		s := Step{Name: "module " + w.Names[0], Why: w.For, Verdict: Do, Action: LoadModule{Names: w.Names, For: w.For, loader: loader}}
		for _, name := range w.Names {
			if f.Modules[name] {
				s.Verdict, s.Note, s.Action = Keep, name+" is in the kernel", nil
				break
			}
		}
		p.add(s)
	}
}

// observeModules tells which of the wanted modules the kernel has, as far as it says so.
func observeModules(variant Variant) (map[string]bool, error) {
	has := map[string]bool{}
	for _, w := range WantedModules(variant) {
		for _, name := range w.Names {
			presence, err := modules.Kernel{}.Has(name)
			if err != nil {
				return nil, err
			}
			has[name] = presence == modules.Loaded || presence == modules.BuiltIn
		}
	}
	return has, nil
}
