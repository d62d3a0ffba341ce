package cgroups

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// absentOnly allows the errors about controllers that this system's cgroup2 does not have.
func absentOnly(a Action, err error) bool {
	_, ok := a.(EnableControllers)
	return ok && errors.Is(err, ErrNoController)
}

// TestEvacuate is a container without mounts, in which some processes run already.
func TestEvacuate(t *testing.T) {
	if dir, ok := insideBox(t); ok {
		evacuateInside(t, dir)
		return
	}
	runInBox(t, newBox(t), unix.CLONE_NEWPID)
}

func evacuateInside(t *testing.T, dir string) {
	var pids []int
	for range 3 {
		pids = append(pids, helper(t, "wait", dir).Process.Pid)
	}
	helper(t, "fork", dir)
	clear(t)
	enter(t)

	actions, _ := plan(t, WantV2, container)
	if len(actions) != 3 {
		t.Fatal(lines(actions))
	}
	if kept := apply(t, actions, absentOnly); kept != 0 {
		t.Errorf("%d actions kept what was not there", kept)
	}
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if f.Mode != V2 || !f.OwnRoot(DefaultLeaf) || f.UnifiedPath() != "/init" || f.Unified.Processes != 0 {
		t.Errorf("after evacuation: %+v", f)
	}
	if !slices.Equal(f.Unified.SubtreeControl, f.Unified.Controllers) || len(f.Unified.Controllers) == 0 {
		t.Errorf("of the controllers %v only %v are on", f.Unified.Controllers, f.Unified.SubtreeControl)
	}
	in, err := readPIDs("/sys/fs/cgroup/init")
	must(t, "reading", err)
	for _, pid := range append(pids, os.Getpid()) {
		if !slices.Contains(in, pid) {
			t.Errorf("process %d is not in init, where there are %v", pid, in)
		}
	}
	// What it is all for: a cgroup below has the controllers, and takes processes.
	group := newGroup(t, "/sys/fs/cgroup")
	if got := strings.Fields(read(t, group, "cgroup.controllers")); !slices.Equal(got, f.Unified.Controllers) {
		t.Errorf("a cgroup below has the controllers %v", got)
	}
	helper(t, "wait", group)

	// Again: nothing is left to do, and what is planned by then is kept.
	if kept := apply(t, actions, absentOnly); kept < 2 {
		t.Errorf("only %d of the actions were kept", kept)
	}
	actions, _ = plan(t, WantAuto, container)
	if kept := apply(t, actions, nil); kept != len(actions) || len(actions) != 2 {
		t.Errorf("%d of %v were kept", kept, lines(actions))
	}
}

// TestEnableControllersNames wants an error for each controller that is missing, with what is lost.
func TestEnableControllersNames(t *testing.T) {
	box := newBox(t)
	a := EnableControllers{Dir: box, Expect: []string{"bogus"}}
	for range 2 {
		kept, err := a.Apply(t.Context())
		var e *Error
		if kept || !errors.As(err, &e) || !errors.Is(err, ErrNoController) || e.Lost != "what the controller bogus does" {
			t.Errorf("kept is %v: %v", kept, err)
		}
	}
	if on, all := read(t, box, "cgroup.subtree_control"), read(t, box, "cgroup.controllers"); on != all {
		t.Errorf("of %q only %q are on", all, on)
	}
	// A process makes the kernel refuse, which is for Evacuate to prevent.
	other := newBox(t)
	helper(t, "wait", other)
	_, err := EnableControllers{Dir: other}.Apply(t.Context())
	if !errors.Is(err, ErrBusy) || !errors.Is(err, unix.EBUSY) {
		t.Error(err)
	}
	checkError(t, err, other+" holds processes itself")
}

// TestEnableControllersLeavesTheHost wants the root of the hierarchy left alone from inside of a container that sees it.
func TestEnableControllersLeavesTheHost(t *testing.T) {
	newBox(t)
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if !f.Unified.HierarchyRoot || !f.InitialNamespace() {
		t.Skip("the root of the hierarchy is not to be seen here")
	}
	kept, err := EnableControllers{Dir: f.Unified.Target, Nested: true}.Apply(t.Context())
	if kept || !errors.Is(err, ErrHost) {
		t.Errorf("kept is %v: %v", kept, err)
	}
	if kept, err := (Evacuate{Dir: f.Unified.Target, Leaf: DefaultLeaf}).Apply(t.Context()); !kept || err != nil {
		t.Errorf("Evacuate at the root of the hierarchy: kept is %v: %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(f.Unified.Target, DefaultLeaf)); err == nil {
		t.Error("Evacuate made a cgroup at the root of the hierarchy")
	}
}

// TestEvacuateRace evacuates while a runtime keeps putting processes into the cgroup, as docker exec does.
func TestEvacuateRace(t *testing.T) {
	box := newBox(t)
	helper(t, "fork", box)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			cmd := helperCommand(t, "wait", box)
			if err := cmd.Start(); err != nil {
				done <- err
				return
			}
			t.Cleanup(func() { stop(cmd) })
			if i == 3 {
				close(ready)
			}
			if i == 200 {
				done <- errors.New("the cgroup still takes processes")
				return
			}
		}
	}()
	<-ready
	kept, err := Evacuate{Dir: box, Leaf: DefaultLeaf}.Apply(t.Context())
	if kept || err != nil {
		t.Errorf("kept is %v: %v", kept, err)
	}
	// The last process that gets in came before the controller was switched on; after that the kernel refuses.
	if err := <-done; !errors.Is(err, unix.EBUSY) {
		t.Errorf("the process that came last: %v", err)
	}
	if pids, err := readPIDs(box); len(pids) != 0 || err != nil {
		t.Errorf("%v are left, %v", pids, err)
	}
}

// TestEvacuateBound has a process in the container's cgroup that is not of the container's PID namespace, as a runtime that
// joins the cgroup first and the other namespaces later: it cannot be moved.
func TestEvacuateBound(t *testing.T) {
	if dir, ok := insideBox(t); ok {
		a := Evacuate{Dir: dir, Leaf: DefaultLeaf, Tries: 3, Meaning: Meaning{Lost: "limits"}}
		start := time.Now()
		kept, err := a.Apply(t.Context())
		var e *Error
		if kept || !errors.As(err, &e) || !errors.Is(err, ErrStuck) {
			t.Fatalf("kept is %v: %v", kept, err)
		}
		if len(e.Stuck) != 2 || e.Stuck[0].PID != 0 || e.Stuck[1].PID != 0 {
			t.Errorf("the processes that stay are %v", e.Stuck)
		}
		checkError(t, err, "move "+dir+": processes stay in the cgroup: after 3 tries: 0 (outside of this PID namespace), 0 (outside of this PID namespace); lost: limits; stop these")
		if in, err := readPIDs(filepath.Join(dir, DefaultLeaf)); err != nil || !slices.Contains(in, 1) {
			t.Errorf("this process was not moved: %v, %v", in, err)
		}
		// And time bounds it where tries do not.
		a.Tries, a.TimeoutMS = 1_000_000, 200
		start = time.Now()
		if _, err := a.Apply(t.Context()); !errors.Is(err, ErrStuck) || time.Since(start) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		return
	}
	box := newBox(t)
	first, second := helper(t, "wait", box), helper(t, "wait", box)
	runInBox(t, box, unix.CLONE_NEWPID)
	pids, err := readPIDs(box)
	if err != nil || !slices.Contains(pids, first.Process.Pid) || !slices.Contains(pids, second.Process.Pid) {
		t.Errorf("the processes outside did not stay: %v, %v", pids, err)
	}
}

// TestEvacuateNames is about the words for processes that stay. A process inside of the namespace that never can be moved does
// not exist on every kernel, so the last step is called on its own.
func TestEvacuateNames(t *testing.T) {
	box := newBox(t)
	cmd := helper(t, "wait", box)
	comm := read(t, "/proc", strconv.Itoa(cmd.Process.Pid), "comm")
	a := Evacuate{Dir: box, Leaf: DefaultLeaf}
	err := a.stuck(nil, 7)
	checkError(t, err, "after 7 tries: "+strconv.Itoa(cmd.Process.Pid)+" ("+comm+")")
	err = a.stuck([]Process{look(cmd.Process.Pid, unix.EINVAL), look(1, unix.EINVAL)}, 7)
	checkError(t, err, "after 7 tries: "+strconv.Itoa(cmd.Process.Pid)+" ("+comm+", invalid argument, it may have a real-time scheduling policy)")
	if strings.Contains(err.Error(), "1 (") && len(err.(*Error).Stuck) != 1 {
		t.Errorf("a process that has gone is named: %v", err)
	}
	stop(cmd)
	checkError(t, a.stuck([]Process{{PID: 77, Comm: "gone"}}, 7), "come and go: 77 (gone)")
	if comm, err := os.ReadFile("/proc/2/comm"); err == nil && string(comm) == "kthreadd\n" {
		if got := look(2, nil).String(); got != "2 (kthreadd, kernel thread)" {
			t.Error(got)
		}
	}
	var many []Process
	for i := range 12 {
		many = append(many, Process{PID: i + 1})
	}
	if got := describeAll(many); !strings.HasSuffix(got, ", 10, and 2 more") {
		t.Error(got)
	}
}

// TestEvacuateNotPermitted wants no waiting where nobody can be moved.
func TestEvacuateNotPermitted(t *testing.T) {
	box := newBox(t)
	leaf := filepath.Join(box, DefaultLeaf)
	must(t, "making the leaf", os.Mkdir(leaf, 0o755))
	cmd := helper(t, "wait", box)
	// For files alone, and for this thread alone, somebody else.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, "setfsuid", unix.Setfsuid(65534))
	start := time.Now()
	kept, err := Evacuate{Dir: box, Leaf: DefaultLeaf}.Apply(t.Context())
	must(t, "setfsuid", unix.Setfsuid(0))
	if kept || !errors.Is(err, unix.EACCES) || time.Since(start) > time.Second {
		t.Errorf("after %v: kept is %v: %v", time.Since(start), kept, err)
	}
	checkError(t, err, "move "+leaf+": permission denied: process "+strconv.Itoa(cmd.Process.Pid))
}

// TestEvacuateThreaded wants a cgroup of a type that cannot have controllers refused at once.
func TestEvacuateThreaded(t *testing.T) {
	box := newBox(t)
	inner := newGroup(t, box)
	write(t, "threaded", inner, "cgroup.type")
	helper(t, "wait", box)
	for _, dir := range []string{box, inner} {
		start := time.Now()
		kept, err := Evacuate{Dir: dir, Leaf: DefaultLeaf}.Apply(t.Context())
		if kept || !errors.Is(err, ErrThreaded) || time.Since(start) > time.Second {
			t.Errorf("after %v: kept is %v: %v", time.Since(start), kept, err)
		}
	}
	// Its parent is the root of a threaded subtree and keeps controllers such as memory from its children.
	if got := read(t, box, "cgroup.type"); got != "domain threaded" {
		t.Fatalf("the type is %q", got)
	}
	_, err := EnableControllers{Dir: box}.Apply(t.Context())
	if !errors.Is(err, ErrThreaded) || !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("switching controllers on: %v", err)
	}
}

func TestEvacuateStopsWithContext(t *testing.T) {
	box := newBox(t)
	if _, err := (Evacuate{Dir: filepath.Join(box, "missing"), Leaf: DefaultLeaf}).Apply(t.Context()); err == nil {
		t.Log("a missing cgroup counts as the root of the hierarchy")
	}
	ctx, cancel := contextWithCancel(t)
	cancel()
	helper(t, "wait", box)
	if kept, err := (Evacuate{Dir: box, Leaf: DefaultLeaf}).Apply(ctx); kept || !errors.Is(err, ctx.Err()) {
		t.Errorf("kept is %v: %v", kept, err)
	}
}

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

// sysAdmin takes CAP_SYS_ADMIN from the calling thread's effective set, and gives it back.
func sysAdmin(t *testing.T) (drop, restore func()) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	must(t, "capget", unix.Capget(&head, &had[0]))
	less := had
	less[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	return func() { must(t, "capset", unix.Capset(&head, &less[0])) }, func() { must(t, "capset", unix.Capset(&head, &had[0])) }
}

// TestMountV2 is about mount options, foreign filesystems and doing it again.
func TestMountV2(t *testing.T) {
	if dir, ok := insideBox(t); ok {
		clear(t)
		enter(t)
		_ = dir
		// The kernel ignores options that it knows outside of the initial namespace, and refuses the others.
		a := MountV2{Target: DefaultRoot, Options: []string{"nsdelegate", "no_such_option", "nor_this"}}
		if kept, err := a.Apply(t.Context()); kept || err != nil {
			t.Fatalf("kept is %v: %v", kept, err)
		}
		if kept, err := a.Apply(t.Context()); !kept || err != nil {
			t.Errorf("again: kept is %v: %v", kept, err)
		}
		m, err := mountedAt(DefaultRoot)
		must(t, "reading", err)
		if m.FSType != fsV2 || m.Options != "rw,nosuid,nodev,noexec,relatime" {
			t.Errorf("mounted is %+v", m)
		}

		other := scratch(t)
		a.Target = other
		must(t, "making a folder", os.Mkdir(filepath.Join(other, "somebody's"), 0o755))
		if kept, err := a.Apply(t.Context()); kept || !errors.Is(err, ErrForeign) {
			t.Errorf("a tmpfs that is in use: kept is %v: %v", kept, err)
		}
		must(t, "removing", os.Remove(filepath.Join(other, "somebody's")))
		if kept, err := a.Apply(t.Context()); kept || err != nil {
			t.Errorf("an empty tmpfs: kept is %v: %v", kept, err)
		}

		drop, restore := sysAdmin(t)
		drop()
		_, err = MountV2{Target: t.TempDir()}.Apply(t.Context())
		restore()
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("without CAP_SYS_ADMIN: %v", err)
		}
		checkError(t, err, "--privileged")
		return
	}
	runInBox(t, newBox(t), 0)
}
