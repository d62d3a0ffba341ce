package rootfs

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// item is an entry of the index: a path of some package.
type item struct {
	Entry
	// pkg is the package, or the archive, that has it.
	pkg string
	// data is where its bytes are on disk.
	data string
}

// index knows every path of every package, as if all of them were installed over each other. It is read only.
type index struct {
	items map[string]item
	paths []string // sorted
	// versions are the packages' by their names.
	versions map[string]string
}

// newIndex lays the packages over each other. Two packages with the same file are taken in their order, the first one wins:
// which one a path comes from must not depend on the file system's order.
func newIndex(debs []*Archive) *index {
	x := &index{items: map[string]item{}, versions: map[string]string{}}
	for _, d := range debs {
		x.versions[d.Name] = d.Version
		for _, e := range d.entries {
			if old, ok := x.items[e.Path]; ok && (old.Kind != KindFolder || e.Kind == KindFolder) {
				continue
			}
			x.items[e.Path] = item{Entry: e, pkg: d.Name, data: filepath.Join(d.folder, "data", filepath.FromSlash(e.Data))}
		}
	}
	x.sort()
	return x
}

func (x *index) sort() {
	x.paths = x.paths[:0]
	for name := range x.items {
		x.paths = append(x.paths, name)
	}
	slices.Sort(x.paths)
}

// glob lists the paths of files and links that match a path.Match pattern, sorted.
func (x *index) glob(pattern string) ([]string, error) {
	var out []string
	for _, name := range x.paths {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		if ok && x.items[name].Kind != KindFolder {
			out = append(out, name)
		}
	}
	return out, nil
}

// maxLinks is how many links in a row the kernel follows; see path_resolution(7).
const maxLinks = 40

// resolve follows the links from name to a file or a folder, and gives the path it ends at and the links on the way, each
// with its path and its target. ok is false where nothing is there. An absolute link begins at the root of the packages, as it
// would once they are installed, and is given as a relative one, which leads to the same place when the tree is read from
// outside. One that climbs above the root is an error.
func (x *index) resolve(name string) (real string, via []Link, ok bool, err error) {
	rest := strings.Split(path.Clean(mergeUsr(name)), "/")
	done := ""
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if done == "" || done == "." {
				return "", nil, false, fmt.Errorf("%w: %s leads out of the root", ErrUnsafe, name)
			}
			if done = path.Dir(done); done == "." {
				done = ""
			}
			continue
		}
		next := mergeUsr(path.Join(done, part))
		it, there := x.items[next]
		if there && it.Kind == KindLink {
			target := it.Target
			if path.IsAbs(target) {
				done = ""
				target = relative(dirname(next), mergeUsr(strings.TrimLeft(path.Clean(target), "/")))
			}
			if via = append(via, Link{Path: next, Target: target}); len(via) > maxLinks {
				return "", nil, false, fmt.Errorf("%w: %s: more than %d links in a row", ErrUnsafe, name, maxLinks)
			}
			rest = append(strings.Split(it.Target, "/"), rest...)
			continue
		}
		done = next
	}
	_, ok = x.items[done]
	return done, via, ok, nil
}

// relative gives the target that a link in the folder dir needs to lead to name. Both are clean paths below the root.
func relative(dir, name string) string {
	from, to := strings.Split(dir, "/"), strings.Split(name, "/")
	for len(from) > 0 && len(to) > 1 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	return strings.Repeat("../", len(from)) + path.Join(to...)
}
