// Package cgroups finds out which cgroup hierarchies a system has, mounts those that are missing, and delegates: it makes the
// cgroup that a container manager is started in one in which that manager can make cgroups of its own.
//
//	facts, err := cgroups.Observe(cgroups.Paths{})
//	actions, warnings, err := cgroups.Plan(facts, cgroups.WantAuto, cgroups.Habitat{Container: true})
//	for _, a := range actions {
//		kept, err := a.Apply(ctx) // an error stops where a.Means().Required, and costs a.Means().Lost elsewhere
//	}
//
// Plan is pure: the same facts give the same actions. Actions are plain data and idempotent.
//
// Two of the actions, Unshare and Reroot, may give the calling thread a cgroup namespace of its own. Namespaces belong to
// threads, so whoever applies them calls runtime.LockOSThread first, and starts or executes the container manager from the same
// goroutine.
//
// What the package says about the kernel is in cgroups(7), cgroup_namespaces(7),
// https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html.
package cgroups

// DefaultRoot is where everybody expects the hierarchies: cgroup2 itself, or a tmpfs with a folder for each v1 hierarchy.
const DefaultRoot = "/sys/fs/cgroup"

// DefaultLeaf is the name of the cgroup, below the container's own, that takes the container's processes. The name is that of
// hack/dind in github.com/moby/moby, so that a second launcher in the same container finds the work done.
const DefaultLeaf = "init"

// unifiedName is where a hybrid system has cgroup2, below the root. systemd chose it and the OCI runtimes look for it there.
const unifiedName = "unified"
