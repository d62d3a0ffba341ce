package cgroups

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Habitat is what the process is to the system. Neither of the two is a person's host, on which nothing is changed.
type Habitat struct {
	// Machine: the process is the first one and owns everything.
	Machine bool `json:"machine"`
	// Container: what the runtime mounted is kept, and nothing is made that would be seen outside.
	Container bool `json:"container"`
}

// planner collects the result of Plan.
type planner struct {
	Facts
	habitat  Habitat
	actions  []Action
	warnings []Warning
}

// Plan says what has to be done for a container manager to have the cgroups that are wanted. It is pure. The actions are to be
// applied in their order. The error is an *Error where there is no way.
func Plan(f Facts, want Want, habitat Habitat) ([]Action, []Warning, error) {
	if f.Root == "" {
		f.Root = DefaultRoot
	}
	p := &planner{Facts: f, habitat: habitat}
	if err := p.plan(want); err != nil {
		return nil, p.warnings, err
	}
	return p.actions, p.warnings, nil
}

func (p *planner) plan(want Want) error {
	if err := p.checkRoot(); err != nil {
		return err
	}
	switch p.Mode {
	case None:
		return p.fromNone(want)
	case V2:
		if want == WantAuto || want == WantV2 {
			return p.keepV2()
		}
	case V1, Hybrid:
		if want != WantV2 {
			return p.keepV1(want == WantHybrid)
		}
	}
	return p.exchange(want)
}

// checkRoot looks for what is wrong at the root whatever is wanted.
func (p *planner) checkRoot() error {
	switch p.RootFSType {
	case "", "tmpfs", "sysfs", fsV2:
		return nil
	case fsV1:
		e := p.problem(ErrSingleMount, "containers get no cgroup of their own in it")
		e.Advice = "unmount it, and mount a tmpfs there with a folder for each controller"
		if p.habitat.owns() {
			return e
		}
		p.warn(e.Error(), "", "")
		return nil
	}
	return p.problem(ErrForeign, "a filesystem of type "+p.RootFSType+" is mounted there")
}

// owns tells whether the process may mount at all.
func (h Habitat) owns() bool { return h.Machine || h.Container }

func (p *planner) fromNone(want Want) error {
	if !p.KernelV1 && !p.KernelV2 {
		e := p.problem(ErrNoCgroups, "/proc/filesystems has neither cgroup nor cgroup2")
		e.Advice = "use a kernel with CONFIG_CGROUPS, CONFIG_CGROUP_BPF, CONFIG_MEMCG, CONFIG_CGROUP_SCHED, CONFIG_CGROUP_PIDS, " +
			"CONFIG_CPUSETS and CONFIG_BLK_CGROUP"
		return e
	}
	if !p.habitat.owns() {
		e := p.problem(ErrNothingMounted, "")
		e.Advice = "mount cgroup2 there, or start in a container or as the first process of a machine"
		return e
	}
	if want == WantAuto {
		want = p.choose()
	}
	if want == WantV2 && !p.KernelV2 || want != WantV2 && !p.KernelV1 {
		e := p.problem(ErrOtherVersion, "the kernel does not have cgroup "+want.String())
		e.Advice = "ask for another version, or for auto"
		return e
	}
	if want == WantHybrid && !p.KernelV2 {
		return p.problem(ErrOtherVersion, "the kernel has no cgroup2 for a hybrid")
	}
	if p.habitat.Container && slices.ContainsFunc(p.Membership, func(m Membership) bool { return m.Path != "/" }) {
		p.add(Unshare{Meaning{
			Why:  "mounts in the host's cgroup namespace show the cgroups of the host, and limits of this container do not bind what is made there",
			Lost: "the limits of this container bind what it starts",
		}})
	}
	if want == WantV2 {
		return p.mountV2()
	}
	return p.mountV1(want == WantHybrid)
}

// choose picks a version where nothing is mounted.
func (p *planner) choose() Want {
	switch {
	case p.KernelV1 && p.usesV1():
		return WantV1
	case p.CompleteV2 || !p.KernelV1:
		return WantV2
	}
	return WantV1
}

// exchange takes what is mounted away to mount what is wanted, where nobody uses it yet.
func (p *planner) exchange(want Want) error {
	if !p.habitat.Machine || !p.unused() {
		e := p.problem(ErrOtherVersion, fmt.Sprintf("it has %s, and %s is wanted", p.Mode, want))
		e.Advice = "ask for auto to use it as it is"
		return e
	}
	meaning := Meaning{Required: true, Why: "another cgroup version is wanted, and nobody uses this one yet"}
	for _, m := range slices.Backward(p.Mounts) {
		p.add(Unmount{m.Target, m.FSType, m.Controllers, meaning})
	}
	if p.RootFSType == "tmpfs" {
		p.add(Unmount{p.Root, "tmpfs", nil, meaning})
	}
	// What will be found once that is done.
	p.Mode, p.RootFSType, p.Mounts, p.Unified = None, "", nil, nil
	p.Controllers = slices.Clone(p.Controllers)
	for i := range p.Controllers {
		p.Controllers[i].Hierarchy = 0
	}
	return p.fromNone(want)
}

// unused tells whether no hierarchy has cgroups beside its root, and all of them are mounted below the root folder. Controllers
// that are switched on in the root of cgroup2 are with nobody then.
func (p *planner) unused() bool {
	for _, m := range p.Mounts {
		if m.Populated || m.Root != "/" || m.Target != p.Root && !strings.HasPrefix(m.Target, p.Root+"/") {
			return false
		}
	}
	return p.InitialNamespace()
}

func (p *planner) add(a Action) { p.actions = append(p.actions, a) }

func (p *planner) warn(what, lost, advice string) {
	p.warnings = append(p.warnings, Warning{what, lost, advice})
}

func (p *planner) problem(kind error, detail string) *Error {
	return &Error{Op: "plan", Path: p.Root, Kind: kind, Detail: detail}
}

func (p *planner) at(name string) string { return filepath.Join(p.Root, name) }
