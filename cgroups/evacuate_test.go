package cgroups

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
	if os.Getenv(machineVar) == "1" && (!slices.Contains(f.Unified.SubtreeControl, "memory") || !slices.Contains(f.Unified.SubtreeControl, "pids")) {
		t.Errorf("only %v are on", f.Unified.SubtreeControl)
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
	if again, _ := plan(t, WantAuto, container); len(again) != 0 {
		t.Errorf("still to do: %v", lines(again))
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
	if kind := read(t, box, "cgroup.type"); kind != "domain" {
		t.Errorf("its type is %s", kind)
	}
	if _, err := (EnableControllers{Dir: box}).Apply(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDomainsFirst(t *testing.T) {
	list := []string{"cpuset", "cpu", "io", "memory", "pids", "rdma"}
	got := strings.Join(domainsFirst(list), " ")
	if got != "io memory rdma cpuset cpu pids" || list[0] != "cpuset" {
		t.Errorf("%s, and the list is %v", got, list)
	}
}

// TestShutThreaded has only controllers that the kernel switches on beside processes.
func TestShutThreaded(t *testing.T) {
	box := newBox(t)
	outer := newGroup(t, box)
	var threads []string
	for _, c := range strings.Fields(read(t, box, "cgroup.controllers")) {
		if knowV2(c).threaded {
			threads = append(threads, c)
			write(t, "+"+c, box, "cgroup.subtree_control")
		}
	}
	if len(threads) == 0 {
		t.Skip("the cgroup2 of this system has no threaded controllers")
	}
	helper(t, "wait", outer)
	for range 2 {
		if done, err := shut(outer, true); done || err != nil {
			t.Errorf("done is %v: %v", done, err)
		}
		if on := read(t, outer, "cgroup.subtree_control"); on != "" {
			t.Errorf("%s is on", on)
		}
	}
	if kept, err := (Evacuate{Dir: outer, Leaf: DefaultLeaf}).Apply(t.Context()); kept || err != nil {
		t.Errorf("kept is %v: %v", kept, err)
	}
	if kept, err := (EnableControllers{Dir: outer}).Apply(t.Context()); kept != (len(threads) == 1) || err != nil {
		t.Errorf("kept is %v: %v", kept, err)
	}
	if on := read(t, outer, "cgroup.subtree_control"); on != strings.Join(threads, " ") {
		t.Errorf("only %s are on", on)
	}
}

// TestEvacuateBound has a process in the container's cgroup that is not of the container's PID namespace, as a runtime that
// joins the cgroup first and the other namespaces later: it cannot be moved.
func TestEvacuateBound(t *testing.T) {
	if dir, ok := insideBox(t); ok {
		a := Evacuate{Dir: dir, Leaf: DefaultLeaf, Tries: 3, Meaning: Meaning{Lost: "limits"}}
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
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		waiting := a
		waiting.Tries = 1_000_000
		if _, err := waiting.Apply(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrStuck) {
			t.Errorf("with a context that ends: %v", err)
		}
		// A 0 that is written would move this process, wherever it is.
		other := newGroup(t, dir)
		must(t, "moving", movePID(other, 1))
		if _, err := a.Apply(t.Context()); !errors.Is(err, ErrStuck) {
			t.Error(err)
		}
		if in, err := readPIDs(other); err != nil || !slices.Contains(in, 1) {
			t.Errorf("this process was moved: %v, %v", in, err)
		}
		must(t, "moving", movePID(filepath.Join(dir, DefaultLeaf), 1))
		// And time bounds it where tries do not.
		a.Tries, a.TimeoutMS = 1_000_000, 200
		start := time.Now()
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
	// A child has the name of its parent until it executes its program, of whose name the kernel keeps 15 bytes.
	program := filepath.Base(cmd.Path)
	comm := program[:min(len(program), 15)]
	for end := time.Now().Add(10 * time.Second); read(t, "/proc", strconv.Itoa(cmd.Process.Pid), "comm") != comm; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the helper is not executed as %s", comm)
		}
	}
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

// TestMoveGone has a process that ends before it is moved: 4194304 is the kernel's limit of PIDs.
func TestMoveGone(t *testing.T) {
	box := newBox(t)
	pid := helper(t, "wait", box).Process.Pid
	leaf := newGroup(t, box)
	stuck, err := moveAll(leaf, []int{4194303, pid})
	if len(stuck) != 0 || err != nil {
		t.Errorf("%v, %v", stuck, err)
	}
	if in, err := readPIDs(leaf); err != nil || !slices.Contains(in, pid) {
		t.Errorf("the other was not moved: %v, %v", in, err)
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
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	helper(t, "wait", box)
	if kept, err := (Evacuate{Dir: box, Leaf: DefaultLeaf}).Apply(ctx); kept || !errors.Is(err, ctx.Err()) {
		t.Errorf("kept is %v: %v", kept, err)
	}
}
