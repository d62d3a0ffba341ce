package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// observeKernel finds the kernel that is judged, its configuration and its modules. running is uname -r.
func (f *Facts) observeKernel(r *Request, running string) error {
	root, release := "/", running
	switch {
	case r.KernelConfig != "":
		c, err := kconfig.Read(r.KernelConfig)
		if err != nil {
			return fmt.Errorf("the kernel configuration %s: %w", r.KernelConfig, err)
		}
		f.Config = c
		// A file of the running kernel's is called after it, or is its own copy.
		if name := filepath.Clean(r.KernelConfig); name != "/proc/config.gz" && !strings.Contains(name, running) {
			return nil
		}
		f.Running = running
	case r.Root != "":
		if release = newestRelease(r.Root); release != "" {
			root = r.Root
			break
		}
		if f.For == host.Machine {
			f.Config = &kconfig.Config{Source: "none: there is no kernel in " + r.Root + "; name its configuration with --kernel-config"}
			return nil
		}
		release = running // a tree without a kernel runs on ours
		fallthrough
	default:
		f.Live, f.Running = true, running
	}
	if f.Config == nil {
		if err := f.findConfig(root, release); err != nil {
			return err
		}
	}
	return f.observeModules(root, release)
}

func (f *Facts) findConfig(root, release string) (err error) {
	f.Config, f.Unread, err = kconfig.Find(root, release)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the configuration of kernel %s: %w", release, err)
	case f.Live:
		f.Config = kconfig.Runtime(os.DirFS("/"), release)
	default:
		f.Config = &kconfig.Config{Source: "none: there is no configuration of kernel " + release + " in " + root, Text: release}
		f.Config.Release, _ = kconfig.ParseRelease(release) // one that cannot be read stays unknown
	}
	return nil
}

// newestRelease is the kernel that a root tree has, the newest of several; "" where it has none.
func newestRelease(root string) string {
	var best string
	var newest kconfig.Release
	consider := func(name string) {
		if r, ok := kconfig.ParseRelease(name); ok && (best == "" || r.Compare(newest) > 0) {
			best, newest = name, r
		}
	}
	for _, dir := range []string{"lib/modules", "usr/lib/modules"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			continue // it is not there
		}
		for _, e := range entries {
			consider(e.Name())
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "boot"))
	if err != nil {
		return best // there is no such folder
	}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), "config-"); ok {
			consider(name)
		}
	}
	return best
}

// observeModules learns which modules there are. A module is absent only where depmod's index was read and does not have it, or
// where the modules of a kernel that is not a container's host's are not installed at all: what a host has, the kernel loads for
// its containers too.
func (f *Facts) observeModules(root, release string) error {
	ofRunning := f.Running != ""
	var index *modules.Index
	absent := kconfig.ModuleUnknown
	dir := filepath.Join(root, "lib/modules", release)
	_, err := os.Stat(dir)
	installed := err == nil
	indexed := installed
	for _, name := range []string{"modules.dep", "modules.builtin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			indexed = false // reading every module instead would take seconds
		}
	}
	switch {
	case indexed:
		options := modules.Options{Root: root, Release: release, ConfigDirs: []string{}}
		if root == "/" {
			options.Root = ""
		}
		if index, err = modules.Open(options); err != nil {
			return fmt.Errorf("the modules of kernel %s: %w", release, err)
		}
		absent = kconfig.ModuleAbsent
	case !installed && f.Config.Complete && f.For != host.Container:
		absent = kconfig.ModuleAbsent
	}
	if !ofRunning && index == nil {
		return nil
	}
	f.Modules = func(name string) kconfig.ModuleState {
		if ofRunning {
			if p, err := (modules.Kernel{}).Has(name); err == nil && p != modules.Absent {
				return kconfig.ModuleLoaded
			}
		}
		if index == nil {
			return absent
		}
		m, ok, err := index.Module(name)
		switch {
		case err != nil:
			return kconfig.ModuleUnknown
		case !ok:
			return absent
		case m.Builtin:
			return kconfig.ModuleLoaded
		}
		if _, err := os.Stat(m.Path); err != nil {
			return kconfig.ModuleAbsent // the index has it, and the file is gone
		}
		return kconfig.ModuleLoadable
	}
	return nil
}
