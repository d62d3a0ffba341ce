package launch

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
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
	case choice.Missing != "":
		s.Verdict = Warn
		s.Note += ". But " + choice.Missing + ": install Debian's iptables. Lost: rules beside those that are there, unless the other variant works too"
	case choice.Links:
		s.Verdict, s.Action = Do, iptables.Links{Dir: iptables.Dir, Variant: choice.Variant, Program: f.IPTables.Of(choice.Variant).Path}
		p.inFront = append(p.inFront, pathFolder{iptables.Dir, "iptables is the variant " + s.Note})
	}
	p.add(s)
}

// fallBackIPTables plans the question whether the kernel knows nf_tables, behind the modules.
func (p *Plan) fallBackIPTables(f Facts) {
	if !p.iptables.Open {
		return
	}
	p.inFront = append(p.inFront, pathFolder{iptables.Dir, "iptables-legacy is linked there if the kernel has no nf_tables"})
	p.add(Step{
		Name: "nf_tables", Why: "without it in the kernel, iptables makes no rules", Verdict: Do,
		Action: iptables.Fallback{Links: iptables.Links{Dir: iptables.Dir, Variant: iptables.Legacy, Program: f.IPTables.Legacy.Path}},
	})
}
