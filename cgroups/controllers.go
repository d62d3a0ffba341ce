package cgroups

import (
	"slices"
	"sort"
)

// knowledge is what the package knows of a controller.
type knowledge struct {
	v1, v2 string // the names, empty where the version has no such controller
	lost   string // what containers lose without it
	option string // the kernel option behind it
	// optionV1 is what v1 needs beside option, from Linux 6.11 (MEMCG_V1) and 6.12 (CPUSETS_V1) on.
	optionV1 string
	// threaded controllers of v2 can be switched on while the cgroup has processes, but for the price that it becomes the
	// root of a threaded subtree, in which there are no others.
	threaded bool
	// common controllers are missed where they are not there; the others are special enough for silence.
	common bool
}

// known is ordered by what hurts most. The v2 counterparts of devices (CGROUP_BPF), freezer and perf_event are always there and
// not listed in cgroup.controllers; cpu has taken over cpuacct.
var known = []knowledge{
	{v1: "devices", lost: "the rules that keep containers away from the host's devices", option: "CONFIG_CGROUP_DEVICE", common: true},
	{v1: "memory", v2: "memory", lost: "memory limits and memory statistics of containers", option: "CONFIG_MEMCG", optionV1: "CONFIG_MEMCG_V1",
		common: true},
	{v1: "cpu", v2: "cpu", threaded: true, lost: "CPU shares and CPU quotas of containers", option: "CONFIG_CGROUP_SCHED", common: true},
	{v1: "pids", v2: "pids", threaded: true, lost: "limits on the number of processes in a container", option: "CONFIG_CGROUP_PIDS", common: true},
	{v1: "blkio", v2: "io", lost: "block I/O weights, limits and statistics of containers", option: "CONFIG_BLK_CGROUP", common: true},
	{v1: "cpuset", v2: "cpuset", threaded: true, lost: "tying containers to CPUs and memory nodes", option: "CONFIG_CPUSETS", optionV1: "CONFIG_CPUSETS_V1",
		common: true},
	{v1: "cpuacct", lost: "CPU usage statistics of containers", option: "CONFIG_CGROUP_CPUACCT", common: true},
	{v1: "freezer", lost: "pausing containers", option: "CONFIG_CGROUP_FREEZER", common: true},
	{v1: "perf_event", lost: "performance counters for one container", option: "CONFIG_CGROUP_PERF"},
	{v1: "hugetlb", v2: "hugetlb", lost: "limits on the huge pages of a container", option: "CONFIG_CGROUP_HUGETLB"},
	{v1: "net_cls", lost: "class identifiers on the packets of a container", option: "CONFIG_CGROUP_NET_CLASSID"},
	{v1: "net_prio", lost: "priorities of a container's network traffic", option: "CONFIG_CGROUP_NET_PRIO"},
	{v1: "rdma", v2: "rdma", lost: "limits on RDMA resources", option: "CONFIG_CGROUP_RDMA"},
	{v1: "misc", v2: "misc", lost: "limits on miscellaneous scalar resources", option: "CONFIG_CGROUP_MISC"},
	{v2: "dmem", lost: "limits on device memory", option: "CONFIG_CGROUP_DMEM"},
	{v1: "debug", v2: "debug", lost: "cgroup debugging files", option: "CONFIG_CGROUP_DEBUG"},
}

// mandatoryV1 is the one v1 controller without which container managers refuse to start.
const mandatoryV1 = "devices"

// classicGroups are the controllers that share a hierarchy by custom: those of systemd, which everybody follows.
var classicGroups = [][]string{{"cpu", "cpuacct"}, {"net_cls", "net_prio"}}

func knowV1(name string) knowledge {
	i := slices.IndexFunc(known, func(k knowledge) bool { return k.v1 == name })
	if i < 0 {
		return knowledge{v1: name, lost: "what the controller " + name + " does"}
	}
	return known[i]
}

func knowV2(name string) knowledge {
	i := slices.IndexFunc(known, func(k knowledge) bool { return k.v2 == name })
	if i < 0 {
		return knowledge{v2: name, lost: "what the controller " + name + " does"}
	}
	return known[i]
}

// domainsFirst orders controllers of v2 so that those come first that the kernel refuses to a cgroup with processes.
func domainsFirst(list []string) []string {
	list = slices.Clone(list)
	sort.SliceStable(list, func(i, j int) bool { return !knowV2(list[i]).threaded && knowV2(list[j]).threaded })
	return list
}

// onlyV1 tells whether cgroup2 has no such controller, nor does without it: a system that uses v2 for all the rest may have it
// in a v1 hierarchy.
func onlyV1(name string) bool { return name == "net_cls" || name == "net_prio" }
