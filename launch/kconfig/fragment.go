package kconfig

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// Fragment writes a configuration fragment that turns on what findings say is missing from c, worst first, with what it needs
// to be offered; scripts/kconfig/merge_config.sh of the kernel's source merges it into a configuration. Options are modules
// where the kernel has modules, but for those that it has as modules already and that are not installed. Options that no
// kernel has are named in a comment. It is "" where nothing is missing. c is what Judge was given, or nil.
func Fragment(c *Config, findings []finding.Finding) string {
	j := newJudgement(c, Conditions{Firewall: FirewallNone}, nil)
	w := fragment{judgement: j, done: map[string]bool{}}
	for _, severity := range []finding.Severity{fatal, degraded, info} {
		for _, f := range findings {
			name, ok := strings.CutPrefix(f.ID, "kernel.CONFIG_")
			if o := find(name); ok && f.Status == finding.Missing && f.Severity == severity && o != nil {
				w.option(o)
			}
		}
	}
	return w.text.String()
}

type fragment struct {
	*judgement
	text strings.Builder
	done map[string]bool
}

func (w *fragment) option(o *option) {
	if w.done[o.name] {
		return
	}
	lost := strings.ReplaceAll(o.lost, "\n", " ")
	switch {
	case o.marks&outside != 0:
		w.done[o.name] = true
		w.text.WriteString("# CONFIG_" + o.name + " is in no mainline kernel, and cannot be turned on. It is for: " + lost + "\n")
		return
	case w.r.before(o.since):
		w.done[o.name] = true
		w.text.WriteString("# CONFIG_" + o.name + " came with kernel " + o.since.String() + ", and cannot be turned on before. It is for: " + lost + "\n")
		return
	case o.marks&helper != 0:
		return // what selects it brings it
	}
	w.text.WriteString("# Lost without " + o.name + ": " + lost + "\n")
	w.set(o.name)
}

// set turns an option on after those that it needs.
func (w *fragment) set(name string) {
	if w.done[name] {
		return
	}
	w.done[name] = true
	o := find(name)
	if o == nil {
		w.text.WriteString("CONFIG_" + name + "=y\n")
		return
	}
	for _, need := range inRelease(o.needs, w.r) {
		n := find(need)
		if !w.On(need) && (n == nil || !w.r.before(n.since) && !w.r.after(n.until)) {
			w.set(need)
		}
	}
	value := "y"
	if o.kind == tristate && w.Value("MODULES") == "y" && w.Value(name) != "m" {
		value = "m"
	}
	w.text.WriteString("CONFIG_" + name + "=" + value + "\n")
}
