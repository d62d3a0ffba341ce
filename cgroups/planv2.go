package cgroups

import (
	"fmt"
	"slices"
)

// optionsV2 are the mount options of cgroup2 that are wanted, the older first: nsdelegate from Linux 4.13, memory_recursiveprot
// from 5.7.
var optionsV2 = []struct{ name, lost string }{
	{"nsdelegate", "containers with a cgroup namespace are kept from changing the limits of their own cgroup"},
	{"memory_recursiveprot", "memory protection of a cgroup extends to those below it"},
}

const (
	whyV2       = "container managers put containers into cgroups"
	whyEvacuate = "the kernel refuses controllers to the cgroups below one that holds processes"
	whyEnable   = "a cgroup has the controllers that the one above it hands down"
	lostEnable  = "limits and statistics of containers"
	lostOwnRoot = "the limits of this container bind what it starts, and container managers find their cgroups where they made them"
)

func (p *planner) mountV2() error {
	p.add(MountV2{Target: p.Root, Options: p.offered(), Meaning: Meaning{Required: true, Why: whyV2, Lost: lostEnable}})
	if !p.CompleteV2 {
		p.warn("cgroup2 of this kernel is from before Linux 4.15", knowV2("cpu").lost+", "+knowV1("devices").lost, "use a later kernel")
	}
	if p.habitat.Container {
		p.evacuate()
	}
	p.enable(p.expected())
	return nil
}

// offered are the mount options that the kernel lists. Where it has no list, before Linux 4.15, mounting tries them.
func (p *planner) offered() []string {
	var list []string
	for _, o := range optionsV2 {
		if p.Features != nil && !slices.Contains(p.Features, o.name) {
			p.warn("the kernel does not have the option "+o.name+" of cgroup2", o.lost, "")
			continue
		}
		list = append(list, o.name)
	}
	return list
}

func (p *planner) keepV2() error {
	m, _ := p.unifiedMount()
	if m.ReadOnly {
		return p.readOnly(m)
	}
	if !p.habitat.owns() {
		return nil
	}
	own := p.OwnRoot(DefaultLeaf)
	if !own && p.habitat.Container {
		p.add(Reroot{p.Root, DefaultLeaf, Meaning{Why: whyReroot(m.Root, p.UnifiedPath()), Lost: lostOwnRoot}})
	} else if p.managed(DefaultLeaf) {
		p.warn("somebody else manages cgroups here: this process is in "+p.UnifiedPath()+", and PID 1 in "+p.InitPath, "",
			"give the container manager --cgroup-parent with a cgroup that is left to it, if that other one complains")
	}
	// In the root of the hierarchy processes may stay. After Reroot it is another cgroup that counts.
	reroot := !own && p.habitat.Container
	threaded := !reroot && p.isThreaded()
	// Without processes, and with controllers handed down, the kernel lets none in any more.
	empty := p.Unified.Processes == 0 && len(p.Unified.SubtreeControl) > 0
	if reroot || !threaded && !p.Unified.HierarchyRoot && !empty {
		p.evacuate()
	}
	if reroot {
		p.enable(p.expected())
		return nil
	}
	if !threaded {
		p.missingV2()
	}
	if !p.handsDownAll() {
		p.enable(nil)
	}
	return nil
}

// handsDownAll tells whether the cgroups below have every controller that this one has.
func (p *planner) handsDownAll() bool {
	for _, name := range p.Unified.Controllers {
		if !slices.Contains(p.Unified.SubtreeControl, name) {
			return false
		}
	}
	return true
}

// readOnly stops where cgroups are to be made; on a person's host it is left to whoever makes them to complain.
func (p *planner) readOnly(m Mount) error {
	e := p.problem(ErrReadOnly, "")
	e.Path, e.Lost, e.Advice = m.Target, "cgroups for containers", "start the container with --privileged"
	if p.habitat.owns() {
		return e
	}
	p.warn(m.Target+" is mounted read-only", e.Lost, "")
	return nil
}

func whyReroot(root, path string) string {
	if root != "/" {
		return "cgroup2 was mounted by another cgroup namespace: its root is " + root
	}
	return "this container shares the cgroup namespace of its host: it is in " + path
}

// isThreaded warns where the cgroup is part of a threaded subtree, or its root: those below it can have only cpu, cpuset,
// perf_event and pids.
func (p *planner) isThreaded() bool {
	kind := p.Unified.Type
	if kind == "" || kind == "domain" {
		return false
	}
	p.warn(fmt.Sprintf("the cgroup at %s is of the type %q", p.Root, kind), knowV2("memory").lost+", "+knowV2("io").lost, adviceThreaded)
	return true
}

func (p *planner) evacuate() {
	p.add(Evacuate{Dir: p.Root, Leaf: DefaultLeaf, Tries: DefaultTries, TimeoutMS: int(DefaultTimeout.Milliseconds()),
		Meaning: Meaning{Required: true, Why: whyEvacuate, Lost: lostEnable}})
}

func (p *planner) enable(expect []string) {
	p.add(EnableControllers{Dir: p.Root, Expect: expect, Nested: p.habitat.Container, Meaning: Meaning{Why: whyEnable, Lost: lostEnable}})
}

// expected are the controllers that people miss.
func (p *planner) expected() []string {
	var list []string
	for _, k := range known {
		if k.v2 != "" && k.common {
			list = append(list, k.v2)
		}
	}
	return list
}

// missingV2 warns of the controllers that people miss and that the mounted cgroup2 does not have.
func (p *planner) missingV2() {
	for _, name := range p.expected() {
		if k := knowV2(name); !slices.Contains(p.Unified.Controllers, name) {
			p.warn("cgroup2 at "+p.Root+" does not have the controller "+name, k.lost, whyAbsent(k, p.Controllers))
		}
	}
}
