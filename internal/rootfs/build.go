package rootfs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what to build, and from what.
type Options struct {
	// Packages is the folder of .deb files, as scripts/fetch-packages leaves it. They are unpacked into a folder in it.
	Packages string
	// Docker is Docker's own archive, docker-VERSION.tgz, to take Docker's programs from instead, or empty.
	Docker string
	// Launcher is a file to put into the tree, or empty.
	Launcher string
	// Out is the tree. One that is there is replaced as a whole, with all that was written into it since; only where nothing
	// but the launcher has changed, the launcher is.
	Out string
	// Git asks for git, with its shell and ssh.
	Git bool
	// Machine asks for what only the root of a machine needs, beside a kernel: the tools of the data disk's file system.
	Machine bool
	// Notices asks for the copyright file of each package that something comes from, for a tree that is handed on.
	Notices bool
	// Epoch is the time that everything in the tree gets, in seconds since 1970; 0 takes the newest file's in the packages used.
	Epoch int64
	// Builder stands for the program that calls: a tree that another one built is built anew.
	Builder string
	// Progress is called while something takes time, from one goroutine at a time. It may be nil.
	Progress func(step string, done, total int)
}

// Result is what Build did.
type Result struct {
	Manifest *Manifest
	// Kept says that the tree stood there already, made from the same things, and was left alone.
	Kept bool
}

// Build builds the tree, or keeps it where nothing has changed. It is built beside its place and then exchanged, so that
// there is never half a tree, whenever it is interrupted.
//
// Errors that a caller may want to tell apart: MissingProgramError, MissingLibraryError, ErrUnsafe.
func Build(ctx context.Context, o Options) (*Result, error) {
	o.Out = filepath.Clean(o.Out)
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	if err := os.MkdirAll(filepath.Dir(o.Out), 0o755); err != nil {
		return nil, fmt.Errorf("making the tree's folder: %w", err)
	}
	lock, err := lockFile(o.Out + ".lock")
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	old, err := current(o.Out)
	if err != nil {
		return nil, err
	}
	archives, err := findArchives(o)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Epoch: o.Epoch}
	if m.Stamp, err = stamp(o, archives); err != nil {
		return nil, err
	}
	if o.Launcher != "" {
		if m.Launcher, err = hashFile(o.Launcher); err != nil {
			return nil, fmt.Errorf("reading the launcher: %w: build it first", err)
		}
	}
	if old != nil && old.Stamp == m.Stamp {
		if old.Launcher == m.Launcher && unchanged(old.Nodes, o.Out, old.Epoch) {
			return &Result{Manifest: old, Kept: true}, nil
		}
		if done, err := old.replaceLauncher(o, m.Launcher); done || err != nil {
			return &Result{Manifest: old}, err
		}
	}

	if err := m.plan(ctx, o, archives); err != nil {
		return nil, err
	}
	next := o.Out + ".new"
	used, err := lockTree(o.Out)
	if err != nil {
		return nil, err
	}
	defer used.Close()
	if err := notMounted(o.Out); err != nil {
		return nil, err
	}
	for _, left := range []string{next, o.Out + ".old"} { // by an interrupted run
		if err := notMounted(left); err != nil {
			return nil, err
		}
		if err := os.RemoveAll(left); err != nil {
			return nil, fmt.Errorf("removing what an interrupted run left: %w", err)
		}
	}
	err = write(m.Nodes, next, m.Epoch, func(done, total int) { o.Progress("writing the tree", done, total) })
	if err != nil {
		return nil, err
	}
	// Without a stamp, so that a run that is interrupted between the two steps does not pass for a finished one.
	if err := (&Manifest{}).save(o.Out); err != nil {
		return nil, err
	}
	if err := swap(next, o.Out); err != nil {
		return nil, err
	}
	if err := m.save(o.Out); err != nil {
		return nil, err
	}
	return &Result{Manifest: m}, nil
}

// Plan works out what the tree of o would hold, and writes none: o.Out is not looked at. The nodes' bytes are there to be
// opened as long as the packages and the launcher stay as they are, and have no hash yet.
func Plan(ctx context.Context, o Options) (*Manifest, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	archives, err := findArchives(o)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Epoch: o.Epoch}
	if err := m.plan(ctx, o, archives); err != nil {
		return nil, err
	}
	return m, nil
}

// plan unpacks the archives and enters what the tree is to hold, and where it comes from.
func (m *Manifest) plan(ctx context.Context, o Options, archives []*Archive) error {
	err := unpack(ctx, filepath.Join(o.Packages, "unpacked"), archives, func(done, total int) { o.Progress("unpacking packages", done, total) })
	if err != nil {
		return err
	}
	reqs := o.wanted()
	if m.Nodes, err = plan(newIndex(archives), reqs, o.Launcher); err != nil {
		return err
	}
	m.describe(reqs, archives, o)
	return nil
}

// findArchives lists what the tree can be made from, the first one with a path winning.
func findArchives(o Options) ([]*Archive, error) {
	archives, err := findDebs(o.Packages)
	if err != nil || o.Docker == "" {
		return archives, err
	}
	a, err := findDocker(o.Docker)
	if err != nil {
		return nil, err
	}
	return append([]*Archive{a}, archives...), nil
}

// current gives the manifest of the tree at out, or nil where there is no tree. A folder that is none of ours is refused:
// it would be removed.
func current(out string) (*Manifest, error) {
	m, err := ReadManifest(out)
	if err == nil {
		return m, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	there, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(there) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", out, err)
	}
	return nil, fmt.Errorf("%s is a folder that was not built here (%s is not beside it): remove it, or name another one", out, ManifestPath(out))
}

// stamp hashes all that the tree depends on but the launcher.
func stamp(o Options, archives []*Archive) (string, error) {
	raw, err := json.Marshal(struct {
		Builder  string
		Git      bool
		Machine  bool
		Notices  bool
		Epoch    int64
		Root     bool // whether files can be given to root
		Launcher bool
		Archives []*Archive
	}{o.Builder, o.Git, o.Machine, o.Notices, o.Epoch, os.Geteuid() == 0, o.Launcher != "", archives})
	if err != nil {
		return "", fmt.Errorf("hashing what the tree is made from: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// describe enters what the tree was made from: the table's rows, the packages used, and, where none is asked for, the time.
func (m *Manifest) describe(reqs []Requirement, archives []*Archive, o Options) {
	if o.Launcher != "" {
		reqs = append([]Requirement{launcherRequirement}, reqs...)
	}
	for _, r := range reqs {
		m.Requirements = append(m.Requirements, Row{Name: r.Name, Group: r.Group, Why: r.Why})
	}
	used := map[string]bool{}
	for _, n := range m.Nodes {
		used[n.Package] = true
	}
	for _, a := range archives {
		if used[a.Name] {
			m.Archives = append(m.Archives, a)
			if o.Epoch == 0 {
				m.Epoch = max(m.Epoch, a.Built)
			}
		}
	}
	slices.SortFunc(m.Archives, func(a, b *Archive) int { return strings.Compare(a.Name, b.Name) })
}
