package kconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f with the rights to files of somebody without any, in a thread that ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and not unlocked: the thread ends with its changed rights
		if os.Geteuid() == 0 {
			for _, call := range []func(int) (int, error){unix.SetfsgidRetGid, unix.SetfsuidRetUid} {
				if _, err := call(65534); err != nil {
					t.Errorf("changing the rights to files: %v", err)
					return
				}
			}
		}
		f()
	}()
	<-done
}

func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, mode fs.FileMode) string {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, sample(t), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	first := write("boot/config-6.17.5", 0)
	for dir := root; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		if _, err := Read(first); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), first) {
			t.Errorf("a file that must not be read: %v", err)
		}
		if _, _, err := Find(root, "6.17.5"); !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a tree whose only configuration must not be read: %v", err)
		}
	})
	second := write("usr/lib/modules/6.17.5/config", 0o644)
	asNobody(t, func() {
		c, unread, err := Find(root, "6.17.5")
		if err != nil || c.Source != second || len(unread) != 1 || !errors.Is(unread[0], fs.ErrPermission) {
			t.Errorf("a tree with a second one: %v, %v, %v", c, unread, err)
		}
	})
}

func TestFind(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "config"), sample(t), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, sample(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var missing *NotFoundError
	if _, _, err := Find(root, "6.17.5"); !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &missing) || len(missing.Tried) < 5 {
		t.Errorf("an empty tree: %v", err)
	}
	put("proc/config.gz") // of the kernel that runs, not of the tree's
	put("boot/config-6.17.50")
	if err := os.Mkdir(filepath.Join(root, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(root, "lib/modules")); err != nil {
		t.Fatal(err)
	}
	if c, _, err := Find(root, "6.17.5"); err == nil {
		t.Errorf("another kernel's: %s", c.Source)
	}
	for _, release := range []string{"", "..", "../../etc", "/etc"} {
		if c, _, err := Find(root, release); err == nil {
			t.Errorf("release %q: %s", release, c.Source)
		}
	}
	// A link that leads out of the tree is not followed, and said.
	if err := os.Symlink(filepath.Join(elsewhere, "config"), filepath.Join(root, "boot/config-1.2.3")); err != nil {
		t.Fatal(err)
	}
	if c, _, err := Find(root, "1.2.3"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link out of the tree: %v, %v", c, err)
	}
	for _, name := range []string{"usr/src/linux-6.17.5/.config", "usr/lib/modules/6.17.5/config", "boot/config-6.17.5"} {
		put(name)
		if c, _, err := Find(root, "6.17.5"); err != nil || c.Source != filepath.Join(root, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
