package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func build(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Build(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// listing describes a tree: one line each, with kind, mode, owner, time, and content or target.
func listing(t *testing.T, tree string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(tree, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		what := ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			what, err = hashFile(name)
		case unix.S_IFLNK:
			what, err = os.Readlink(name)
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, name)
		out[rel] = fmt.Sprintf("%o %d:%d %d %s", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, what)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func inode(t *testing.T, name string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// launcherFile writes something that is not linked dynamically.
func launcherFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "launcher")
	if err := os.WriteFile(name, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestBuild(t *testing.T) {
	folder := packageFolder(t)
	out := filepath.Join(t.TempDir(), "deep", "tree")
	o := Options{Packages: folder, Out: out, Git: true, Launcher: launcherFile(t, "launcher")}
	r := build(t, o)
	if r.Kept {
		t.Error("a tree that was not there was kept")
	}
	got := listing(t, out)
	at := testTime.Unix()
	owner := fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	for name, want := range map[string]string{
		".": fmt.Sprintf("40755 %s %d ", owner, at), "tmp": fmt.Sprintf("41777 %s %d ", owner, at),
		"root": fmt.Sprintf("40700 %s %d ", owner, at), "proc": fmt.Sprintf("40755 %s %d ", owner, at), "var/lib": fmt.Sprintf("40755 %s %d ", owner, at),
		"bin": fmt.Sprintf("120777 %s %d usr/bin", owner, at), "lib64": fmt.Sprintf("120777 %s %d usr/lib64", owner, at),
		"usr/sbin/iptables":        fmt.Sprintf("120777 %s %d xtables-nft-multi", owner, at),
		"usr/sbin/iptables-legacy": fmt.Sprintf("120777 %s %d xtables-legacy-multi", owner, at),
		"usr/lib/git-core/git":     fmt.Sprintf("120777 %s %d ../../bin/git", owner, at),
		"usr/bin/sh":               fmt.Sprintf("120777 %s %d dash", owner, at),
	} {
		if got[name] != want {
			t.Errorf("%s is %q; want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"usr/bin/dockerd", "usr/bin/dockerlaunch", "usr/bin/ssh", "usr/share/git-core/templates", CertificateBundle} {
		if got[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "etc/") && !strings.HasPrefix(name, "etc/ssl") {
			t.Errorf("/%s is the launcher's to make", name)
		}
	}

	t.Run("the same again gives the same bytes", func(t *testing.T) {
		again := o
		again.Out = filepath.Join(t.TempDir(), "tree")
		again.Packages = packageFolder(t) // other files, other times on disk, the same content
		build(t, again)
		if diff := cmp.Diff(got, listing(t, again.Out)); diff != "" {
			t.Errorf("two builds differ (-first +second):\n%s", diff)
		}
	})
	t.Run("nothing is done where nothing changed", func(t *testing.T) {
		before := inode(t, out)
		made := filepath.Join(out, "etc", "passwd") // as a launcher does
		if err := os.WriteFile(made, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if r := build(t, o); !r.Kept || r.Manifest.Stamp == "" {
			t.Error("the tree was not kept")
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		if inode(t, out) != before {
			t.Error("the tree was exchanged")
		}
		if _, err := os.Stat(made); err != nil {
			t.Error(err)
		}
	})
	t.Run("only the launcher changed", func(t *testing.T) {
		before := inode(t, out)
		o := o
		o.Launcher = launcherFile(t, "another launcher")
		if r := build(t, o); r.Kept {
			t.Error("the launcher was not replaced")
		}
		if inode(t, out) != before {
			t.Error("the whole tree was exchanged")
		}
		content, err := os.ReadFile(filepath.Join(out, LauncherPath))
		if err != nil || string(content) != "another launcher" {
			t.Errorf("the launcher is %q, %v", content, err)
		}
		if r := build(t, o); !r.Kept {
			t.Error("the launcher was replaced twice")
		}
		fresh := o
		fresh.Out = filepath.Join(t.TempDir(), "tree")
		build(t, fresh)
		replaced := listing(t, out)
		delete(replaced, "etc/passwd")
		whole := listing(t, fresh.Out)
		delete(replaced, "etc") // its time is that of the file that was made in it
		delete(whole, "etc")
		if diff := cmp.Diff(whole, replaced); diff != "" {
			t.Errorf("it differs from a tree that was built at once (-want +got):\n%s", diff)
		}
	})
	t.Run("a launcher that needs libraries", func(t *testing.T) {
		o := o
		o.Launcher = dynamicProgram(t) // which the packages do not have
		_, err := Build(context.Background(), o)
		var e *MissingLibraryError
		if !errors.As(err, &e) || e.NeededBy != LauncherPath {
			t.Errorf("got %v; want a MissingLibraryError", err)
		}
	})
	t.Run("what was damaged is built anew", func(t *testing.T) {
		retarget := func(string) error {
			name := filepath.Join(out, "usr/sbin/iptables")
			return errors.Join(os.Remove(name), os.Symlink("xtables-legacy-multi", name))
		}
		for name, damage := range map[string]func(string) error{
			"another target": retarget,
			"removed":        os.Remove,
			"changed":        func(name string) error { return os.WriteFile(name, []byte("x"), 0o755) },
			"mode":           func(name string) error { return os.Chmod(name, 0o600) },
			"longer": func(name string) error {
				at := time.Unix(at, 0)
				return errors.Join(os.WriteFile(name, []byte("longer than before"), 0o755), os.Chtimes(name, at, at))
			},
			"touched": func(name string) error { return os.Chtimes(name, time.Now(), time.Now()) },
			"folder":  func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) },
			"link":    func(name string) error { return errors.Join(os.Remove(name), os.Symlink("ps", name)) },
		} {
			if err := damage(filepath.Join(out, "usr/bin/xz")); err != nil {
				t.Fatal(err)
			}
			if r := build(t, o); r.Kept {
				t.Errorf("%s: the tree was kept", name)
			}
			if diff := cmp.Diff(got, listing(t, out)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
	t.Run("other wishes", func(t *testing.T) {
		for _, change := range []func(*Options){
			func(o *Options) { o.Git = false }, func(o *Options) { o.Epoch = 5 }, func(o *Options) { o.Builder = "newer" }, func(o *Options) { o.Launcher = "" },
		} {
			o := o
			change(&o)
			if r := build(t, o); r.Kept {
				t.Errorf("%+v: the tree was kept", o)
			}
		}
		o := o
		o.Git, o.Launcher, o.Epoch = false, "", 5
		build(t, o)
		for name, line := range listing(t, out) {
			if !strings.Contains(line, " 5 ") {
				t.Errorf("%s has another time than asked for: %s", name, line)
			}
			for _, word := range []string{"git", "ssh", "dash", "bin/sh", "bin/sed", "basename", "dockerlaunch"} {
				if strings.HasSuffix(name, word) {
					t.Errorf("%s is in a tree without git and launcher", name)
				}
			}
		}
	})
}

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
