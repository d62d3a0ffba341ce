package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// absentOnly allows the errors about controllers that this system's cgroup2 does not have.
func absentOnly(a Action, err error) bool {
	_, ok := a.(EnableControllers)
	return ok && errors.Is(err, ErrNoController)
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
	if on, kind := read(t, other, "cgroup.subtree_control"), read(t, other, "cgroup.type"); on != "" || kind != "domain" {
		t.Errorf("its type is %s, and %q are on", kind, on)
	}
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
	// The leaf cannot be made, so that a mistake here does not move everybody's processes.
	if kept, err := (Evacuate{Dir: f.Unified.Target, Leaf: "missing/leaf"}).Apply(t.Context()); !kept || err != nil {
		t.Errorf("Evacuate at the root of the hierarchy: kept is %v: %v", kept, err)
	}
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
