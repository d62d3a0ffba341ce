package mounts

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
)

// Entry is one mount, a line of /proc/PID/mountinfo. See proc_pid_mountinfo(5).
type Entry struct {
	ID     int `json:"id"`
	Parent int `json:"parent"` // the ID of the mount that this one is mounted on
	Major  int `json:"major"`  // with Minor: st_dev of the files on it
	Minor  int `json:"minor"`
	// Root is the folder of the filesystem that is seen at Target: "/" but for bind mounts and, among others, the subvolumes
	// of btrfs. A namespace's file has a name in its place, for example "net:[4026531840]".
	Root    string `json:"root"`
	Target  string `json:"target"`            // relative to the root of the process, without escapes
	Options string `json:"options,omitempty"` // of the mount, for example "rw,nosuid"
	// Propagation holds the optional fields, for example "shared:2 master:1".
	Propagation string `json:"propagation,omitempty"`
	FSType      string `json:"fstype"` // type or type.subtype
	Source      string `json:"source,omitempty"`
	Super       string `json:"super,omitempty"` // options of the superblock, for example "ro,size=64k"
}

// ReadOnly tells whether the mount or the filesystem behind it is read-only.
func (e Entry) ReadOnly() bool { return hasWord(e.Options, ",", "ro") || hasWord(e.Super, ",", "ro") }

// Shared tells whether mounts below it propagate to a peer group, see mount_namespaces(7).
func (e Entry) Shared() bool {
	for field := range strings.SplitSeq(e.Propagation, " ") {
		if strings.HasPrefix(field, "shared:") {
			return true
		}
	}
	return false
}

func hasWord(list, sep, word string) bool {
	for w := range strings.SplitSeq(list, sep) {
		if w == word {
			return true
		}
	}
	return false
}

// place is where a mount is attached: on which mount, at which path.
type place struct {
	parent int
	target string
}

// outside is the parent, in a place, of a mount whose parent is not in the table: that of the process's root, and in a
// chroot into a plain folder those of everything mounted below it.
const outside = -1

// Info is a mount table as one process sees it. The zero Info is that of a system without /proc: it knows of no mount.
// It is not changed once made, so it may be used by several goroutines.
type Info struct {
	entries []Entry
	byID    map[int]int     // index of the last entry with that ID
	at      map[place][]int // indexes, in the order of the table
}

// NewInfo makes a table from entries, which are copied.
func NewInfo(entries []Entry) Info {
	i := Info{entries: slices.Clone(entries), byID: make(map[int]int), at: make(map[place][]int)}
	for n, e := range i.entries {
		i.byID[e.ID] = n
	}
	for n, e := range i.entries {
		parent := e.Parent
		if _, known := i.byID[parent]; !known || parent == e.ID {
			parent = outside
		}
		p := place{parent, e.Target}
		i.at[p] = append(i.at[p], n)
	}
	return i
}

// Empty tells whether the table knows of no mount at all.
func (i Info) Empty() bool { return len(i.entries) == 0 }

// Entries gives a copy of all entries in the order of the table.
func (i Info) Entries() []Entry { return slices.Clone(i.entries) }

// MarshalJSON writes the entries as a list.
func (i Info) MarshalJSON() ([]byte, error) {
	if i.entries == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(i.entries)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (i *Info) UnmarshalJSON(data []byte) error {
	var entries []Entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return err
	}
	*i = NewInfo(entries)
	return nil
}

// At gives the mount that is visible at a path: of several stacked on each other the topmost, and none that lies below a path
// over which something else was mounted later. The path is absolute and free of symbolic links.
func (i Info) At(path string) (Entry, bool) {
	path = filepath.Clean(path)
	e, ok := i.Holding(path)
	return e, ok && e.Target == path
}

// Holding gives the mount that a path lies on, or would lie on if it were made. It is not known in a chroot into a plain
// folder, since the kernel leaves out of the table what is mounted above the root.
func (i Info) Holding(path string) (Entry, bool) {
	n := i.walk(filepath.Clean(path))
	if n < 0 {
		return Entry{}, false
	}
	return i.entries[n], true
}

// Below gives the visible mounts strictly below a path, in the order of the table.
func (i Info) Below(path string) []Entry {
	path = filepath.Clean(path)
	var below []Entry
	for n, e := range i.entries {
		if within(e.Target, path) && e.Target != path && i.walk(e.Target) == n {
			below = append(below, e)
		}
	}
	return below
}

// ByID gives the mount with that ID.
func (i Info) ByID(id int) (Entry, bool) {
	n, ok := i.byID[id]
	if !ok {
		return Entry{}, false
	}
	return i.entries[n], true
}

// walk follows a path from the root as the kernel does, crossing onto each mount on the way, and gives the index of the
// last, or -1. The order of the table tells nothing: a mount may have been slipped beneath another.
func (i Info) walk(path string) int {
	// The root itself is not crossed: what is mounted on it is seen only by processes that changed their root to it.
	current := i.child(outside, "/")
	seen := 0
	for end := len("/x"); end <= len(path); end++ {
		if end < len(path) && path[end] != '/' {
			continue
		}
		prefix := path[:end]
		for {
			parent := outside
			if current >= 0 {
				parent = i.entries[current].ID
			}
			next := i.child(parent, prefix)
			// A table that is no tree, which a kernel never shows, must not keep the walk going for ever.
			if seen++; next < 0 || next == current || seen > len(i.entries)+len(path) {
				break
			}
			current = next
		}
	}
	return current
}

// child is the mount at a place. Where several claim it the last does, since the kernel finds the newest first.
func (i Info) child(parent int, target string) int {
	if list := i.at[place{parent, target}]; len(list) > 0 {
		return list[len(list)-1]
	}
	return -1
}

// tree gives all mounts that a recursive change at the mount would reach: itself and whatever is mounted on it, hidden or not.
func (i Info) tree(top Entry) []Entry {
	children := make(map[int][]Entry)
	for _, e := range i.entries {
		if e.Parent != e.ID {
			children[e.Parent] = append(children[e.Parent], e)
		}
	}
	tree := []Entry{top}
	seen := map[int]bool{top.ID: true}
	for n := 0; n < len(tree); n++ {
		for _, e := range children[tree[n].ID] {
			if !seen[e.ID] {
				seen[e.ID] = true
				tree = append(tree, e)
			}
		}
	}
	return tree
}

// within tells whether a clean path is the folder or lies below it.
func within(path, folder string) bool {
	return folder == "/" || path == folder || strings.HasPrefix(path, folder+"/")
}
