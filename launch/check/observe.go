package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

// Known is what a launcher has observed already, where the running system is judged.
type Known struct {
	Host    host.Facts
	Cgroups cgroups.Facts
	// Programs are the findings about the programs of package preflight.
	Programs []finding.Finding
	// Config is the kernel's configuration, where FatalKernel has found it.
	Config *kconfig.Config
}

// maxText bounds the small files that are read, in bytes.
const maxText = 1 << 20

// Observe reads the facts that a Request asks for. known is nil where another system than the running one is judged. Errors are
// those of input that was named and cannot be read.
func Observe(r *Request, known *Known) (*Facts, error) {
	f := &Facts{For: r.For}
	if known != nil {
		f.Host, f.Cgroup.Facts = known.Host, known.Cgroups
	} else {
		var err error
		if f.Host, err = host.Observe(host.Paths{}); err != nil {
			return nil, err
		}
	}
	if f.For == "" {
		f.For = f.Host.Habitat
		if r.KernelConfig != "" {
			f.For = host.Machine // wherever it is looked at
		}
		if r.Root != "" {
			f.For = host.Container
			if newestRelease(r.Root) != "" {
				f.For = host.Machine
			}
		}
	}
	if r.Root != "" {
		if st, err := os.Stat(r.Root); err != nil {
			return nil, fmt.Errorf("the root tree: %w", err)
		} else if !st.IsDir() {
			return nil, fmt.Errorf("the root tree %s is no folder", r.Root)
		}
	}
	if r.Docker != "" {
		version, err := daemon.ParseVersion(r.Docker)
		if err != nil {
			return nil, err
		}
		f.User.Docker, f.User.DockerText = version, r.Docker
	}
	if err := f.observeKernel(r, f.Host.Kernel); err != nil {
		return nil, err
	}
	if r.KernelConfig == "" || r.Root != "" {
		f.observeUserSpace(r, known)
	}
	if r.KernelConfig == "" || r.DataRoot != "" || r.Root != "" {
		if err := f.observeStorage(r); err != nil {
			return nil, err
		}
	}
	if !f.Live {
		return f, nil
	}
	if known == nil {
		var err error
		if f.Cgroup.Facts, err = cgroups.Observe(cgroups.Paths{}); err != nil {
			return nil, err
		}
	}
	f.Cgroup.Swap = swapAccounting(f.Cgroup.Facts)
	f.Namespaces = tryNamespaces()
	f.Sysctl = map[string]string{}
	for _, s := range sysctls {
		if text, err := readText("/proc/sys/" + strings.ReplaceAll(s.name, ".", "/")); err == nil {
			f.Sysctl[s.name] = text
		}
	}
	f.observeSecurity()
	f.observeBoot()
	return f, nil
}

// readText reads a small file, without the blanks around its text.
func readText(name string) (string, error) {
	data, err := readFile(name, maxText)
	return strings.TrimSpace(string(data)), err
}

func (f *Facts) observeSecurity() {
	// What cannot be read is empty: these files are there where the kernel has what they tell of.
	f.Security.LSM, _ = readText("/sys/kernel/security/lsm")
	f.Security.Enforcing, _ = readText("/sys/fs/selinux/enforce")
	status, _ := readText("/proc/thread-self/status")
	f.Security.Seccomp = strings.Contains(status, "\nSeccomp:")
	f.Security.NoNewPrivs = strings.Contains(status, "\nNoNewPrivs:\t1")
	var st unix.Statfs_t
	f.Security.ProcSysReadOnly = unix.Statfs("/proc/sys", &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

func (f *Facts) observeBoot() {
	// A system without these files has a boot loader that nobody knows.
	f.Boot.CommandLine, _ = readText("/proc/cmdline")
	text, err := readText("/etc/os-release")
	if err != nil {
		text, _ = readText("/usr/lib/os-release")
	}
	f.Boot.ID, f.Boot.Like = readOSRelease(text)
	for _, name := range commandLineFiles {
		if preflight.FileExists(strings.TrimPrefix(name, "/")) {
			f.Boot.File = name
			break
		}
	}
}

// swapAccounting looks for a file that is there where swap is counted. v1 has it in every cgroup, v2 in those below the root that
// have the memory controller.
func swapAccounting(f cgroups.Facts) string {
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	for _, m := range f.Mounts {
		if m.FSType != "cgroup" {
			continue
		}
		for _, c := range m.Controllers {
			if c != "memory" {
				continue
			}
			if exists(filepath.Join(m.Target, "memory.memsw.limit_in_bytes")) {
				return "yes"
			}
			return "no"
		}
	}
	if f.Unified == nil {
		return ""
	}
	dirs := []string{f.Unified.Target, filepath.Join(f.Unified.Target, f.UnifiedPath())}
	if entries, err := os.ReadDir(f.Unified.Target); err == nil {
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(f.Unified.Target, e.Name()))
			}
		}
	}
	for _, dir := range dirs {
		switch {
		case exists(filepath.Join(dir, "memory.swap.max")):
			return "yes"
		case exists(filepath.Join(dir, "memory.max")):
			return "no"
		}
	}
	return ""
}

func (f *Facts) observeStorage(r *Request) error {
	s := &f.Storage
	root, err := filepath.Abs(r.dataRoot())
	if err != nil {
		return fmt.Errorf("data-root %s: %w", r.dataRoot(), err)
	}
	s.Looked, s.DataRoot = true, root
	if r.Root != "" && r.DataRoot == "" {
		// Where the tree's data-root will lie is for whoever mounts it to say.
		place := filepath.Join(r.Root, root)
		s.Prior, s.NoTrial = storage.PriorDrivers(place), "the tree is not the running system's"
		_, err := os.Stat(place)
		s.Exists = err == nil
		return nil
	}
	info, err := mounts.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	state, err := mounts.Observe(root, info)
	if err != nil {
		return err
	}
	if state.Kind == mounts.KindOther {
		return fmt.Errorf("the data-root %s is to be a folder, and a file stands there or in its path", root)
	}
	st, err := os.Stat(root)
	s.Exists = err == nil && st.IsDir()
	s.FSType, s.Writable, s.ReadOnly = state.FSType, state.Writable, state.ReadOnly
	s.Prior = storage.PriorDrivers(root)
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	zfs, _ := tree(r.Root).program("zfs", f.path(r))
	fuse, _ := tree(r.Root).program("fuse-overlayfs", f.path(r))
	s.ZFS, s.FUSE = zfs != "" && exists("/dev/zfs"), fuse != "" && exists("/dev/fuse")
	switch {
	case !s.Exists:
		s.NoTrial = root + " is not there yet"
	case f.Host.UID != 0:
		s.NoTrial = "only root may mount"
	case !s.Writable:
		s.NoTrial = root + " is not writable"
	default:
		trial, err := TryOverlay(root)
		if err != nil {
			s.NoTrial = err.Error()
			break
		}
		s.Trial = &trial
	}
	return nil
}

// TryOverlay is storage.TryOverlay in a mount namespace of its own, in a thread that ends with it, so that nobody else sees the mount,
// and none stays behind whatever becomes of this process. Where there may be no such namespace it is made without.
func TryOverlay(root string) (t storage.Trial, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if caught := recover(); caught != nil {
				err = fmt.Errorf("the trial of overlay: %v", caught)
			}
		}()
		runtime.LockOSThread() // and not unlocked: the thread ends with its namespace
		if unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS) == nil {
			if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				err = fmt.Errorf("making the mounts of a namespace private: %w", err)
				return
			}
		}
		t, err = storage.TryOverlay(root)
	}()
	<-done
	return t, err
}

func (f *Facts) path(r *Request) string {
	if r.Path == "" {
		return host.DefaultPath
	}
	return r.Path
}

func (f *Facts) observeUserSpace(r *Request, known *Known) {
	t, u := tree(r.Root), &f.User
	search := f.path(r)
	u.Now = time.Now()
	u.versions(t)
	u.Extra = map[string]string{}
	for _, x := range extras {
		u.Extra[x.name], _ = t.program(x.name, search)
	}
	u.IPTables, u.Goal = t.program("iptables", search)
	u.Daemon, _ = t.program(r.Daemon.Command.Path, search)
	if u.Daemon == "" && r.Daemon.Command.Fallback != "" {
		u.Daemon, _ = t.program(r.Daemon.Command.Fallback, search)
	}
	if !u.Docker.Known() && u.Daemon != "" {
		u.hinted(t, r.Daemon.Version)
	}
	if u.Daemon == "" {
		u.DaemonErr = r.Daemon.Command.Path + ": there is no such daemon"
		if r.Root != "" {
			u.DaemonErr += " in " + r.Root
		}
	}
	for _, name := range append([]string{}, append(preflight.CABundles, preflight.SpareCABundle)...) {
		file := t.file(name)
		if file == "" {
			continue
		}
		u.Bundle = "/" + name
		if data, err := readFile(file, 16<<20); err != nil {
			u.BundleErr = err.Error()
		} else {
			u.Roots = certs.ReadRoots(data, u.Now)
		}
		break
	}
	if known != nil {
		f.Programs = known.Programs
		return
	}
	e := r.Daemon
	e.Version = u.Docker
	found := t.programs(search)
	if u.Bundle != "" {
		found["ca-certificates"] = u.Bundle
	}
	judged, err := preflight.Judge(preflight.Table(), found, preflight.Conditions{
		IPTables: e.IPTables(), IP6Tables: e.IP6Tables(), UserlandProxy: e.UserlandProxy(), FirewallBackend: e.FirewallBackend(),
		Containerd: e.ContainerdAddress(), EmbeddedContainerd: e.EmbeddedContainerd(), LoadableModules: !f.Live || f.Host.LoadableModules, AppArmor: f.Host.AppArmor && f.For != host.Container,
	}, nil)
	if err != nil {
		panic(err) // it is about names to do without, and there are none
	}
	f.Programs = []finding.Finding{}
	for _, p := range judged {
		f.Programs = append(f.Programs, p.Finding())
	}
}
