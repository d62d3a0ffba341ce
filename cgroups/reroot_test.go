package cgroups

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// TestReroot is a privileged pod: the host's cgroup namespace, and the whole hierarchy mounted.
func TestReroot(t *testing.T) {
	if dir, ok := insideBox(t); ok {
		// Mount options of cgroup2 are for the whole system, and are changed by mounting it from the initial namespace: the
		// mount that is there is moved instead.
		clear2(t, dir, "/")
		rerootInside(t)
		return
	}
	runInBox(t, newBox(t), unix.CLONE_NEWPID)
}

// TestRerootBound is a pod that got its own cgroup bound.
func TestRerootBound(t *testing.T) {
	if dir, ok := insideBox(t); ok {
		clear2(t, dir, dir)
		rerootInside(t)
		return
	}
	runInBox(t, newBox(t), unix.CLONE_NEWPID)
}

// clear2 leaves one cgroup mount, at /sys/fs/cgroup: all of the hierarchy for the root /, or the box alone.
func clear2(t *testing.T, dir, root string) {
	t.Helper()
	from := dir
	if root == "/" {
		f, err := Observe(Paths{})
		must(t, "observing", err)
		from = f.Unified.Target
	}
	hold := scratch(t)
	must(t, "binding "+from, unix.Mount(from, hold, "", unix.MS_BIND, ""))
	for {
		m, err := mountedAt(DefaultRoot)
		must(t, "reading the mount table", err)
		if m == nil {
			break
		}
		must(t, "unmounting", unix.Unmount(DefaultRoot, unix.MNT_DETACH))
	}
	must(t, "moving the mount", unix.Mount(hold, DefaultRoot, "", unix.MS_MOVE, ""))
}

func rerootInside(t *testing.T) {
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if f.Mode != V2 || f.OwnRoot(DefaultLeaf) || !f.InitialNamespace() {
		t.Fatalf("this is no pod: %+v", f)
	}
	actions, warnings := plan(t, WantAuto, container)
	if len(actions) != 3 {
		t.Fatal(lines(actions), warnings)
	}

	// Without the capability nothing is changed, and the advice is another way.
	drop, restore := sysAdmin(t)
	drop()
	_, err = actions[0].Apply(t.Context())
	restore()
	if !errors.Is(err, unix.EPERM) {
		t.Fatalf("without CAP_SYS_ADMIN: %v", err)
	}
	checkError(t, err, "--cgroup-parent")
	after, err := Observe(Paths{})
	must(t, "observing", err)
	if encode(t, after.Mounts) != encode(t, f.Mounts) || after.Namespace != f.Namespace {
		t.Errorf("the failure changed %s to %s", encode(t, f.Mounts), encode(t, after.Mounts))
	}

	if kept := apply(t, actions, absentOnly); kept != 0 {
		t.Errorf("%d actions were kept", kept)
	}
	f, err = Observe(Paths{})
	must(t, "observing", err)
	if !f.OwnRoot(DefaultLeaf) || f.InitialNamespace() || f.UnifiedPath() != "/init" || f.Unified.HierarchyRoot {
		t.Errorf("after Reroot: %+v", f)
	}
	m, _ := f.unifiedMount()
	if m.Root != "/" || len(f.Mounts) != 1 {
		t.Errorf("the mounts are %+v", f.Mounts)
	}
	if !slices.Equal(f.Unified.SubtreeControl, f.Unified.Controllers) || len(f.Unified.Controllers) == 0 {
		t.Errorf("of the controllers %v only %v are on", f.Unified.Controllers, f.Unified.SubtreeControl)
	}
	table, err := readTable("/proc/thread-self/mountinfo")
	must(t, "reading the mount table", err)
	if n := strings.Count(fmt.Sprint(targets(table)), DefaultRoot); n != 1 {
		t.Errorf("there are %d mounts at %s", n, DefaultRoot)
	}
	// A child of this thread is in the namespace too: this is how a container manager is started.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperVar + "=wait"}
	must(t, "starting a child", cmd.Start())
	defer stop(cmd)
	ns, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "ns/cgroup"))
	if err != nil || ns != f.Namespace {
		t.Errorf("the child's namespace is %s, not %s: %v", ns, f.Namespace, err)
	}
	for _, a := range actions {
		if kept, err := a.Apply(t.Context()); !kept && !absentOnly(a, err) || err != nil && !absentOnly(a, err) {
			t.Errorf("%s, again: kept is %v: %v", a, kept, err)
		}
	}
}

func targets(table []*mountinfo.Info) (list []string) {
	for _, m := range table {
		list = append(list, m.Mountpoint)
	}
	return list
}

// sysAdmin takes CAP_SYS_ADMIN from the calling thread's effective set, and gives it back. The goroutine keeps the thread in
// between.
func sysAdmin(t *testing.T) (drop, restore func()) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	must(t, "capget", unix.Capget(&head, &had[0]))
	less := had
	less[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	drop = func() {
		runtime.LockOSThread()
		must(t, "capset", unix.Capset(&head, &less[0]))
	}
	restore = func() {
		must(t, "capset", unix.Capset(&head, &had[0]))
		runtime.UnlockOSThread()
	}
	return drop, restore
}
