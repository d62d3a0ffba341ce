package mounts

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// A process with another PID namespace than that of its /proc.
func TestForeignProc(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	proc := want(t, "/proc")
	apply(t, proc, true)
	// The proc of the outer namespace lies under the one that was mounted for this test.
	if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	refused(t, proc, ErrForeign, "PID namespace", "unshare")
}

// Without any capability, as in a container without --privileged.
func TestNotPermitted(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := scratch(t)
	target := mkdir(t, dir+"/target")
	closed := mkdir(t, dir+"/closed")
	if err := errors.Join(os.Chmod(closed, 0), os.Chown(closed, 1, 1)); err != nil {
		t.Fatal(err)
	}
	// Capabilities belong to the thread; the test keeps it until the process ends.
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had, none [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		t.Fatal(err)
	}
	for n := range none {
		none[n].Permitted = had[n].Permitted
	}
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Capset(&header, &had[0]); err != nil {
			t.Error(err)
		}
	})
	m := Mount{Source: "tmpfs", Target: target, FSType: "ramfs", Lost: "a test fails"}
	refused(t, m, ErrNotPermitted, "operation not permitted", "--privileged", "CAP_SYS_ADMIN", "a test fails")
	refused(t, m, unix.EPERM)
	m.Target = closed + "/x"
	refused(t, m, ErrNotPermitted, "look at")
	m.Target = "/proc/x"
	if err := m.makeTarget(State{Path: closed + "/x"}); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("making a folder in a closed one: %v", err)
	}
	refused(t, Device{Path: dir + "/null", Major: 1, Minor: 3}, ErrNotPermitted, "1:3", "CAP_MKNOD")
	refused(t, Device{Path: closed + "/null", Major: 1, Minor: 3}, ErrNotPermitted, "look at")
	refused(t, Link{Path: closed + "/x", Goal: "y"}, ErrNotPermitted, "look at")
	refused(t, VarRun{closed + "/x", dir}, ErrNotPermitted, "look at")
	refused(t, Propagation{"/"}, ErrNotPermitted, "rec,shared")
}
