package rootfs

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Node is one path of the tree.
type Node struct {
	// Path is relative to the root.
	Path string      `json:"path"`
	Kind Kind        `json:"kind"`
	Mode fs.FileMode `json:"mode"`
	// Size is a file's, in bytes.
	Size int64 `json:"size,omitempty"`
	// SHA256 is a file's, in hexadecimal. It is known when the tree has been written.
	SHA256 string `json:"sha256,omitempty"`
	// Target is a link's.
	Target string `json:"target,omitempty"`
	// Package is the package, or the archive, that it comes from.
	Package string `json:"package,omitempty"`
	// For names the requirements that brought it: one, or for a library all that need it, in the table's order.
	For []string `json:"for,omitempty"`
	// Library says that it is there because a program needs it, not because it was asked for.
	Library bool `json:"library,omitempty"`

	source  string // its bytes are in this file,
	content []byte // or, where there is none, these
}

// MissingProgramError says that no package has a file that is wanted.
type MissingProgramError struct {
	Name     string   // of the requirement
	Paths    []string // that were looked at
	Packages []string // that should have it
}

func (e *MissingProgramError) Error() string {
	return fmt.Sprintf("%s is in none of the packages (looked for %s): fetch %s with scripts/fetch-packages",
		e.Name, strings.Join(e.Paths, ", "), strings.Join(e.Packages, " or "))
}

// MissingLibraryError says that a file needs another one that no package has.
type MissingLibraryError struct {
	Library  string // a soname, or an interpreter's path
	NeededBy string // path in the tree
	Searched []string
}

func (e *MissingLibraryError) Error() string {
	where := ""
	if len(e.Searched) > 0 {
		where = " in " + strings.Join(e.Searched, ", ")
	}
	return fmt.Sprintf("%s needs %s, which is in none of the packages%s: fetch the package that has it, with scripts/fetch-packages", e.NeededBy, e.Library, where)
}

// planner collects the nodes of a tree. It writes nothing.
type planner struct {
	x     *index
	nodes map[string]*Node
}

// plan works out the tree for the requirements: their files, what those need to run, and the skeleton. launcher is a file to
// put at LauncherPath, or empty.
func plan(x *index, reqs []Requirement, launcher string) ([]*Node, error) {
	p := &planner{x: x, nodes: map[string]*Node{}}
	for _, l := range treeLinks {
		p.nodes[l.Path] = &Node{Path: l.Path, Kind: KindLink, Mode: 0o777, Target: l.Target}
	}
	for _, f := range skeleton {
		p.folder(f.path, fs.FileMode(f.mode))
	}
	if launcher != "" {
		if err := p.launcher(launcher); err != nil {
			return nil, err
		}
		reqs = append([]Requirement{launcherRequirement}, reqs...)
	}
	for _, r := range reqs {
		if err := p.require(r); err != nil {
			return nil, err
		}
	}
	if launcher != "" {
		if err := p.versionHint(); err != nil {
			return nil, err
		}
	}
	for _, r := range reqs {
		if err := p.close(r); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(reqs, func(r Requirement) bool { return r.Name == noticesName }) {
		if err := p.notices(); err != nil {
			return nil, err
		}
	}
	nodes := make([]*Node, 0, len(p.nodes))
	for _, n := range p.nodes {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b *Node) int { return strings.Compare(a.Path, b.Path) })
	return nodes, nil
}

func dirname(name string) string { return path.Dir(name) }

// folder adds a folder and those above it.
func (p *planner) folder(name string, mode fs.FileMode) {
	for dir := dirname(name); dir != "."; dir = dirname(dir) {
		if p.nodes[dir] == nil {
			p.nodes[dir] = &Node{Path: dir, Kind: KindFolder, Mode: 0o755}
		}
	}
	if p.nodes[name] == nil {
		p.nodes[name] = &Node{Path: name, Kind: KindFolder, Mode: mode}
	}
}

// add adds a file or a link. What is there already must be the same.
func (p *planner) add(n *Node) error {
	if old := p.nodes[n.Path]; old != nil {
		if old.Kind != n.Kind || old.Target != n.Target || old.source != n.source {
			return fmt.Errorf("%s is wanted twice, for %s and for %s, and they are not the same", n.Path, strings.Join(old.For, ", "), strings.Join(n.For, ", "))
		}
		for _, name := range n.For {
			if !slices.Contains(old.For, name) {
				old.For = append(old.For, name)
			}
		}
		old.Library = old.Library && n.Library
		return nil
	}
	p.folder(dirname(n.Path), 0o755)
	p.nodes[n.Path] = n
	return nil
}

// fileNode makes the node of a file that a package has, put at name.
func fileNode(name string, it item, requirement string) *Node {
	return &Node{Path: name, Kind: KindFile, Mode: it.Mode, Size: it.Size, Package: it.pkg, For: []string{requirement}, source: it.data}
}

// require adds the files, links and folders that a requirement names.
func (p *planner) require(r Requirement) error {
	if r.Certificates {
		return p.certificates(r)
	}
	for _, f := range r.Files {
		it, err := p.findFile(r, f)
		if err != nil {
			return err
		}
		if err := p.add(fileNode(f.Path, it, r.Name)); err != nil {
			return err
		}
	}
	for _, pattern := range r.Globs {
		matches, err := p.x.glob(pattern)
		if err != nil {
			return err
		}
		if len(matches) == 0 {
			return missingProgram(r, pattern)
		}
		for _, name := range matches {
			if err := p.copy(name, r.Name, false); err != nil {
				return err
			}
		}
	}
	for _, l := range r.Links {
		if err := p.add(&Node{Path: l.Path, Kind: KindLink, Mode: 0o777, Target: l.Target, For: []string{r.Name}}); err != nil {
			return err
		}
	}
	for _, name := range r.Folders {
		p.folder(name, 0o755)
		p.nodes[name].For = append(p.nodes[name].For, r.Name)
	}
	return nil
}

// findFile looks a file up at each path that it can have in a package, behind links.
func (p *planner) findFile(r Requirement, f File) (item, error) {
	paths := append([]string{f.Path}, f.From...)
	for _, name := range paths {
		real, _, ok, err := p.x.resolve(name)
		if err != nil {
			return item{}, fmt.Errorf("looking for %s: %w", r.Name, err)
		}
		if it := p.x.items[real]; ok && it.Kind == KindFile {
			return it, nil
		}
	}
	return item{}, missingProgram(r, paths...)
}

func missingProgram(r Requirement, paths ...string) error {
	e := &MissingProgramError{Name: r.Name, Paths: paths}
	for _, pkg := range r.Packages {
		e.Packages = append(e.Packages, pkg.Name)
	}
	return e
}

// copy adds a path as the packages have it: the links on the way, and the file at the end.
func (p *planner) copy(name, requirement string, library bool) error {
	real, via, ok, err := p.x.resolve(name)
	if err != nil {
		return err
	}
	if !ok || p.x.items[real].Kind != KindFile {
		return fmt.Errorf("%s: the link %s leads to %s, which is in none of the packages", requirement, name, real)
	}
	for _, l := range via {
		n := &Node{Path: l.Path, Kind: KindLink, Mode: 0o777, Target: l.Target, Package: p.x.items[l.Path].pkg, For: []string{requirement}, Library: library}
		if err := p.add(n); err != nil {
			return err
		}
	}
	n := fileNode(real, p.x.items[real], requirement)
	n.Library = library
	return p.add(n)
}
