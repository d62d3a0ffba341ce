package cgroups

import (
	"slices"
	"strings"
)

// Facts are what Observe found. They are plain data.
type Facts struct {
	Mode Mode `json:"mode"`
	// Root is where the hierarchies are or are to be, usually DefaultRoot.
	Root string `json:"root"`
	// RootFSType is the filesystem that is mounted at Root itself; empty where nothing is.
	RootFSType string `json:"root_fs_type,omitempty"`
	// KernelV1 and KernelV2 tell whether /proc/filesystems has cgroup and cgroup2.
	KernelV1 bool `json:"kernel_v1"`
	KernelV2 bool `json:"kernel_v2"`
	// CompleteV2 tells whether the kernel's cgroup2 can do what containers need: from Linux 4.15 on it has the cpu controller
	// and device rules. /sys/kernel/cgroup/delegate came with the same release.
	CompleteV2 bool `json:"complete_v2"`
	// Features is /sys/kernel/cgroup/features, which lists the mount options of cgroup2; nil where the file is missing.
	Features []string `json:"features,omitempty"`
	// Controllers is /proc/cgroups, and Membership /proc/thread-self/cgroup.
	Controllers []Controller `json:"controllers,omitempty"`
	Membership  []Membership `json:"membership,omitempty"`
	// InitPath is the cgroup2 path of PID 1, empty where it cannot be read.
	InitPath string `json:"init_path,omitempty"`
	// Namespace is the cgroup namespace, as /proc/thread-self/ns/cgroup names it; empty before Linux 4.6.
	Namespace string `json:"namespace,omitempty"`
	// Mounts are the cgroup mounts that can be reached, in the order of the mount table.
	Mounts []Mount `json:"mounts,omitempty"`
	// Unified is what the cgroup2 at Root, or at unified below it, says; nil where there is none.
	Unified *Unified `json:"unified,omitempty"`
}

// Mount is a mounted hierarchy.
type Mount struct {
	Target string `json:"target"`
	// FSType is cgroup or cgroup2.
	FSType string `json:"fstype"`
	// Root is the path within the hierarchy that is mounted, as seen from the cgroup namespace.
	Root string `json:"root"`
	// Controllers are those of a v1 hierarchy, with name=NAME among them where it has a name.
	Controllers []string `json:"controllers,omitempty"`
	ReadOnly    bool     `json:"read_only,omitempty"`
	// Populated says that there are cgroups below the one that is mounted.
	Populated bool `json:"populated,omitempty"`
}

// Unified is the state of the cgroup that is mounted of cgroup2.
type Unified struct {
	Target string `json:"target"`
	// Controllers and SubtreeControl are cgroup.controllers and cgroup.subtree_control.
	Controllers    []string `json:"controllers,omitempty"`
	SubtreeControl []string `json:"subtree_control,omitempty"`
	// Type is cgroup.type; empty at the root of the hierarchy, which has none, and before Linux 4.14.
	Type string `json:"type,omitempty"`
	// HierarchyRoot says that it is the root of the whole hierarchy, which may hold processes beside controllers.
	HierarchyRoot bool `json:"hierarchy_root"`
	// Processes is the number of those that cgroup.procs lists.
	Processes int `json:"processes"`
}

// initialNamespace is the number that the kernel gives to the cgroup namespace it starts with, PROC_CGROUP_INIT_INO in
// include/linux/proc_ns.h.
const initialNamespace = "cgroup:[4026531835]"

// InitialNamespace tells whether the process is in the cgroup namespace that the kernel started with. It is true as well where
// the kernel has no cgroup namespaces.
func (f Facts) InitialNamespace() bool { return f.Namespace == "" || f.Namespace == initialNamespace }

// UnifiedPath is the process's path in cgroup2; empty where the kernel has no cgroup2.
func (f Facts) UnifiedPath() string { return unifiedPath(f.Membership) }

func unifiedPath(list []Membership) string {
	for _, m := range list {
		if m.Hierarchy == 0 {
			return m.Path
		}
	}
	return ""
}

// unifiedMount is the mount that Unified is about.
func (f Facts) unifiedMount() (Mount, bool) {
	if f.Unified == nil {
		return Mount{}, false
	}
	for _, m := range f.Mounts {
		if m.Target == f.Unified.Target && m.FSType == fsV2 {
			return m, true
		}
	}
	return Mount{}, false
}

// mounted returns the v1 mount that has the controller.
func (f Facts) mounted(controller string) (Mount, bool) {
	for _, m := range f.Mounts {
		if m.FSType == fsV1 && slices.Contains(m.Controllers, controller) {
			return m, true
		}
	}
	return Mount{}, false
}

// row returns the controller's row of /proc/cgroups.
func (f Facts) row(controller string) (Controller, bool) {
	for _, c := range f.Controllers {
		if c.Name == controller {
			return c, true
		}
	}
	return Controller{}, false
}

// usesV1 tells whether the system that was started first has its controllers in v1 hierarchies. Those that cgroup2 does not
// have at all prove nothing: VPN programs make a net_cls hierarchy on systems that use v2.
func (f Facts) usesV1() bool {
	for _, c := range f.Controllers {
		if c.Hierarchy != 0 && !onlyV1(c.Name) {
			return true
		}
	}
	return false
}

// OwnRoot tells whether what is mounted of cgroup2 is the process's own: the root of its cgroup namespace, and the process in it
// or in the leaf below. Elsewhere the container shares the cgroup namespace of its host, and what is started in it gets cgroups
// outside the container's, which the container's limits do not bind.
//
// A namespace of its own whose PID 1 is in another cgroup than this process has somebody else who spreads processes over
// cgroups, systemd for example, and counts as own.
func (f Facts) OwnRoot(leaf string) bool {
	m, ok := f.unifiedMount()
	if !ok {
		return false
	}
	path := f.UnifiedPath()
	if m.Root != "/" || strings.HasPrefix(path, "/..") {
		return false
	}
	if path == "/" {
		return true
	}
	if f.InitialNamespace() {
		return false
	}
	return path == "/"+leaf || f.managed(leaf)
}

// managed tells whether somebody else, beside the process and its leaf, distributes processes over cgroups.
func (f Facts) managed(leaf string) bool {
	path := f.UnifiedPath()
	return path != "/" && path != "/"+leaf && f.InitPath != "" && f.InitPath != path
}
