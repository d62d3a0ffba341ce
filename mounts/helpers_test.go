package mounts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// action is what the caller of this package sees of every type that has an Apply.
type action interface {
	Apply(ctx context.Context) (kept bool, err error)
	String() string
}

var (
	_ action = Mount{}
	_ action = Device{}
	_ action = Link{}
	_ action = VarRun{}
	_ action = Propagation{}
)

// mountAtTest mounts for a test, without the code under test.
func mountAtTest(t testing.TB, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mounting %s at %s (%s): %v", fstype, target, data, err)
	}
}

// scratch gives an empty folder on a tmpfs of its own. The mount goes with the namespace.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mountAtTest(t, "tmpfs", dir, "tmpfs", 0, "mode=0755")
	t.Cleanup(func() {
		// A test may have mounted more on it. EINVAL says that it is no mount point any more.
		var err error
		for err == nil {
			err = unix.Unmount(dir, unix.MNT_DETACH)
		}
		if err != unix.EINVAL {
			t.Errorf("unmounting the scratch folder: %v", err)
		}
	})
	return dir
}

func mkdir(t testing.TB, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// enterEmptyRoot makes an empty tmpfs the root of this process and all its threads. It moves the mount and changes the root,
// because pivot_root(2) is refused where the root is the kernel's rootfs.
func enterEmptyRoot(t testing.TB) {
	t.Helper()
	dir := os.TempDir()
	mountAtTest(t, "tmpfs", dir, "tmpfs", 0, "mode=0755")
	if err := unix.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	mountAtTest(t, ".", "/", "", unix.MS_MOVE, "")
	if err := errors.Join(unix.Chroot("."), unix.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/")
	if err != nil || len(entries) > 0 {
		t.Fatalf("the root is not empty: %v, %v", entries, err)
	}
}

func apply(t testing.TB, a action, wantKept bool) {
	t.Helper()
	before := stands(a)
	kept, err := a.Apply(t.Context())
	if err != nil {
		t.Errorf("%s: %v", a, err)
		return
	}
	if kept != wantKept {
		t.Errorf("%s: kept is %v", a, kept)
	}
	// A folder of its own at /var/run is kept too, without being the same.
	if _, loose := a.(VarRun); before && !kept || kept && !before && !loose {
		t.Errorf("%s: Stands said %v, kept is %v", a, before, kept)
	}
}

// stands tells beforehand whether an action is going to keep what is there.
func stands(a action) bool {
	switch a := a.(type) {
	case Device:
		return a.Stands()
	case Link:
		return a.Stands()
	case VarRun:
		return a.Stands()
	case Mount:
		info, err := readIfMounted()
		if err != nil {
			return false
		}
		s, err := Observe(a.Target, info)
		d := a.Decide(s)
		return err == nil && (d.Outcome == OutcomeKeep || d.Outcome == OutcomeSkip)
	case Propagation:
		shared, err := a.shared()
		return err == nil && shared
	}
	return false
}

func refused(t testing.TB, a action, kind error, parts ...string) {
	t.Helper()
	kept, err := a.Apply(t.Context())
	if kept || !errors.Is(err, kind) {
		t.Errorf("%s: kept %v, error %v, want %v", a, kept, err, kind)
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || strings.Contains(e.Error(), "\n") {
		t.Errorf("%s: error %T: %v", a, err, err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(e.Error(), part) {
			t.Errorf("%s: %q does not say %q", a, e, part)
		}
	}
	t.Log(e)
}
