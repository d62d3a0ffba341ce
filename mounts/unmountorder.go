package mounts

import (
	"slices"
)

// unmountOrder gives all mounts below / so that each comes before the one that it is mounted on, and of several on the same
// mount the later before the earlier, as it may hide that. The root itself is not among them, and neither are the mounts at
// the paths to keep nor those that these are mounted on, which come second. It is pure.
func unmountOrder(info Info, keep []string) (order, kept []Entry) {
	root, ok := info.root()
	stays := map[int]bool{}
	for _, path := range keep {
		// Everything between it and the root: that cannot be unmounted before it.
		e, found := info.At(path)
		for steps := 0; found && !stays[e.ID] && steps <= len(info.entries); steps++ {
			stays[e.ID] = true
			e, found = info.ByID(e.Parent)
		}
	}
	children := map[int][]Entry{}
	var tops []Entry
	for _, e := range info.entries {
		_, known := info.byID[e.Parent]
		switch {
		case ok && e.ID == root.ID:
		case !known || e.Parent == e.ID:
			tops = append(tops, e) // in a chroot, what is below the root hangs on a mount that is not in the table
		default:
			children[e.Parent] = append(children[e.Parent], e)
		}
	}
	if ok {
		tops = append(children[root.ID], tops...)
	}
	seen := map[int]bool{root.ID: ok}
	var visit func(e Entry)
	visit = func(e Entry) {
		if seen[e.ID] {
			return
		}
		seen[e.ID] = true
		for _, c := range slices.Backward(children[e.ID]) {
			visit(c)
		}
		if stays[e.ID] {
			kept = append(kept, e)
		} else {
			order = append(order, e)
		}
	}
	for _, e := range slices.Backward(tops) {
		visit(e)
	}
	return order, kept
}
