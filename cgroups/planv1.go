package cgroups

import (
	"fmt"
	"slices"
	"strings"
)

const whyV1 = "container managers make a cgroup in each hierarchy for a container"

// systemdName is the hierarchy without controllers in which systemd tracks processes. Container managers put containers into it
// where it is there, and systemd in a container needs it.
const systemdName = "name=systemd"

func (p *planner) mountV1(hybrid bool) error {
	p.add(MountTmpfs{p.Root, Meaning{Required: true, Why: "it holds a folder for each cgroup v1 hierarchy", Lost: lostEnable}})
	return p.completeV1(hybrid)
}

func (p *planner) keepV1(hybrid bool) error {
	for _, m := range p.Mounts {
		if m.FSType != fsV1 || !m.ReadOnly {
			continue
		}
		if err := p.readOnly(m); err != nil {
			return err
		}
	}
	if !p.habitat.owns() {
		if _, ok := p.mounted(mandatoryV1); !ok {
			p.warn("no cgroup v1 hierarchy with the controller "+mandatoryV1+" is mounted", knowV1(mandatoryV1).lost, "")
		}
		return nil
	}
	if m, ok := p.mounted(mandatoryV1); ok && p.habitat.Container && m.Root == "/" {
		if path := p.pathOf(mandatoryV1); path != "/" && path != "" {
			p.warn("the cgroup v1 hierarchies of the host are mounted here, and this container is in "+path,
				"the limits of this container bind what it starts", adviceParent)
		}
	}
	return p.completeV1(hybrid)
}

// pathOf is the process's path in the hierarchy of a v1 controller.
func (p *planner) pathOf(controller string) string {
	for _, m := range p.Membership {
		if slices.Contains(m.Controllers, controller) {
			return m.Path
		}
	}
	return ""
}

// completeV1 mounts the hierarchies that are not mounted yet.
func (p *planner) completeV1(hybrid bool) error {
	if err := p.checkV1(); err != nil {
		return err
	}
	fresh := p.Mode == None
	for _, group := range p.groups() {
		if slices.ContainsFunc(group, func(c string) bool { _, ok := p.mounted(c); return ok }) {
			continue
		}
		if !p.exists(group) && !p.habitat.Machine {
			p.warnUnmade(group, fresh)
			continue
		}
		p.addV1(group, fresh)
	}
	if _, ok := p.mounted(systemdName); !ok && p.wantSystemd() {
		p.add(MountV1{p.at("systemd"), []string{systemdName}, Meaning{Why: "containers that run systemd expect it", Lost: "systemd in containers"}})
	}
	if hybrid && p.Mode != Hybrid {
		p.add(MountV2{p.at(unifiedName), p.offered(), Meaning{Why: "a hybrid was asked for", Lost: "cgroup2 beside cgroup v1"}})
	}
	return nil
}

// wantSystemd tells whether the named hierarchy can be had: everywhere on a machine, elsewhere where the host has it.
func (p *planner) wantSystemd() bool { return p.habitat.Machine || p.pathOf(systemdName) != "" }

// checkV1 stops where the mandatory controller is not to be had, and warns where one of the others that people miss is not.
func (p *planner) checkV1() error {
	for _, k := range known {
		if k.v1 == "" {
			continue
		}
		if _, ok := p.mounted(k.v1); ok {
			continue
		}
		what := "cgroup v1 does not have the controller " + k.v1
		advice := "the kernel needs " + k.option
		if k.optionV1 != "" {
			advice += ", and from Linux 6.11 on " + k.optionV1
		}
		row, ok := p.row(k.v1)
		if ok && !row.Enabled {
			advice = fmt.Sprintf("it is switched off: boot without cgroup_disable=%s, or with cgroup_enable=%s", k.v1, k.v1)
		}
		if ok && row.Enabled {
			if k.v1 != mandatoryV1 || p.habitat.Machine || row.Hierarchy != 0 {
				continue
			}
			what, advice = "no cgroup v1 hierarchy of the host has the controller "+k.v1, "mount it on the host first"
		}
		if k.v1 == mandatoryV1 {
			e := p.problem(ErrNoController, what)
			e.Lost, e.Advice = k.lost, advice
			return e
		}
		if k.common {
			p.warn(what, k.lost, advice)
		}
	}
	return nil
}

// exists tells whether there is a hierarchy with one of the controllers.
func (p *planner) exists(group []string) bool {
	return slices.ContainsFunc(group, func(c string) bool {
		row, ok := p.row(c)
		return ok && row.Hierarchy != 0
	})
}

// warnUnmade is for a hierarchy that does not exist. Mounting one that does not exist makes it, for the whole system: the kernel
// refuses that inside of a cgroup namespace, and outside of one it would outlive the container. Where the runtime has mounted
// the others, only what people miss is worth a warning.
func (p *planner) warnUnmade(group []string, fresh bool) {
	if fresh || slices.ContainsFunc(group, func(c string) bool { return knowV1(c).common }) {
		p.warn("no cgroup v1 hierarchy of the host has the controller "+strings.Join(group, ","), lostV1(group), "mount it on the host first")
	}
}

func (p *planner) addV1(group []string, fresh bool) {
	name := strings.Join(group, ",")
	m := Meaning{Required: slices.Contains(group, mandatoryV1), Why: whyV1, Lost: lostV1(group)}
	p.add(MountV1{p.at(name), group, m})
	if len(group) > 1 {
		for _, c := range group {
			if strings.Contains(c, "=") {
				continue
			}
			p.add(Link{p.at(c), name, Meaning{Required: m.Required, Why: "programs look for " + c + " by its own name", Lost: knowV1(c).lost}})
		}
	}
	if fresh && p.habitat.Machine && slices.Contains(group, "memory") {
		p.add(Set{p.at(name) + "/memory.use_hierarchy", "1", Meaning{Why: "the memory of a cgroup includes that of the cgroups below it",
			Lost: "limits of a cgroup bind those below it"}})
	}
}

// groups are the controllers that are enabled, as they share hierarchies: as /proc/self/cgroup shows it, and by custom where a
// hierarchy does not exist yet.
func (p *planner) groups() [][]string {
	var list [][]string
	done := map[string]bool{}
	for _, row := range p.Controllers {
		if !row.Enabled || done[row.Name] {
			continue
		}
		group := p.companions(row)
		for _, c := range group {
			done[c] = true
		}
		list = append(list, group)
	}
	return list
}

func (p *planner) companions(row Controller) []string {
	if row.Hierarchy != 0 {
		for _, m := range p.Membership {
			if m.Hierarchy == row.Hierarchy {
				return m.Controllers
			}
		}
		var group []string
		for _, r := range p.Controllers {
			if r.Hierarchy == row.Hierarchy {
				group = append(group, r.Name)
			}
		}
		return group
	}
	for _, classic := range classicGroups {
		if slices.Contains(classic, row.Name) && !slices.ContainsFunc(classic, func(c string) bool {
			r, ok := p.row(c)
			_, mounted := p.mounted(c)
			return !ok || !r.Enabled || r.Hierarchy != 0 || mounted
		}) {
			return classic
		}
	}
	return []string{row.Name}
}

func lostV1(group []string) string {
	var words []string
	for _, c := range group {
		if !strings.Contains(c, "=") {
			words = append(words, knowV1(c).lost)
		}
	}
	return strings.Join(words, ", ")
}
