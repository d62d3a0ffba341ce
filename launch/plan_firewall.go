package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// pathFolder is a folder that goes in front of the daemon's PATH.
type pathFolder struct{ dir, reason string }

// pathWith puts folders in front of a PATH.
func pathWith(folders []pathFolder, path string) Variable {
	dirs, reasons := []string{}, []string{}
	for _, f := range folders {
		dirs, reasons = append(dirs, f.dir), append(reasons, f.reason)
	}
	return Variable{"PATH", strings.Join(append(dirs, path), ":"), strings.Join(reasons, "; ")}
}

const iptablesWhy = "rules of both variants of iptables in one network namespace fight each other"

// chooseIPTables plans which variant of iptables the daemon runs. On a person's host it is the host's own choice, unless
// the variable for it is set.
func (p *Plan) chooseIPTables(c Config, e daemon.Effective, f Facts) {
	value, set := c.lookupEnv(iptables.Variable)
	p.iptables = iptables.Choose(f.IPTables, value, set)
	if !p.isDockerd || !e.IPTables() || e.FirewallBackend() == "nftables" || f.IPTables.Goal == "" {
		p.iptables = iptables.Choice{}
		return
	}
	choice := p.iptables
	s := Step{Name: "iptables", Why: iptablesWhy, Verdict: Keep, Note: string(choice.Variant) + ": " + choice.Why}
	switch {
	case p.Habitat == host.Host && !set:
		p.iptables = iptables.Choice{}
		return
	case choice.Open:
		return // askIPTables comes behind the modules
	case choice.Missing != "":
		s.Verdict = Warn
		s.Note += ". But " + choice.Missing + ": install Debian's iptables. Lost: rules beside those that are there, unless the other variant works too"
	case choice.Links:
		s.Verdict, s.Action = Do, iptables.Links{Dir: iptables.Dir, Variant: choice.Variant, Program: f.IPTables.Of(choice.Variant).Path}
		p.inFront = append(p.inFront, pathFolder{iptables.Dir, "iptables is the variant " + s.Note})
	}
	p.add(s)
}

// askIPTables plans the question which variant the kernel knows, behind the modules, or where it loads none, behind the look at its
// configuration.
func (p *Plan) askIPTables(f Facts, known *check.Known) {
	if !p.iptables.Open {
		return
	}
	ask := &iptables.Ask{
		Links:  iptables.Links{Dir: iptables.Dir, Variant: iptables.Legacy, Program: f.IPTables.Legacy.Path},
		Prefer: p.iptables.Variant == iptables.Legacy, NftLoaded: f.IPTables.NftLoaded,
	}
	why, reason := "without nf_tables in the kernel, the other variant makes no rules", "iptables-legacy is linked there if the kernel has no nf_tables"
	if ask.Prefer {
		why, reason = p.iptables.Why, "iptables-legacy is linked there if the kernel has all of its tables: "+p.iptables.Why
		// Which modules there are is known, of a kernel that has them.
		if ask.Tables = iptables.Tables(); f.Host.LoadableModules {
			ask.Tables = ask.Tables[:2]
		} else if known != nil {
			p.iptablesBuiltIn = true
			ask.Config = func() (has, tells bool) { return hasLegacyOptions(known.Config) }
		}
	}
	p.inFront = append(p.inFront, pathFolder{iptables.Dir, reason})
	lane := p.lane
	p.lane = LaneIPTables
	p.add(Step{Name: "iptables", Why: why, Verdict: Do, Action: ask})
	p.lane = lane
}

// hasLegacyOptions tells whether a kernel without loadable modules has all tables of ip_tables, and whether its configuration tells.
func hasLegacyOptions(c *kconfig.Config) (has, tells bool) {
	if c == nil || !c.Complete {
		return false, false
	}
	for _, family := range [...]string{"IP_NF_", "IP6_NF_"} {
		if family == "IP6_NF_" && !c.On("IPV6") {
			break // nor are rules for it made
		}
		for _, table := range iptables.Tables() {
			if c.Value(family+strings.ToUpper(table)) != "y" {
				return false, true
			}
		}
	}
	return true, true
}

// observeLegacy tells whether iptables-legacy may be preferred. In the network namespace that the kernel began with, the host's own
// rules are to be expected, sooner or later, of whichever variant; a machine's own rules are Docker's. net.core.dev_weight is shown
// in that namespace alone (net/core/sysctl_net_core.c).
func (f *Facts) observeLegacy() error {
	f.IPTables.NftLoaded = !f.Host.LoadableModules || f.Modules["nf_tables"]
	if _, err := os.Stat("/proc/sys/net/core/dev_weight"); f.Host.Habitat != host.Machine && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !f.Host.LoadableModules {
		// What is built in is not listed anywhere; ip_tables at least shows itself, and is asked for the rest.
		_, err := os.Stat(evidence["ip_tables"])
		f.IPTables.LegacySafe = err == nil
		return nil
	}
	var err error
	f.IPTables.LegacySafe, err = hasLegacyModules(f.Host.Habitat == host.Machine && f.ModuleIndex)
	return err
}

// hasLegacyModules tells whether all tables of iptables-legacy are in the kernel, or, where loadable, among the modules that its own
// build installs (Documentation/kbuild/modules.rst): asking an index costs more than the whole rest of a plan.
func hasLegacyModules(loadable bool) (bool, error) {
	release, err := modules.Release()
	if err != nil {
		return false, err
	}
	for _, f := range [...]struct{ family, prefix string }{{"ipv4", "iptable_"}, {"ipv6", "ip6table_"}} {
		var files []os.DirEntry
		if loadable {
			files, err = os.ReadDir("/lib/modules/" + release + "/kernel/net/" + f.family + "/netfilter")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, fmt.Errorf("looking for modules of iptables-legacy: %w", err)
			}
		}
		for _, table := range iptables.Tables() {
			presence, err := modules.Kernel{}.Has(f.prefix + table)
			if err != nil {
				return false, err
			}
			file := slices.ContainsFunc(files, func(e os.DirEntry) bool { return modules.NameOf(e.Name()) == f.prefix+table })
			if presence != modules.Loaded && presence != modules.BuiltIn && !file {
				return false, nil
			}
		}
	}
	return true, nil
}
