package cgroups

import (
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// at finds the mount that is reached at a path, if the path is a mount point. The mount table also lists mounts that are hidden
// under others, so the path is followed from the root as the kernel does it: at each name the topmost of the mounts that sit on
// the mount reached so far.
func at(table []*mountinfo.Info, path string) *mountinfo.Info {
	// After chroot(2) the root may be no mount point, and then the parents of the first mounts are not in the table.
	var here *mountinfo.Info
	var exact bool
	step := func(point string) {
		exact = false
		for {
			next := child(table, here, point)
			if next == nil {
				return
			}
			here, exact = next, true
		}
	}
	step("/")
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			step(path[:i])
		}
	}
	if !exact {
		return nil
	}
	return here
}

func child(table []*mountinfo.Info, parent *mountinfo.Info, point string) *mountinfo.Info {
	for _, m := range table {
		if m.Mountpoint != point || m == parent {
			continue
		}
		if parent != nil && m.Parent == parent.ID {
			return m
		}
		if parent == nil && !slices.ContainsFunc(table, func(o *mountinfo.Info) bool { return o != m && o.ID == m.Parent }) {
			return m
		}
	}
	return nil
}

// options splits a list of mount options.
func options(list string) []string { return strings.Split(list, ",") }

func readOnly(m *mountinfo.Info) bool {
	return slices.Contains(options(m.Options), "ro") || slices.Contains(options(m.VFSOptions), "ro")
}
