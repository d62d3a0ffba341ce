package cgroups

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// needV1 skips where no v1 hierarchy exists. They cannot be made inside of a cgroup namespace, and one that is made outside
// stays for good; the machine layer has v1 for certain.
func needV1(t *testing.T) Facts {
	t.Helper()
	f, err := Observe(Paths{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.mounted("devices"); !ok {
		t.Skip("this system has no cgroup v1 hierarchy with the controller devices")
	}
	return f
}

// TestV1FromNone is a container without mounts on a host that uses cgroup v1.
func TestV1FromNone(t *testing.T) {
	needV1(t)
	if !testenv.InNamespaces(t, unix.CLONE_NEWCGROUP) {
		return
	}
	clear(t)
	before := read(t, "/proc/cgroups")
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if f.Mode != None || f.InitialNamespace() {
		t.Fatalf("this is no container without mounts: %+v", f)
	}
	actions, warnings, err := Plan(f, WantAuto, container)
	must(t, "planning", err)
	apply(t, actions, nil)
	for _, c := range f.Controllers {
		target := filepath.Join(DefaultRoot, c.Name)
		_, err := os.Stat(filepath.Join(target, "cgroup.procs"))
		if c.Hierarchy != 0 && err != nil {
			t.Errorf("%s is not mounted: %v", c.Name, err)
		}
		if c.Hierarchy == 0 && err == nil {
			t.Errorf("%s is mounted, and no hierarchy has it", c.Name)
		}
		if c.Hierarchy == 0 && !strings.Contains(describe(warnings), c.Name) {
			t.Errorf("no warning names %s: %v", c.Name, warnings)
		}
	}
	// A new hierarchy is refused here; asked for all the same, the kernel's answer is explained.
	for _, c := range f.Controllers {
		if c.Hierarchy != 0 {
			continue
		}
		a := MountV1{filepath.Join(DefaultRoot, c.Name), []string{c.Name}, Meaning{Lost: knowV1(c.Name).lost}}
		kept, err := a.Apply(t.Context())
		lacking := knowV1(c.Name).optionV1 != "" && errors.Is(err, ErrNoController)
		if kept || !lacking && (!errors.Is(err, ErrNamespace) || !errors.Is(err, unix.EPERM)) {
			t.Errorf("%s: kept is %v: %v", a, kept, err)
		}
		checkError(t, err, "lost: "+knowV1(c.Name).lost)
		if _, err := os.Stat(a.Target); err == nil {
			t.Errorf("%s is left behind", a.Target)
		}
	}
	if after := hierarchies(read(t, "/proc/cgroups")); after != hierarchies(before) {
		t.Errorf("the hierarchies were\n%s\nand are\n%s", hierarchies(before), after)
	}

	if f, err = Observe(Paths{}); err != nil || f.Mode != V1 {
		t.Fatalf("the mode is %v: %v", f.Mode, err)
	}
	if f.RootFSType != "tmpfs" {
		t.Errorf("the root is a %s", f.RootFSType)
	}
	for controller, file := range map[string]string{"memory": "memory.limit_in_bytes", "pids": "pids.max"} {
		if _, ok := f.mounted(controller); !ok {
			continue
		}
		limit := newGroup(t, filepath.Join(DefaultRoot, controller))
		write(t, "1048576", limit, file)
		if got := read(t, limit, file); got != "1048576" {
			t.Errorf("%s reads %s", file, got)
		}
	}

	// Again, by the same actions and by a new plan.
	if kept := apply(t, actions, nil); kept != len(actions) {
		t.Errorf("%d of %d actions were kept", kept, len(actions))
	}
	if again, _ := plan(t, WantAuto, container); len(again) != 0 {
		t.Errorf("still to do: %v", lines(again))
	}
}

// hierarchies takes the counts out of /proc/cgroups, which others change.
func hierarchies(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		b.WriteString(f[0] + " " + f[1] + "\n")
	}
	return b.String()
}

func describe(warnings []Warning) string {
	var list []string
	for _, w := range warnings {
		list = append(list, w.String())
	}
	return strings.Join(list, "\n")
}

// TestV1Wrong is about what stands in the way of a hierarchy.
func TestV1Wrong(t *testing.T) {
	needV1(t)
	if !testenv.InNamespaces(t, unix.CLONE_NEWCGROUP) {
		return
	}
	dir := scratch(t)
	devices := MountV1{filepath.Join(dir, "devices"), []string{"devices"}, Meaning{Lost: "rules"}}
	if kept, err := devices.Apply(t.Context()); kept || err != nil {
		t.Fatalf("kept is %v: %v", kept, err)
	}
	if kept, err := devices.Apply(t.Context()); !kept || err != nil {
		t.Errorf("again: kept is %v: %v", kept, err)
	}
	other := MountV1{devices.Target, []string{"pids"}, Meaning{Lost: "limits"}}
	_, err := other.Apply(t.Context())
	if !errors.Is(err, ErrForeign) {
		t.Errorf("another hierarchy there: %v", err)
	}
	checkError(t, err, "a cgroup with the options rw,devices; lost: limits; unmount it first")

	// devices and pids are in hierarchies of their own, and cannot be mounted together.
	both := MountV1{filepath.Join(dir, "both"), []string{"devices", "pids"}, Meaning{}}
	_, err = both.Apply(t.Context())
	if f, oerr := Observe(Paths{}); oerr == nil && errors.Is(err, unix.EBUSY) {
		row, _ := f.row("devices")
		if row.Hierarchy == 0 {
			t.Error("devices is in no hierarchy")
		}
		checkError(t, err, "in use: device or resource busy: devices is in the v1 hierarchy")
	} else if !errors.Is(err, ErrNamespace) {
		// The kernel looks at the namespace before it looks at the controllers.
		t.Error(err)
	}
	for _, name := range []string{"bogus", "name=bad/name"} {
		_, err = MountV1{filepath.Join(dir, "bogus"), []string{name}, Meaning{}}.Apply(t.Context())
		if !errors.Is(err, ErrNoController) || !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	drop, restore := sysAdmin(t)
	drop()
	_, err = MountV1{filepath.Join(dir, "pids"), []string{"pids"}, Meaning{}}.Apply(t.Context())
	restore()
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("without CAP_SYS_ADMIN: %v", err)
	}

	// A tmpfs that is read-only, and a filesystem that is no tmpfs, cannot hold the folders.
	a := MountTmpfs{Target: filepath.Join(dir, "root")}
	if kept, err := a.Apply(t.Context()); kept || err != nil {
		t.Fatalf("kept is %v: %v", kept, err)
	}
	m, err := mountedAt(a.Target)
	must(t, "reading", err)
	if m.Options != "rw,nosuid,nodev,noexec,relatime" || !strings.Contains(m.VFSOptions, "mode=755") {
		t.Errorf("mounted is %+v", m)
	}
	must(t, "remounting", unix.Mount("", a.Target, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if kept, err := a.Apply(t.Context()); kept || !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: kept is %v: %v", kept, err)
	}
	_, err = MountV1{filepath.Join(a.Target, "pids"), []string{"pids"}, Meaning{}}.Apply(t.Context())
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("a folder on a read-only filesystem: %v", err)
	}
	checkError(t, err, "mkdir "+a.Target+"/pids: read-only file system")
	if kept, err := (MountTmpfs{Target: devices.Target}).Apply(t.Context()); kept || !errors.Is(err, ErrForeign) {
		t.Errorf("a tmpfs over a hierarchy: kept is %v: %v", kept, err)
	}

	for range 2 {
		u := Unmount{Target: devices.Target, FSType: fsV1}
		kept, err := u.Apply(t.Context())
		if m, _ := mountedAt(devices.Target); m != nil || err != nil {
			t.Errorf("%s: kept is %v: %v", u, kept, err)
		}
	}
	if kept, err := (Unmount{Target: a.Target, FSType: fsV1}).Apply(t.Context()); !kept || err != nil {
		t.Errorf("a tmpfs is not to be unmounted: kept is %v: %v", kept, err)
	}
}

func TestUnmountBusy(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := scratch(t)
	t.Chdir(dir)
	a := Unmount{Target: dir, FSType: "tmpfs", Meaning: Meaning{Lost: "room"}}
	if kept, err := a.Apply(t.Context()); kept || !errors.Is(err, ErrBusy) {
		t.Errorf("kept is %v: %v", kept, err)
	}
	must(t, "leaving", os.Chdir("/"))
	if kept, err := a.Apply(t.Context()); kept || err != nil {
		t.Errorf("kept is %v: %v", kept, err)
	}
}

func TestLink(t *testing.T) {
	dir := t.TempDir()
	a := Link{filepath.Join(dir, "cpu"), "cpu,cpuacct", Meaning{Lost: "cpu"}}
	for i := range 2 {
		if kept, err := a.Apply(t.Context()); kept != (i == 1) || err != nil {
			t.Errorf("time %d: kept is %v: %v", i, kept, err)
		}
	}
	if to, err := os.Readlink(a.Path); err != nil || to != a.To {
		t.Error(to, err)
	}
	must(t, "linking", os.Symlink(filepath.Join(dir, "x"), filepath.Join(dir, "absolute")))
	for name, want := range map[string]string{"cpu": "it leads to cpu,cpuacct", "file": "it is no symbolic link", "absolute": "it leads to " + dir} {
		if name == "file" {
			must(t, "writing", os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		}
		kept, err := Link{filepath.Join(dir, name), "y", Meaning{}}.Apply(t.Context())
		if kept || !errors.Is(err, ErrForeign) {
			t.Errorf("%s: kept is %v: %v", name, kept, err)
		}
		checkError(t, err, want)
	}
	_, err := Link{filepath.Join(dir, "missing/x"), "y", Meaning{}}.Apply(t.Context())
	checkError(t, err, "symlink "+dir+"/missing/x: no such file or directory")
}

func TestSet(t *testing.T) {
	dir := t.TempDir()
	a := Set{filepath.Join(dir, "memory.use_hierarchy"), "1", Meaning{Lost: "x"}}
	if kept, err := a.Apply(t.Context()); !kept || err != nil {
		t.Errorf("a missing file: kept is %v: %v", kept, err)
	}
	if _, err := os.Stat(a.Path); err == nil {
		t.Error("the file was made")
	}
	must(t, "writing", os.WriteFile(a.Path, []byte("0\n"), 0o644))
	for i := range 2 {
		if kept, err := a.Apply(t.Context()); kept != (i == 1) || err != nil {
			t.Errorf("time %d: kept is %v: %v", i, kept, err)
		}
	}
	_, err := Set{dir, "1", Meaning{Lost: "x"}}.Apply(t.Context())
	checkError(t, err, "read "+dir+": is a directory; lost: x")
}

func TestActionsStopWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, a := range []Action{MountTmpfs{Target: "/"}, MountV1{Target: "/"}, MountV2{Target: "/"}, Link{}, Set{}, Unmount{}, Unshare{}, Reroot{}, Evacuate{}, EnableControllers{}} {
		if kept, err := a.Apply(ctx); kept || !errors.Is(err, context.Canceled) {
			t.Errorf("%T: kept is %v: %v", a, kept, err)
		}
	}
}
