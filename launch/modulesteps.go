package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// moduleLoader loads all that is wanted in one go, so that independent modules load beside each other; the steps of the
// single modules then ask it for theirs.
type moduleLoader struct {
	wants   []modules.Want
	open    func() (*modules.Loader, error)
	once    sync.Once
	results map[string]modules.WantResult
	skipped error
	err     error
}

// openLoader reads the index of the running kernel; the error matches modules.ErrNoModules where there is none.
func openLoader() (*modules.Loader, error) {
	cmdline, err := modules.ReadCommandLine()
	if err != nil {
		return nil, err
	}
	index, err := modules.Open(modules.Options{CommandLine: cmdline})
	if err != nil {
		return nil, err
	}
	return &modules.Loader{Index: index}, nil
}

// skipped tells what was left out of the index and its configuration, nil where that is nothing.
func skipped(l *modules.Loader) error {
	if problems := l.Index.Config.Problems; len(problems) > 0 {
		return fmt.Errorf("kernel modules: %s", strings.Join(problems, "; "))
	}
	return nil
}

func (m *moduleLoader) load(ctx context.Context) {
	var loader *modules.Loader
	if loader, m.err = m.open(); m.err != nil {
		return
	}
	m.skipped = skipped(loader)
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

// Apply loads the module, and with the first one applied all others that the plan wants. What of modprobe.d was not
// understood is the error of that first one alone, also where it was loaded.
func (m LoadModule) Apply(ctx context.Context) (kept bool, err error) {
	m.loader.once.Do(func() {
		m.loader.load(ctx)
		err = m.loader.skipped
	})
	if m.loader.err != nil {
		return false, fmt.Errorf("kernel module %s: %w. Lost, unless it is built in: %s", m.Names[0], m.loader.err, m.For)
	}
	r := m.loader.results[m.Names[0]]
	if r.Way == modules.Missing {
		return false, errors.Join(err, errors.New(r.Warning()))
	}
	return r.Way != modules.WayLoaded && r.Way != modules.WayRequested, err
}

// RequestModules asks the kernel for modules where there is no /lib/modules to load them from, as in a container: it asks
// the modprobe of the system that it was booted with.
type RequestModules struct {
	Wants []modules.Want `json:"wants"`
}

// String tells what Apply does.
func (r RequestModules) String() string {
	names, _ := describe(r.Wants)
	return "ask the kernel to load " + names
}

// Apply asks for all of them. What did not come is told in one line: most of it may be built in, which shows nowhere
// without modules.builtin.
func (r RequestModules) Apply(ctx context.Context) (kept bool, err error) {
	var missing []modules.Want
	for _, result := range (&modules.Loader{}).Want(ctx, r.Wants) {
		if result.Way == modules.Missing {
			missing = append(missing, result.Want)
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	names, lost := describe(missing)
	return false, fmt.Errorf("there is no /lib/modules for this kernel here, and the kernel did not load %s when it was asked. "+
		"Lost, where they are not built in: %s. Load them on the host: modprobe -a %s", names, lost, names)
}

// describe lists today's names of what is wanted, and the features, each once.
func describe(wants []modules.Want) (names, features string) {
	var list, lost []string
	for _, w := range wants {
		list = append(list, w.Names[0])
		if !slices.Contains(lost, w.For) {
			lost = append(lost, w.For)
		}
	}
	return strings.Join(list, " "), strings.Join(lost, ", ")
}

// modules plans the kernel modules that Docker wants, and on a machine those of its devices.
func (p *Plan) modules(e daemon.Effective, f Facts) {
	p.bridgeNetfilter = f.Host.BridgeNetfilter
	if !f.ProcMounted {
		p.add(Step{Name: "modules", Why: "the kernel's features that Docker uses", Verdict: Do, Note: "which are missing is known once /proc is mounted"})
		return
	}
	if !f.Host.LoadableModules {
		p.add(Step{Name: "modules", Why: "the kernel's features that Docker uses", Verdict: Skip, Note: "this kernel has no loadable modules"})
		return
	}
	wants := WantedModules(firewallOf(e, p.iptables.Program(f.IPTables)))
	loader := &moduleLoader{wants: wants, open: openLoader}
	var open []modules.Want
	for _, w := range wants {
		s := Step{Name: "module " + w.Names[0], Why: w.For, Verdict: Keep}
		switch i := slices.IndexFunc(w.Names, func(name string) bool { return f.Modules[name] }); {
		case i >= 0:
			s.Note = w.Names[i] + " is in the kernel"
		case !f.ModuleIndex:
			open = append(open, w)
			continue
		default:
			s.Verdict, s.Action = Do, LoadModule{Names: w.Names, For: w.For, loader: loader}
			p.bridgeNetfilter = p.bridgeNetfilter || w.Names[0] == bridgeNetfilter
		}
		p.add(s)
	}
	if len(open) > 0 {
		p.add(Step{Name: "modules of the host", Why: "the kernel's features that Docker uses", Verdict: Do, Action: RequestModules{Wants: open}})
	}
}

// evidence are paths that a feature makes in the kernel's filesystems, of a module too or built in: a module that is built
// in and has no parameters is listed nowhere (Documentation/ABI/stable/sysfs-module).
var evidence = map[string]string{
	bridgeNetfilter: "/proc/sys/net/bridge/bridge-nf-call-iptables",
	"bridge":        "/proc/sys/net/bridge/bridge-nf-call-iptables", // which needs it
	"nf_conntrack":  "/proc/sys/net/netfilter/nf_conntrack_max",
	"ip_tables":     "/proc/net/ip_tables_names",
	"ip6_tables":    "/proc/net/ip6_tables_names",
}

// observeModules tells which of the modules that may be wanted the kernel has, as far as it says so.
func observeModules() (map[string]bool, error) {
	filesystems, err := smallfile.Read("/proc/filesystems")
	if err != nil {
		return nil, err
	}
	has := map[string]bool{"overlay": slices.Contains(strings.Fields(string(filesystems)), "overlay")}
	for _, firewall := range []Firewall{FirewallIPTablesNft, FirewallIPTablesLegacy} {
		for _, w := range WantedModules(firewall) {
			for _, name := range w.Names {
				presence, err := modules.Kernel{}.Has(name)
				if err != nil {
					return nil, err
				}
				if path := evidence[name]; path != "" && presence == modules.Absent {
					if _, err := os.Stat(path); err == nil {
						presence = modules.BuiltIn
					}
				}
				has[name] = has[name] || presence == modules.Loaded || presence == modules.BuiltIn
			}
		}
	}
	return has, nil
}

// moduleIndex tells whether there are modules of the running kernel to be loaded.
func moduleIndex() (bool, error) {
	release, err := modules.Release()
	if err != nil {
		return false, err
	}
	st, err := os.Stat("/lib/modules/" + release)
	return err == nil && st.IsDir(), nil
}
