package kconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// newest stands for an unknown release: options that are gone are not asked for, all others are.
var newest = Release{1 << 10, 0, 0}

// judgement is one comparison of a configuration with the table.
type judgement struct {
	*Config
	Conditions
	modules Modules
	r       Release
	text    string // of the release, with the vendor's part
}

// Judge compares a configuration with what Docker needs and returns a finding for the configuration itself, for the kernel's
// release, for each known bug of it, and for each option of the table, in its order. It does not look at the system.
func Judge(c *Config, conditions Conditions, modules Modules) []finding.Finding {
	j := newJudgement(c, conditions, modules)
	findings := make([]finding.Finding, 0, 256)
	findings = append(findings, j.config())
	findings = append(findings, j.releases()...)
	for _, table := range tables() {
		for i := range table {
			findings = append(findings, j.option(&table[i]))
		}
	}
	return findings
}

func newJudgement(c *Config, conditions Conditions, modules Modules) *judgement {
	if c == nil {
		c = &Config{}
	}
	j := &judgement{Config: c, Conditions: conditions, modules: modules, r: c.Release, text: c.Text}
	if !j.r.Known() {
		if r, ok := ParseRelease(conditions.Running); ok {
			j.r, j.text = r, conditions.Running
		} else {
			j.r = newest
		}
	}
	if c.Arch != "" {
		j.Conditions.Arch = c.Arch
	}
	if j.Cgroup == CgroupUnknown {
		j.Cgroup = CgroupV1
		// From 5.2 on v2 has all that Docker uses.
		if !j.r.before(5_2) && (c.On("CGROUP_BPF") || !c.Complete) && !j.dockerBefore(20, 10) {
			j.Cgroup = CgroupV2
		}
	}
	if j.Firewall == FirewallUnknown {
		j.Firewall = j.bestFirewall()
	}
	return j
}

// bestFirewall is the variant of iptables that the kernel has all for, the usual one of its time where it has all for both,
// and where it has for none the one that less is missing for.
func (j *judgement) bestFirewall() Firewall {
	order := [2]Firewall{FirewallNFT, FirewallLegacy}
	if j.r.before(4_18) {
		order[0], order[1] = order[1], order[0]
	}
	var lacking [2]int
	for i, f := range order {
		j.Firewall = f
		for _, table := range [][]option{tableFilter[:], tableNFT[:]} {
			for o := range table {
				if f := j.option(&table[o]); f.Bad() && f.Severity == fatal {
					lacking[i]++
				}
			}
		}
	}
	if lacking[1] < lacking[0] {
		return order[1]
	}
	return order[0]
}

// config is the finding about the configuration itself.
func (j *judgement) config() finding.Finding {
	f := finding.Finding{ID: "kernel.config", Area: finding.Kernel, Status: finding.OK, Severity: info}
	var notes []string
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	switch {
	case j.probed:
		f.Status = finding.Unknown
		f.Fix = "build the kernel with CONFIG_IKCONFIG_PROC=y, or name its configuration"
		say("no configuration of the kernel was found, so the running kernel was probed: what it does not show is unknown")
	case !j.Complete:
		f.Status = finding.Unknown
		f.Fix = "name the full configuration: .config in the build folder, or what `make olddefconfig` makes of this file"
		say("this is a fragment or a defconfig: an option that it does not name is unknown")
	}
	if j.Text == "" && !j.probed {
		say("it does not say of which kernel it is")
	}
	if running, ok := ParseRelease(j.Running); ok && j.Release.Known() && running.series() != j.Release.series() && !sameSeries(running, j.Release) {
		f.Status = finding.Unknown
		say("it is of kernel %s, and not of the running %s", j.Text, j.Running)
	}
	if j.Garbage > 0 {
		say("%d of its lines are no settings", j.Garbage)
	}
	if j.Duplicates > 0 {
		say("%d options are set more than once, where the last counts", j.Duplicates)
	}
	f.Note = strings.Join(notes, "; ")
	return f
}

// sameSeries tells whether a header's release can be that of a running kernel: distributions keep the last number of uname
// as it was at first (Debian's 6.1.0-56 is 6.1.192).
func sameSeries(a, b Release) bool { return a.Major == b.Major && a.Minor == b.Minor && a.Major > 2 }

// option judges one row of the table.
func (j *judgement) option(o *option) finding.Finding {
	f := finding.Finding{ID: "kernel.CONFIG_" + o.name, Area: finding.Kernel, Severity: o.severity.severity()}
	holds, failing := j.hold(o.when)
	if !holds {
		f.Status, f.Note = finding.NotApplicable, "asked for "+failing.word()
		return f
	}
	if o.worse != 0 {
		if worse, _ := j.hold(o.worse); worse {
			f.Severity = o.worst.severity()
		}
	}
	j.status(o, &f)
	if f.Bad() || f.Status == finding.Unknown {
		f.Lost = o.lost
	}
	return f
}

// status fills in how an option that is asked for stands, why, and what to do.
func (j *judgement) status(o *option, f *finding.Finding) {
	value := j.Value(o.name)
	if o.marks&unwanted != 0 {
		switch {
		case value == "y" || value == "m":
			f.Status, f.Note, f.Fix = finding.Disabled, "it is on, and better off", o.fix
		case value == "" && !j.Complete:
			f.Status, f.Note = finding.Unknown, "not named"
		default:
			f.Status = finding.OK
			if f.Note = j.superseded(o); f.Note != "" {
				f.Status = finding.NotApplicable
			}
		}
		return
	}
	if value == "y" {
		f.Status = finding.OK
		return
	}
	// A module counts if it is there. An option that is present beats what the releases below say: vendors backport.
	state, module := j.modules.state(o.module)
	if value == "m" {
		switch state {
		case ModuleAbsent:
			f.Status, f.Note = finding.Missing, "the kernel has it as a module, and "+o.modules()+" is neither loaded nor installed"
			f.Fix = either("install the modules of kernel "+j.text+" below /lib/modules, or build it with CONFIG_"+o.name+"=y", o.fix)
		case ModuleUnknown:
			f.Status, f.Note = finding.OK, "a module; whether it is installed is not known"
		default:
			f.Status, f.Note = finding.OK, "module "+module
		}
		return
	}
	if note := j.superseded(o); note != "" {
		f.Status, f.Note = finding.NotApplicable, note
		return
	}
	alternatives := inRelease(o.alt, j.r)
	for _, name := range alternatives {
		if j.usable(name) {
			f.Status, f.Note = finding.NotApplicable, "CONFIG_"+name+" does its work"
			return
		}
	}
	if j.r.before(o.since) {
		if o.marks&predate != 0 {
			f.Status, f.Note = finding.Missing, "kernel "+j.text+" is older than the option, which came with "+o.since.String()
			f.Fix = either("use kernel "+o.since.String()+" or later", o.fix)
		} else {
			f.Status, f.Note = finding.NotApplicable, "it came with "+o.since.String()
		}
		return
	}
	if !j.Complete {
		if state >= ModuleLoadable {
			f.Status, f.Note = finding.OK, "module "+module
			return
		}
		open := value == "" && !(j.probed && o.module != "" && state == ModuleAbsent)
		if open || slices.ContainsFunc(alternatives, func(name string) bool { return j.Value(name) == "" && j.exists(name) }) {
			f.Status, f.Note = finding.Unknown, "not named"
			if j.probed {
				f.Note = "the running kernel does not show it"
			}
			return
		}
	}
	f.Status, f.Note = finding.Missing, o.note
	f.Fix = either(o.build(), o.fix)
}

// superseded tells why an option is no longer asked for in this release, or "".
func (j *judgement) superseded(o *option) string {
	last := o.until
	if o.asked != 0 {
		last = o.asked
	}
	if !j.r.after(last) {
		return ""
	}
	text := "asked for up to kernel " + last.String()
	if last == o.until {
		text = "gone after kernel " + last.String()
	}
	if o.instead != "" {
		text += ", CONFIG_" + o.instead + " took its place"
	}
	if o.note != "" {
		text += " (" + o.note + ")"
	}
	return text
}

// usable tells whether an option is on, and where it is a module also there.
func (j *judgement) usable(name string) bool {
	switch j.Value(name) {
	case "y":
		return true
	case "m":
		o := find(name)
		if o == nil {
			return true
		}
		state, _ := j.modules.state(o.module)
		return state != ModuleAbsent
	}
	return false
}

// exists tells whether this release has an option at all.
func (j *judgement) exists(name string) bool {
	o := find(name)
	return o != nil && !j.r.before(o.since) && !j.r.after(o.until)
}

// modules is what the option's module is called, for a message.
func (o *option) modules() string { return strings.Join(strings.Fields(o.module), " or ") }

// build is how to turn the option on.
func (o *option) build() string {
	switch {
	case o.marks&outside != 0:
		return ""
	case o.kind == tristate:
		return "build the kernel with CONFIG_" + o.name + "=m or =y"
	}
	return "build the kernel with CONFIG_" + o.name + "=y"
}

// either joins two ways out.
func either(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	case strings.HasPrefix(b, "or "):
		return a + ", " + b
	}
	return a + "; " + b
}
