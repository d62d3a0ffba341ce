package rootfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestBuildMissing(t *testing.T) {
	for path, want := range map[string][]string{
		"usr/bin/dockerd":                                {"dockerd", "docker.io", "usr/sbin/dockerd"},
		"usr/sbin/xtables-legacy-multi":                  {"iptables (legacy)", "iptables"},
		"usr/lib/git-core/git-remote-http":               {"git-remote-https", "git"},
		"usr/lib/x86_64-linux-gnu/xtables/libxt_some.so": {"iptables plug-ins", "libxt_*.so"},
		"usr/share/ca-certificates/mozilla/some.crt":     {"ca-certificates.crt", "ca-certificates"},
	} {
		t.Run(path, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "tree")
			_, err := Build(context.Background(), Options{Packages: packageFolder(t, path), Out: out, Git: true})
			var e *MissingProgramError
			if !errors.As(err, &e) {
				t.Fatalf("got %v; want a MissingProgramError", err)
			}
			wantError(t, err, want...)
			if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a tree all the same: %v", err)
			}
		})
	}
	folder := packageFolder(t)
	_, err := Build(context.Background(), Options{Packages: folder, Out: filepath.Join(t.TempDir(), "tree"), Launcher: "/nonexistent/launcher"})
	wantError(t, err, "/nonexistent/launcher", "build it first")
	_, err = Build(context.Background(), Options{Packages: "/nonexistent", Out: filepath.Join(t.TempDir(), "tree")})
	wantError(t, err, "/nonexistent", "scripts/fetch-packages")
}

// A failure leaves the tree that was there.
func TestBuildKeepsOldTree(t *testing.T) {
	folder := packageFolder(t)
	o := Options{Packages: folder, Out: filepath.Join(t.TempDir(), "tree")}
	build(t, o)
	before := listing(t, o.Out)
	if err := os.Remove(filepath.Join(folder, "procps_1.0-1_amd64.deb")); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(context.Background(), o); err == nil {
		t.Fatal("a tree without ps was built")
	}
	if diff := cmp.Diff(before, listing(t, o.Out)); diff != "" {
		t.Errorf("the old tree changed:\n%s", diff)
	}
}

func TestBuildAfterInterruption(t *testing.T) {
	folder := packageFolder(t)
	o := Options{Packages: folder, Out: filepath.Join(t.TempDir(), "tree")}
	want := listing(t, func() string { build(t, o); return o.Out }())
	for name, interrupt := range map[string]func() error{
		"while writing":  func() error { return os.MkdirAll(filepath.Join(o.Out+".new", "usr", "half"), 0o755) },
		"while swapping": func() error { return (&Manifest{}).save(o.Out) },
		"between moving": func() error { return errors.Join((&Manifest{}).save(o.Out), os.Rename(o.Out, o.Out+".old")) },
	} {
		if err := errors.Join(interrupt(), os.RemoveAll(filepath.Join(o.Out, "usr/bin/ps"))); err != nil {
			t.Fatal(err)
		}
		build(t, o)
		if diff := cmp.Diff(want, listing(t, o.Out)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, left := range []string{".new", ".old"} {
			if _, err := os.Lstat(o.Out + left); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is left", name, left)
			}
		}
	}
}

func TestBuildRefusesForeignFolder(t *testing.T) {
	out := t.TempDir()
	mine := filepath.Join(out, "thesis.txt")
	if err := os.WriteFile(mine, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Build(context.Background(), Options{Packages: packageFolder(t), Out: out})
	wantError(t, err, out, "not built here")
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

// Removing a tree would remove what is mounted below it.
func TestBuildRefusesMounted(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	folder := packageFolder(t)
	o := Options{Packages: folder, Out: filepath.Join(t.TempDir(), "tree")}
	build(t, o)
	precious := t.TempDir()
	if err := os.WriteFile(filepath.Join(precious, "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	point := filepath.Join(o.Out, "var/lib")
	if err := unix.Mount(precious, point, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(point, unix.MNT_DETACH)
	other := o
	other.Git = true
	_, err := Build(context.Background(), other)
	wantError(t, err, "in use", point)
	if _, err := os.Stat(filepath.Join(precious, "data")); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(point, 0); err != nil {
		t.Fatal(err)
	}
	if r := build(t, o); !r.Kept {
		t.Error("the tree that could not be replaced was not left as it was")
	}
	build(t, other)
}

// The manifest must never speak of another tree than the one that is there.
func TestBuildWithoutManifest(t *testing.T) {
	o := Options{Packages: packageFolder(t), Out: filepath.Join(t.TempDir(), "tree")}
	build(t, o)
	before := listing(t, o.Out)
	blocker := ManifestPath(o.Out) + ".new"
	if err := os.Mkdir(blocker, 0o755); err != nil {
		t.Fatal(err)
	}
	other := o
	other.Git = true
	_, err := Build(context.Background(), other)
	wantError(t, err, blocker)
	if diff := cmp.Diff(before, listing(t, o.Out)); diff != "" {
		t.Errorf("the tree was exchanged before its manifest could be written:\n%s", diff)
	}
}

// The tree's time is that of the newest file in the packages that are used, so that it does not depend on when it was built.
func TestBuildTime(t *testing.T) {
	folder := packageFolder(t)
	newer, newest := file("./usr/bin/ps", "ps"), file("./usr/bin/unused", "x")
	newer.ModTime, newest.ModTime = testTime.Add(time.Hour), testTime.Add(2*time.Hour)
	putDeb(t, folder, "procps", newer)
	putDeb(t, folder, "unused", newest)
	m := build(t, Options{Packages: folder, Out: filepath.Join(t.TempDir(), "tree")}).Manifest
	if want := newer.ModTime.Unix(); m.Epoch != want {
		t.Errorf("the time is %d; want %d", m.Epoch, want)
	}
	for _, a := range m.Archives {
		if a.Name == "unused" {
			t.Error("the manifest names a package that nothing comes from")
		}
	}
}

// Two builds at once must not disturb each other.
func TestBuildAtOnce(t *testing.T) {
	folder := packageFolder(t)
	out := filepath.Join(t.TempDir(), "tree")
	errs := make(chan error)
	for i := range 3 {
		go func() {
			_, err := Build(context.Background(), Options{Packages: folder, Out: out, Git: i%2 == 0})
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if m, err := ReadManifest(out); err != nil || !unchanged(m.Nodes, out, m.Epoch) {
		t.Errorf("the tree is not what its manifest says: %v", err)
	}
}
