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
