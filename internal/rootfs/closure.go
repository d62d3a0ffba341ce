package rootfs

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// LauncherPath is where the launcher is put in the tree.
const LauncherPath = "usr/bin/dockerlaunch"

// launcherRequirement stands in the table for the launcher. It names no file, because no package has it.
var launcherRequirement = Requirement{
	Name: "dockerlaunch", Group: GroupLauncher, Why: "mounts, prepares and checks, then starts dockerd; also modprobe, by a link",
}

// modprobePath is where the kernel looks for modprobe (/proc/sys/kernel/modprobe); the launcher is one under that name, so
// that the tree needs no kmod.
const modprobePath = "usr/sbin/modprobe"

// launcher adds the launcher, which is the file at name.
func (p *planner) launcher(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("reading the launcher: %w: build it first", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the launcher %s is not a file", name)
	}
	serves := []string{launcherRequirement.Name}
	if err := p.add(&Node{Path: LauncherPath, Kind: KindFile, Mode: 0o755, Size: info.Size(), For: serves, source: name}); err != nil {
		return err
	}
	return p.add(&Node{Path: modprobePath, Kind: KindLink, Mode: 0o777, Target: "../bin/dockerlaunch", For: serves})
}

// close adds what the files of one requirement need to run: loaders, shared libraries, and what those need in turn.
func (p *planner) close(r Requirement) error {
	var queue []*Node
	for _, n := range p.nodes {
		if n.Kind == KindFile && n.source != "" && slices.Contains(n.For, r.Name) {
			queue = append(queue, n)
		}
	}
	slices.SortFunc(queue, func(a, b *Node) int { return strings.Compare(a.Path, b.Path) })
	var program binary // whose architecture and search path hold for what is loaded by name
	done := map[string]bool{}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if done[n.Path] {
			continue
		}
		done[n.Path] = true
		b, err := readBinary(n.source)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Path, err)
		}
		if b.elf && !program.elf {
			program = b
		}
		more, err := p.needs(r, n, b)
		if err != nil {
			return err
		}
		queue = append(queue, more...)
		if len(done) == 1 && program.elf {
			for _, soname := range r.Libraries {
				lib, err := p.library(r, soname, n.Path, program)
				if err != nil {
					return err
				}
				queue = append(queue, lib)
			}
		}
	}
	return nil
}

// needs adds what one file needs directly, and gives the files that were added or were there.
func (p *planner) needs(r Requirement, n *Node, b binary) ([]*Node, error) {
	var out []*Node
	if b.interpreter != "" {
		loader, err := p.interpreter(r, n, b)
		if err != nil {
			return nil, err
		}
		out = append(out, loader)
	}
	for _, soname := range b.needed {
		lib, err := p.library(r, soname, n.Path, b)
		if err != nil {
			return nil, err
		}
		out = append(out, lib)
	}
	return out, nil
}

// interpreter adds an ELF program's loader. A script's shell is not added, but must be there: shells are asked for by name.
func (p *planner) interpreter(r Requirement, n *Node, b binary) (*Node, error) {
	name := strings.TrimPrefix(path.Clean(b.interpreter), "/")
	if !b.elf {
		shell := p.lookup(mergeUsr(name))
		if shell == nil {
			return nil, &MissingLibraryError{Library: b.interpreter, NeededBy: "the script " + n.Path}
		}
		return shell, nil
	}
	real, _, ok, err := p.x.resolve(name)
	if err != nil {
		return nil, err
	}
	if !ok || p.x.items[real].Kind != KindFile {
		return nil, &MissingLibraryError{Library: b.interpreter, NeededBy: n.Path}
	}
	if err := p.copy(name, r.Name, true); err != nil {
		return nil, err
	}
	return p.nodes[real], nil
}

// lookup finds a file among the nodes, behind links to names in the same folder.
func (p *planner) lookup(name string) *Node {
	for range maxLinks {
		n := p.nodes[name]
		if n == nil || n.Kind != KindLink {
			return n
		}
		name = path.Join(dirname(name), n.Target)
	}
	return nil
}

// library adds a shared library as the loader would find it for the file at neededBy.
func (p *planner) library(r Requirement, soname, neededBy string, b binary) (*Node, error) {
	dirs := b.search(neededBy)
	if strings.Contains(soname, "/") {
		return nil, &MissingLibraryError{Library: soname + " (by path, which is not supported)", NeededBy: neededBy}
	}
	for _, dir := range dirs {
		name := path.Join(dir, soname)
		real, _, ok, err := p.x.resolve(name)
		if err != nil {
			return nil, err
		}
		if !ok || p.x.items[real].Kind != KindFile {
			continue
		}
		lib, err := readBinary(p.x.items[real].data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", real, err)
		}
		if lib.class != b.class || lib.machine != b.machine {
			continue // another architecture's, which the loader passes over too
		}
		if err := p.copy(name, r.Name, true); err != nil {
			return nil, err
		}
		return p.nodes[real], nil
	}
	return nil, &MissingLibraryError{Library: soname, NeededBy: neededBy, Searched: dirs}
}
