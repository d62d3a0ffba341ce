package check

import (
	"errors"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

// controller is one that Docker uses. The table is that of moby's pkg/sysinfo, and the severities are those of the options
// behind the controllers, in package kconfig.
type controller struct {
	v1, v2, severity, lost, option string // the names are "" where the version does not have it
}

const (
	fatally  = string(finding.Fatal)
	lossy    = string(finding.Degraded)
	slightly = string(finding.Info)
)

var controllers = [...]controller{
	{"devices", "", fatally, "every container: the device rules of each are set with it", "CGROUP_DEVICE"},
	{"memory", "memory", lossy, "docker run --memory, and the memory column of docker stats", "MEMCG"},
	{"cpu", "cpu", lossy, "docker run --cpus and --cpu-shares", "CGROUP_SCHED"},
	{"cpuset", "cpuset", lossy, "docker run --cpuset-cpus and --cpuset-mems", "CPUSETS"},
	{"blkio", "io", lossy, "docker run --blkio-weight and --device-read-bps, and the block column of docker stats", "BLK_CGROUP"},
	{"pids", "pids", lossy, "docker run --pids-limit: a fork bomb in a container takes the whole system down", "CGROUP_PIDS"},
	{"cpuacct", "", lossy, "the processor column of docker stats", "CGROUP_CPUACCT"},
	{"freezer", "", lossy, "docker pause", "CGROUP_FREEZER"},
	{"hugetlb", "hugetlb", slightly, "limits of huge pages", "CGROUP_HUGETLB"},
	{"perf_event", "", slightly, "perf for single containers", "CGROUP_PERF"},
	{"net_cls", "", slightly, "marking the traffic of containers", "CGROUP_NET_CLASSID"},
	{"net_prio", "", slightly, "priorities of the traffic of containers", "CGROUP_NET_PRIO"},
}

func (b *book) cgroups(r *Request, f *Facts) {
	mode := b.cgroupMode(r, f)
	if mode == cgroups.None {
		return
	}
	v2 := mode == cgroups.V2
	for i := range controllers {
		c := &controllers[i]
		name := c.v1
		if v2 {
			name = c.v2
		}
		if name == "" {
			continue
		}
		b.controller(c, name, v2, f)
		if on, off, last := switched(f.Boot.CommandLine, c.v1); on && off {
			b.add("cgroup.command-line."+c.v1, offMinor, "the kernel command line both enables and disables "+c.v1+"; the last word wins, "+last, "", f.Boot.where("take one of them off", ""))
		}
	}
	if v2 {
		const fix = "use kernel 5.2 or later, or boot with cgroup v1"
		devices, freezer := ok, ok
		if !f.Cgroup.CompleteV2 {
			devices = missingFatal
		}
		if before(f.numbers(), 5, 2) {
			freezer = missingLost
		}
		b.add("cgroup.devices", devices, "device rules are BPF programs on v2, from kernel 4.15 on", controllers[0].lost, fix)
		b.add("cgroup.freezer", freezer, "v2 freezes from kernel 5.2 on", "docker pause", fix)
	}
	b.swap(f, v2)
}

// cgroupMode judges the hierarchies and tells which version the others are judged for. Where there is no way it is None.
func (b *book) cgroupMode(r *Request, f *Facts) cgroups.Mode {
	const id = "cgroup.mode"
	_, warnings, err := cgroups.Plan(f.Cgroup.Facts, r.Cgroup, cgroups.Habitat{Machine: f.For == host.Machine, Container: f.For == host.Container})
	mode := f.mode(r)
	switch {
	case errors.Is(err, cgroups.ErrOtherVersion) && f.For == host.Host && f.Cgroup.Mode != cgroups.None:
		// What is asked for comes with a boot, so that the rest is judged as if it had come.
		word := "systemd.unified_cgroup_hierarchy=0"
		if mode == cgroups.V2 {
			word = "systemd.unified_cgroup_hierarchy=1"
		}
		b.add(id, offMinor, "cgroup "+f.Cgroup.Mode.String()+" is mounted, and "+mode.String()+" was asked for", "", f.Boot.where("add", word))
	case err != nil:
		b.add(id, missingFatal, err.Error(), "every container", "")
		return cgroups.None
	case mode == cgroups.None:
		b.add(id, ok, "nothing is mounted yet, and the launcher mounts what the kernel has", "", "")
		mode = cgroups.V1
		if f.Cgroup.CompleteV2 || !f.Cgroup.KernelV1 {
			mode = cgroups.V2
		}
	case mode == cgroups.V2:
		b.add(id, ok, "cgroup v2", "", "")
	default:
		b.add(id, ok, "cgroup "+mode.String()+": deprecated in Docker, which keeps v1 until May 2029 at least", "", "")
	}
	for _, w := range warnings {
		b.add("cgroup.warning", missingMinor, w.What, w.Lost, w.Advice)
	}
	return mode
}

// controller tells how one stands, by the name that it has in the version. On v2 cgroup.controllers is what counts: it is what can
// be handed on. A hierarchy that is not mounted yet will have what /proc/cgroups lists.
func (b *book) controller(c *controller, name string, v2 bool, f *Facts) {
	var row *cgroups.Controller
	for i := range f.Cgroup.Controllers {
		if f.Cgroup.Controllers[i].Name == c.v1 {
			row = &f.Cgroup.Controllers[i]
		}
	}
	noV1 := wordOf(f.Boot.CommandLine, "cgroup_no_v1")
	kept := !v2 && (listed(strings.TrimPrefix(noV1, "cgroup_no_v1="), name) || strings.HasSuffix(noV1, "=all"))
	there := row != nil && row.Enabled && !kept
	if v2 && f.Cgroup.Mode == cgroups.V2 && f.Cgroup.Unified != nil {
		there = slices.Contains(f.Cgroup.Unified.Controllers, name)
	}
	id, severity := "cgroup."+name, finding.Severity(c.severity)
	if there {
		b.add(id, ok, "", "", "")
		return
	}
	how := off(severity)
	var note, fix string
	_, _, last := switched(f.Boot.CommandLine, c.v1)
	if last == "" {
		_, _, last = switched(f.Boot.CommandLine, name)
	}
	switch {
	case kept:
		note, fix = noV1+" on the kernel command line keeps it from v1", f.Boot.where("take it off", "")
	case strings.Contains(last, "disable"):
		note = last + " on the kernel command line switches it off, and wins over a cgroup_enable= before it"
		fix = f.Boot.where("take off", last)
	case row != nil && !row.Enabled:
		words := "cgroup_enable=" + c.v1
		if c.v1 == "memory" && before(f.numbers(), 5, 8) {
			words += " swapaccount=1"
		}
		note, fix = "the kernel has it, and it was switched off at boot", f.Boot.where("add", words)
	case v2 && row != nil && row.Hierarchy != 0:
		note, fix = "a hierarchy of cgroup v1 has it, so that v2 cannot", "unmount that hierarchy; or "+f.Boot.where("add", "cgroup_no_v1="+c.v1)
	case v2 && row != nil:
		how, note = missing(severity), "the kernel has it, and it is not handed on to this cgroup"
		fix = "have the outer system hand it on: Delegate=yes in a systemd unit, or cgroup.subtree_control of the cgroup above"
	case !v2 && (name == "memory" || name == "cpuset") && f.Cgroup.KernelV2:
		how, note = missing(severity), "the kernel does not have it for cgroup v1"
		fix = "boot with cgroup v2, or build the kernel with CONFIG_" + c.option + "_V1=y (from 6.12 on) or CONFIG_" + c.option + "=y"
	default:
		how, note, fix = missing(severity), "the kernel does not have it", "build the kernel with CONFIG_"+c.option+"=y"
	}
	b.add(id, how, note, c.lost, fix)
}

func (b *book) swap(f *Facts, v2 bool) {
	how := offLost
	note, fix := "swap is not counted", "build the kernel with CONFIG_SWAP=y and CONFIG_MEMCG=y"
	switch {
	case f.Cgroup.Swap == "yes":
		how, note = ok, ""
	case f.Cgroup.Swap == "":
		how, note, fix = unknown, "swap accounting shows in a cgroup with the memory controller only, and there is none", ""
	case wordOf(f.Boot.CommandLine, "swapaccount") == "swapaccount=0":
		note, fix = "swapaccount=0 is on the kernel command line", f.Boot.where("take it off", "")
	case !v2 || before(f.numbers(), 5, 8):
		fix = f.Boot.where("add", "cgroup_enable=memory swapaccount=1")
	}
	b.add("cgroup.swap", how, note, "docker run --memory-swap: a limit of memory alone sends containers into swap", fix)
}

// before tells whether a release is older than major.minor; one that is not known is not.
func before(r kconfig.Release, major, minor int) bool {
	return r.Known() && (r.Major < major || r.Major == major && r.Minor < minor)
}
