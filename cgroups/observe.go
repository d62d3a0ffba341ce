package cgroups

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const (
	fsV1 = "cgroup"
	fsV2 = "cgroup2"
)

// Paths tells Observe where to look.
type Paths struct {
	// Tree is the folder under which proc and sys are; empty for the running system.
	Tree string
	// Root is where the hierarchies belong, DefaultRoot if it is empty.
	Root string
	// Table is the calling thread's mount table, where that was read already (proc_pid_mountinfo(5)).
	Table []byte
}

func (p Paths) root() string {
	if p.Root == "" {
		return DefaultRoot
	}
	return p.Root
}

func (p Paths) in(path string) string { return filepath.Join("/", p.Tree, path) }

// self is the calling thread's folder in /proc: the cgroup namespace and the mount namespace belong to threads. thread-self came
// with Linux 3.17.
func (p Paths) self() string {
	if _, err := os.Stat(p.in("/proc/thread-self/mountinfo")); err == nil {
		return "/proc/thread-self"
	}
	return "/proc/self"
}

// Observe reads the facts and changes nothing. It needs /proc; what the kernel does not have is left empty. Which mounts there
// are is read from the mount table and not asked of statfs(2), since the table also tells what part of which hierarchy is
// mounted.
func Observe(p Paths) (Facts, error) {
	// The files of one thread are read here.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	f := Facts{Root: p.root()}
	self := p.self()
	table, err := p.readTable(p.in(self + "/mountinfo"))
	if err != nil {
		return f, err
	}
	if err := f.readKernel(p); err != nil {
		return f, err
	}
	if f.Controllers, err = parseFile(p.in("/proc/cgroups"), ParseControllers); err != nil {
		return f, err
	}
	if f.Membership, err = parseFile(p.in(self+"/cgroup"), ParseMembership); err != nil {
		return f, err
	}
	if f.Namespace, err = os.Readlink(p.in(self + "/ns/cgroup")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, failed("read", p.in(self+"/ns/cgroup"), err)
	}
	// PID 1 may be hidden (hidepid=2), and then it is not known whether somebody else manages cgroups here.
	if list, err := parseFile(p.in("/proc/1/cgroup"), ParseMembership); err == nil {
		f.InitPath = unifiedPath(list)
	}
	f.readMounts(p, table)
	return f, f.readUnified(p)
}

// readTable reads the mount table, unless it was read already.
func (p Paths) readTable(path string) ([]*mountinfo.Info, error) {
	if p.Table != nil {
		return parseTable(path, p.Table)
	}
	return readTable(path)
}

func readTable(path string) ([]*mountinfo.Info, error) {
	text, err := smallfile.Read(path)
	if err != nil {
		return nil, failed("read", path, err)
	}
	return parseTable(path, text)
}

func parseTable(path string, text []byte) ([]*mountinfo.Info, error) {
	table, err := mountinfo.GetMountsFromReader(bytes.NewReader(text), nil)
	if err != nil {
		return nil, failed("read", path, err)
	}
	return table, nil
}

func (f *Facts) readKernel(p Paths) error {
	text, err := readOptional(p.in("/proc/filesystems"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		switch name := strings.Fields(line); {
		case slices.Contains(name, fsV1):
			f.KernelV1 = true
		case slices.Contains(name, fsV2):
			f.KernelV2 = true
		}
	}
	if text, err = readOptional(p.in("/sys/kernel/cgroup/features")); err != nil {
		return err
	}
	f.Features = words(text)
	_, err = os.Stat(p.in("/sys/kernel/cgroup/delegate"))
	f.CompleteV2 = f.KernelV2 && err == nil
	return nil
}

func (f *Facts) readMounts(p Paths, table []*mountinfo.Info) {
	if m := at(table, f.Root); m != nil {
		f.RootFSType = m.FSType
	}
	for _, m := range table {
		if m.FSType != fsV1 && m.FSType != fsV2 || at(table, m.Mountpoint) != m {
			continue
		}
		e := Mount{Target: m.Mountpoint, FSType: m.FSType, Root: m.Root, ReadOnly: readOnly(m)}
		if m.FSType == fsV1 {
			e.Controllers = f.controllersOf(m)
		}
		e.Populated = hasFolders(p.in(m.Mountpoint))
		f.Mounts = append(f.Mounts, e)
	}
	f.Mode = f.modeOf()
}

// controllersOf picks the controllers out of the options of a v1 mount, in the kernel's order.
func (f *Facts) controllersOf(m *mountinfo.Info) []string {
	var list []string
	for _, o := range options(m.VFSOptions) {
		_, row := f.row(o)
		member := slices.ContainsFunc(f.Membership, func(m Membership) bool { return slices.Contains(m.Controllers, o) })
		if row || member || strings.HasPrefix(o, "name=") {
			list = append(list, o)
		}
	}
	return list
}

func (f *Facts) modeOf() Mode {
	var v1, unified bool
	for _, m := range f.Mounts {
		switch {
		case m.FSType == fsV2 && m.Target == f.Root:
			return V2
		case m.FSType == fsV2 && m.Target == filepath.Join(f.Root, unifiedName):
			unified = true
		case m.FSType == fsV1:
			v1 = true
		}
	}
	switch {
	case v1 && unified:
		return Hybrid
	case v1:
		return V1
	}
	return None
}

func (f *Facts) readUnified(p Paths) error {
	target := f.Root
	if f.Mode == Hybrid {
		target = filepath.Join(f.Root, unifiedName)
	} else if f.Mode != V2 {
		return nil
	}
	u, err := readUnified(p.in(target))
	if err != nil {
		return err
	}
	u.Target = target
	f.Unified = u
	return nil
}

// readUnified reads the state of a cgroup of cgroup2.
func readUnified(dir string) (*Unified, error) {
	u := &Unified{}
	for name, list := range map[string]*[]string{"cgroup.controllers": &u.Controllers, "cgroup.subtree_control": &u.SubtreeControl} {
		text, err := readFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		*list = words(text)
	}
	text, err := readOptional(filepath.Join(dir, "cgroup.type"))
	if err != nil {
		return nil, err
	}
	u.Type = strings.TrimSpace(text)
	if u.HierarchyRoot, err = hierarchyRoot(dir); err != nil {
		return nil, err
	}
	if threaded(u.Type) {
		// The kernel does not list the processes of such a cgroup: EOPNOTSUPP.
		return u, nil
	}
	pids, err := readPIDs(dir)
	u.Processes = len(pids)
	return u, err
}

// hierarchyRoot tells whether a folder of cgroup2 is the root of the hierarchy, which alone has no cgroup.events.
func hierarchyRoot(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, failed("read", filepath.Join(dir, "cgroup.events"), err)
	}
	return false, nil
}

// hasFolders tells whether there are cgroups below a cgroup. A folder that cannot be read counts as one that has some, which
// keeps it from being unmounted.
//
// The folders of the kernel's own filesystems have two links and one for each folder below (kernfs_refresh_inode in
// fs/kernfs/inode.c), as those of most have. One link says that a filesystem does not count.
func hasFolders(dir string) bool {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Nlink >= 2 {
		return st.Nlink > 2
	}
	d, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer d.Close()
	for {
		list, err := d.ReadDir(64)
		if slices.ContainsFunc(list, fs.DirEntry.IsDir) {
			return true
		}
		if err != nil {
			return !errors.Is(err, io.EOF)
		}
	}
}

// words splits a text; nothing is nil.
func words(text string) []string {
	if list := strings.Fields(text); len(list) > 0 {
		return list
	}
	return nil
}

// readFile reads a small file, with the error of this package.
func readFile(path string) (string, error) {
	b, err := smallfile.Read(path)
	if err != nil {
		return "", failed("read", path, err)
	}
	return string(b), nil
}

// readOptional is readFile, but a missing file is empty.
func readOptional(path string) (string, error) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return text, err
}

func parseFile[T any](path string, parse func(io.Reader) ([]T, error)) ([]T, error) {
	text, err := smallfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read", path, err)
	}
	list, err := parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return list, nil
}

// failed makes an Error of what a function of package os returned, whose own operation and path would say it twice.
func failed(op, path string, err error) *Error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return &Error{Op: op, Path: path, Err: err}
}
