package initramfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// ModulesOptions say which modules to take, and from where.
type ModulesOptions struct {
	// Kernel is a folder that holds lib/modules/RELEASE of one kernel, as scripts/fetch-qemu unpacks it.
	Kernel string
	// Kmod is an unpacked kmod package with its libraries, whose depmod indexes what is taken; empty takes depmod from PATH.
	Kmod string
	// Wanted is what to take; WantedModules gives the usual.
	Wanted []Wanted
	// Scratch is a folder for what depmod reads and writes. It is left to the caller, who removes it.
	Scratch string
}

// ModuleSet is what was taken.
type ModuleSet struct {
	Release string
	// Names are the modules, sorted.
	Names []string
	// Nodes are their files, unpacked, and the index that was made of them. Their bytes lie in Scratch.
	Nodes []*rootfs.Node
	// Size is that of all nodes, in bytes.
	Size int64
}

// Modules takes the modules that are wanted, with those they depend on, and has them indexed. They are unpacked: a machine
// would have to do that at every boot, and the archive compresses them better together.
func Modules(ctx context.Context, o ModulesOptions) (*ModuleSet, error) {
	release, err := onlyRelease(o.Kernel)
	if err != nil {
		return nil, err
	}
	x, err := modules.Open(modules.Options{Root: o.Kernel, Release: release, ConfigDirs: []string{}})
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's modules: %w", err)
	}
	files, err := choose(x, o.Wanted)
	if err != nil {
		return nil, err
	}
	stage := filepath.Join(o.Scratch, "lib", "modules", release)
	for _, file := range files {
		if err := unpack(file, filepath.Join(stage, unpackedName(relativeTo(x.Dir, file)))); err != nil {
			return nil, err
		}
	}
	// What depmod wants to know of the whole kernel: the order of its modules, and what is built in.
	for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		raw, err := os.ReadFile(filepath.Join(x.Dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading the kernel's modules: %w", err)
		}
		if err := os.WriteFile(filepath.Join(stage, name), raw, 0o644); err != nil {
			return nil, fmt.Errorf("staging the modules: %w", err)
		}
	}
	if err := depmod(ctx, o, release); err != nil {
		return nil, err
	}
	set := &ModuleSet{Release: release}
	if set.Nodes, err = Tree("usr/lib/modules/"+release, stage); err != nil {
		return nil, err
	}
	for _, n := range set.Nodes {
		set.Size += n.Size
	}
	for _, file := range files {
		set.Names = append(set.Names, modules.NameOf(file))
	}
	slices.Sort(set.Names)
	return set, nil
}

// onlyRelease names the kernel whose modules are in a folder.
func onlyRelease(kernel string) (string, error) {
	entries, err := os.ReadDir(filepath.Join(kernel, "lib", "modules"))
	if err != nil {
		return "", fmt.Errorf("looking for the kernel's modules: %w: fetch it, with scripts/fetch-qemu", err)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("%s has the modules of %d kernels, and must have those of one", kernel, len(entries))
	}
	return entries[0].Name(), nil
}

// MissingModuleError says that a kernel lacks a module that a machine cannot do without.
type MissingModuleError struct{ Name, For string }

func (e *MissingModuleError) Error() string {
	return fmt.Sprintf("the kernel has no module %s, neither to load nor built in, which is needed for %s: take another kernel", e.Name, e.For)
}

// choose gives the files of the modules that are wanted and of those they depend on, sorted.
func choose(x *modules.Index, wanted []Wanted) ([]string, error) {
	chosen := map[string]bool{}
	add := func(name string) (bool, error) {
		plan, err := x.Resolve(modules.Query{Names: []string{name}, IgnoreCommands: true})
		if errors.Is(err, modules.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("resolving the module %s: %w", name, err)
		}
		for _, s := range plan.Steps {
			if !s.Builtin && s.Path != "" {
				chosen[s.Path] = true
			}
		}
		return true, nil
	}
	for _, w := range wanted {
		for _, name := range w.Names {
			found, err := add(name)
			if err != nil {
				return nil, err
			}
			if !found && w.Required {
				return nil, &MissingModuleError{Name: name, For: w.For}
			}
		}
		if len(w.Folders) == 0 {
			continue
		}
		all, err := x.Names()
		if err != nil {
			return nil, fmt.Errorf("listing the kernel's modules: %w", err)
		}
		for _, name := range all {
			m, ok, err := x.Module(name)
			if err != nil {
				return nil, fmt.Errorf("listing the kernel's modules: %w", err)
			}
			if !ok || !slices.ContainsFunc(w.Folders, func(dir string) bool { return strings.HasPrefix(relativeTo(x.Dir, m.Path), dir+"/") }) {
				continue
			}
			if _, err := add(name); err != nil {
				return nil, err
			}
		}
	}
	files := make([]string, 0, len(chosen))
	for file := range chosen {
		files = append(files, file)
	}
	slices.Sort(files)
	return files, nil
}

func relativeTo(dir, file string) string {
	return strings.TrimPrefix(strings.TrimPrefix(file, dir), "/")
}

// unpackedName is the name of a module's file without what says how it is packed.
func unpackedName(name string) string {
	if i := strings.Index(path.Base(name), ".ko"); i >= 0 {
		return path.Join(path.Dir(name), path.Base(name)[:i+len(".ko")])
	}
	return name
}

func unpack(from, to string) error {
	raw, err := modules.ReadFile(from)
	if err != nil {
		return fmt.Errorf("unpacking a module: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("staging the modules: %w", err)
	}
	if err := os.WriteFile(to, raw, 0o644); err != nil {
		return fmt.Errorf("staging the modules: %w", err)
	}
	return nil
}

// depmod indexes what was staged. An unpacked kmod runs with its own C library, so that the host's does not matter.
func depmod(ctx context.Context, o ModulesOptions, release string) error {
	command := []string{"depmod"}
	if o.Kmod != "" {
		usr := filepath.Join(o.Kmod, "usr")
		command = []string{
			filepath.Join(usr, "lib64", "ld-linux-x86-64.so.2"), "--library-path", filepath.Join(usr, "lib", "x86_64-linux-gnu"),
			"--argv0", "depmod", filepath.Join(usr, "bin", "kmod"),
		}
	}
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], "-b", o.Scratch, release)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &errs, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("indexing the modules: depmod: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return nil
}
