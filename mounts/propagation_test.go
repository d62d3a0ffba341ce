package mounts

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestPropagation(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := scratch(t)
	mountAtTest(t, "x", mkdir(t, dir+"/a"), "tmpfs", 0, "")
	mountAtTest(t, "x", mkdir(t, dir+"/a/b"), "tmpfs", 0, "")
	check := func(path string, want bool) {
		t.Helper()
		info, err := Read()
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := info.At(path); !ok || e.Shared() != want {
			t.Errorf("%s: %+v, %v; shared should be %v", path, e, ok, want)
		}
	}
	check(dir, false)
	p := Propagation{dir}
	apply(t, p, false)
	for _, path := range []string{dir, dir + "/a", dir + "/a/b"} {
		check(path, true)
	}
	check("/", false)
	apply(t, p, true)

	// A mount on a shared one is shared, so the second run of a table keeps it; one that was made private is not.
	mountAtTest(t, "x", mkdir(t, dir+"/later"), "tmpfs", 0, "")
	check(dir+"/later", true)
	apply(t, p, true)
	mountAtTest(t, "", dir+"/a/b", "", unix.MS_PRIVATE, "")
	apply(t, p, false)
	check(dir+"/a/b", true)
	mountAtTest(t, "", dir, "", unix.MS_UNBINDABLE, "")
	apply(t, p, false)
	check(dir, true)

	refused(t, Propagation{mkdir(t, dir+"/folder")}, ErrNotMountPoint, "rec,shared", "pivot_root")
	refused(t, Propagation{dir + "/missing"}, ErrNotMountPoint)
	refused(t, Unshared{Propagation{mkdir(t, dir+"/other")}}, ErrNotMountPoint, "rec,shared", "pivot_root")

	// A mount that receives from a peer group goes on receiving.
	mountAtTest(t, "", dir, "", unix.MS_REC|unix.MS_SLAVE, "")
	apply(t, p, false)
	check(dir, true)
	apply(t, Unshared{Propagation{"/"}}, false)
	apply(t, Propagation{"/"}, true)
}

func TestPropagationInChroot(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := mkdir(t, scratch(t)+"/root")
	mountAtTest(t, "proc", mkdir(t, dir+"/proc"), "proc", 0, "")
	outer, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	if err := errors.Join(unix.Chroot(dir), unix.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	defer func() { // what cleans up needs the old paths
		if err := errors.Join(outer.Chdir(), unix.Chroot(".")); err != nil {
			t.Error(err)
		}
	}()
	refused(t, Propagation{"/"}, ErrNotMountPoint, "chroot")

	// What is mounted over the root is not seen by those who have that root, which is noticed.
	hidden := Mount{Source: "tmpfs", Target: "/", FSType: "tmpfs"}
	if err := unix.Unmount("/proc", 0); err != nil { // else it would be refused for what it hides
		t.Fatal(err)
	}
	refused(t, hidden, ErrForeign, "not what is seen there now")
}
