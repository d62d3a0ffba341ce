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
	v1, v2   string // its names, "" where the version does not have it
	severity finding.Severity
	lost     string
	option   string
}

func controllers() []controller {
	return []controller{
		{"devices", "", finding.Fatal, "every container: the device rules of each are set with it", "CONFIG_CGROUP_DEVICE"},
		{"memory", "memory", finding.Degraded, "docker run --memory, and the memory column of docker stats", "CONFIG_MEMCG"},
		{"cpu", "cpu", finding.Degraded, "docker run --cpus and --cpu-shares", "CONFIG_CGROUP_SCHED"},
		{"cpuset", "cpuset", finding.Degraded, "docker run --cpuset-cpus and --cpuset-mems", "CONFIG_CPUSETS"},
		{"blkio", "io", finding.Degraded, "docker run --blkio-weight and --device-read-bps, and the block column of docker stats", "CONFIG_BLK_CGROUP"},
		{"pids", "pids", finding.Degraded, "docker run --pids-limit: a fork bomb in a container takes the whole system down", "CONFIG_CGROUP_PIDS"},
		{"cpuacct", "", finding.Degraded, "the processor column of docker stats", "CONFIG_CGROUP_CPUACCT"},
		{"freezer", "", finding.Degraded, "docker pause", "CONFIG_CGROUP_FREEZER"},
		{"hugetlb", "hugetlb", finding.Info, "limits of huge pages", "CONFIG_CGROUP_HUGETLB"},
		{"perf_event", "", finding.Info, "perf for single containers", "CONFIG_CGROUP_PERF"},
		{"net_cls", "", finding.Info, "marking the traffic of containers", "CONFIG_CGROUP_NET_CLASSID"},
		{"net_prio", "", finding.Info, "priorities of the traffic of containers", "CONFIG_CGROUP_NET_PRIO"},
	}
}

func cgroupFindings(r Request, f *Facts) []finding.Finding {
	line := parseCommandLine(f.Boot.CommandLine)
	mode, list := cgroupMode(r, f, line)
	if mode == cgroups.None {
		return list
	}
	v2 := mode == cgroups.V2
	for _, c := range controllers() {
		name := c.v1
		if v2 {
			name = c.v2
		}
		if name != "" {
			list = append(list, c.judge(name, v2, f, line))
		}
	}
	if v2 {
		list = append(list, unifiedFindings(f)...)
	}
	list = append(list, swapFinding(f, v2, line))
	for _, name := range line.contradicted {
		list = append(list, finding.Finding{
			ID: "cgroup.command-line." + name, Area: finding.Cgroup, Status: finding.Disabled, Severity: finding.Info,
			Lost: "clarity: of the words on the kernel command line that contradict each other, the last wins",
			Note: "the kernel command line both enables and disables " + name + ", and ends with " + line.last[name],
			Fix:  "leave one of them: edit" + strings.TrimPrefix(f.Boot.Where(""), " edit"),
		})
	}
	return list
}

// cgroupMode judges the hierarchies and tells which version the others are judged for.
func cgroupMode(r Request, f *Facts, line commandLine) (cgroups.Mode, []finding.Finding) {
	out := finding.Finding{ID: "cgroup.mode", Area: finding.Cgroup, Status: finding.OK, Severity: finding.Fatal}
	habitat := cgroups.Habitat{Machine: f.For == host.Machine, Container: f.For == host.Container}
	actions, warnings, err := cgroups.Plan(f.Cgroup.Facts, r.Cgroup, habitat)
	mode := f.mode(r)
	list := make([]finding.Finding, 0, 16)
	switch {
	case errors.Is(err, cgroups.ErrOtherVersion) && f.For == host.Host && f.Cgroup.Mode != cgroups.None:
		// What is asked for comes with a boot, so that the rest is judged as if it had come.
		out.Severity, out.Note = finding.Info, "cgroup "+f.Cgroup.Mode.String()+" is mounted, and "+mode.String()+" was asked for"
		unified := "1"
		if mode != cgroups.V2 {
			unified = "0"
		}
		out.Status, out.Fix = finding.Disabled, f.Boot.Where("add systemd.unified_cgroup_hierarchy="+unified+" to")
	case err != nil:
		out.Status, out.Note, out.Lost = finding.Missing, err.Error(), "every container"
		if e := (*cgroups.Error)(nil); errors.As(err, &e) && e.Advice != "" {
			// Note says it all already; a Fix of its own is for those who read the JSON.
			out.Fix = e.Advice
			out.Note = strings.TrimSuffix(strings.TrimSuffix(out.Note, e.Advice), ". ")
		}
		return mode, append(list, out)
	case mode == cgroups.None:
		out.Note = "nothing is mounted yet, and the launcher mounts what the kernel has"
		mode = cgroups.V1
		if f.Cgroup.CompleteV2 || !f.Cgroup.KernelV1 {
			mode = cgroups.V2
		}
	default:
		out.Note = "cgroup " + mode.String()
		if mode != cgroups.V2 {
			out.Note += ": deprecated in Docker, which keeps it until May 2029 at least; v2 comes with systemd.unified_cgroup_hierarchy=1 on the kernel command line"
		}
		if len(actions) > 0 {
			out.Note += "; the launcher prepares it for Docker"
		}
	}
	list = append(list, out)
	for _, w := range warnings {
		list = append(list, finding.Finding{
			ID: "cgroup.warning", Area: finding.Cgroup, Status: finding.Missing, Severity: finding.Info, Note: w.What, Lost: w.Lost, Fix: w.Advice,
		})
	}
	if line.unified != "" && mode != cgroups.V2 && line.unified != "0" {
		list[0].Note += "; systemd.unified_cgroup_hierarchy=" + line.unified + " is on the kernel command line, and made no difference"
	}
	return mode, list
}

// judge tells how a controller stands, by the name that it has in the version. On v2 cgroup.controllers is what counts: it is
// what can be handed on. A hierarchy that is not mounted yet will have what /proc/cgroups lists.
func (c controller) judge(name string, v2 bool, f *Facts, line commandLine) finding.Finding {
	out := finding.Finding{ID: "cgroup." + name, Area: finding.Cgroup, Severity: c.severity, Status: finding.OK}
	var row *cgroups.Controller
	for i := range f.Cgroup.Controllers {
		if f.Cgroup.Controllers[i].Name == c.v1 {
			row = &f.Cgroup.Controllers[i]
		}
	}
	word := line.disabled(name)
	if word == "" {
		word = line.disabled(c.v1)
	}
	switch {
	case v2 && f.Cgroup.Mode == cgroups.V2 && f.Cgroup.Unified != nil:
		if slices.Contains(f.Cgroup.Unified.Controllers, name) {
			return out
		}
	case row != nil && row.Enabled && (!v2 || row.Hierarchy == 0 || f.Cgroup.Mode != cgroups.V2):
		if v2 || !slices.Contains(line.noV1, name) && !slices.Contains(line.noV1, "all") {
			return out
		}
		out.Note = "cgroup_no_v1= on the kernel command line keeps it from v1"
		out.Fix = f.Boot.Where("take cgroup_no_v1=" + strings.Join(line.noV1, ",") + " off")
	}
	out.Lost = c.lost
	switch {
	case out.Note != "":
		out.Status = finding.Disabled
	case word != "":
		out.Status, out.Note = finding.Disabled, word+" on the kernel command line switches it off, whatever stands before it"
		out.Fix = f.Boot.Where("take "+word+" off") + "; an earlier cgroup_enable= does not help, as the last word wins"
	case row != nil && !row.Enabled:
		out.Status, out.Note = finding.Disabled, "the kernel has it, and it was switched off at boot"
		enable := "add cgroup_enable=" + c.v1
		if c.v1 == "memory" && before(f.numbers(), 5, 8) {
			enable += " swapaccount=1"
		}
		out.Fix = f.Boot.Where(enable + " to")
	case v2 && row != nil && row.Hierarchy != 0:
		out.Status, out.Note = finding.Disabled, "a hierarchy of cgroup v1 has it, so that v2 cannot"
		out.Fix = "unmount that hierarchy; or " + f.Boot.Where("add cgroup_no_v1="+c.v1+" to")
	case v2 && row != nil:
		out.Status, out.Note = finding.Missing, "the kernel has it, and it is not handed on to this cgroup"
		out.Fix = "have the outer system hand it on: systemd does so with Delegate=yes, and cgroup.subtree_control of the cgroup above lists it"
	default:
		out.Status, out.Note = finding.Missing, "the kernel does not have it"
		out.Fix = "build the kernel with " + c.option + "=y"
		if !v2 && (c.v1 == "memory" || c.v1 == "cpuset") && !before(f.numbers(), 6, 12) {
			out.Note = "the kernel does not have it for cgroup v1"
			out.Fix = "boot with cgroup v2, or build the kernel with " + map[string]string{"memory": "CONFIG_MEMCG_V1", "cpuset": "CONFIG_CPUSETS_V1"}[c.v1] + "=y"
		}
	}
	return out
}

// unifiedFindings are about what v2 has without a controller in its list.
func unifiedFindings(f *Facts) []finding.Finding {
	devices := finding.Finding{ID: "cgroup.devices", Area: finding.Cgroup, Status: finding.OK, Severity: finding.Fatal, Note: "by BPF programs"}
	if !f.Cgroup.CompleteV2 {
		devices.Status, devices.Note = finding.Missing, "the cgroup2 of this kernel has no device rules, which came with 4.15"
		devices.Lost, devices.Fix = "every container: the device rules of each are set with them", "use kernel 5.2 or later, or boot with cgroup v1"
	}
	freezer := finding.Finding{ID: "cgroup.freezer", Area: finding.Cgroup, Status: finding.OK, Severity: finding.Degraded}
	if before(f.numbers(), 5, 2) {
		freezer.Status, freezer.Note, freezer.Lost = finding.Missing, "cgroup2 freezes from kernel 5.2 on", "docker pause"
		freezer.Fix = "use kernel 5.2 or later, or boot with cgroup v1"
	}
	return []finding.Finding{devices, freezer}
}

func swapFinding(f *Facts, v2 bool, line commandLine) finding.Finding {
	out := finding.Finding{ID: "cgroup.swap", Area: finding.Cgroup, Severity: finding.Degraded, Lost: "docker run --memory-swap: a limit of memory alone sends containers into swap"}
	switch {
	case f.Cgroup.Swap == "yes":
		out.Status, out.Lost = finding.OK, ""
		return out
	case f.Cgroup.Swap == "":
		out.Status, out.Severity = finding.Unknown, finding.Info
		out.Note = "swap accounting shows in a cgroup with the memory controller only, and there is none yet"
		return out
	}
	out.Status, out.Note = finding.Missing, "swap is not counted"
	switch {
	case line.swapOff:
		out.Status, out.Note, out.Fix = finding.Disabled, "swapaccount=0 is on the kernel command line", f.Boot.Where("take swapaccount=0 off")
	case v2 && !before(f.numbers(), 5, 8):
		out.Fix = "build the kernel with CONFIG_SWAP=y and CONFIG_MEMCG=y"
	default:
		out.Fix = f.Boot.Where("add cgroup_enable=memory swapaccount=1 to")
	}
	return out
}

// before tells whether a release is older than major.minor; one that is not known is not.
func before(r kconfig.Release, major, minor int) bool {
	return r.Known() && (r.Major < major || r.Major == major && r.Minor < minor)
}
