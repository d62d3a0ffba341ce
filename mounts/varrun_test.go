package mounts

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestVarRun(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	symlink := func(t *testing.T, goal, path string) {
		t.Helper()
		if err := os.Symlink(goal, path); err != nil {
			t.Fatal(err)
		}
	}
	freeze := func(t *testing.T, path string) {
		t.Helper()
		mountAtTest(t, "", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	const isLink, isFolder = true, false
	for _, tc := range []struct {
		name string
		make func(t *testing.T, v VarRun, root string)
		kept bool
		link bool // what is there afterwards
		same bool // as Goal
	}{
		{"nothing", func(*testing.T, VarRun, string) {}, false, isLink, true},
		{"/var", func(t *testing.T, _ VarRun, root string) { mkdir(t, root+"/var") }, false, isLink, true},
		{
			"link", func(t *testing.T, v VarRun, root string) { mkdir(t, root+"/var"); symlink(t, v.Goal, v.Path) },
			true, isLink, true,
		},
		{
			"relative link",
			func(t *testing.T, v VarRun, root string) { mkdir(t, root+"/var"); symlink(t, "../run", v.Path) },
			true, isLink, true,
		},
		{
			"link before its goal is made", func(t *testing.T, v VarRun, root string) {
				mkdir(t, root+"/var")
				symlink(t, "../run/.", v.Path)
				if err := os.Remove(v.Goal); err != nil {
					t.Fatal(err)
				}
			}, true, isLink, false,
		},
		{
			"link through another", func(t *testing.T, v VarRun, root string) {
				mkdir(t, root+"/var")
				symlink(t, v.Goal, root+"/other")
				symlink(t, root+"/other", v.Path)
			}, true, isLink, true,
		},
		{
			// Here the folder to replace would be the goal itself.
			"/var is the root", func(t *testing.T, _ VarRun, root string) { symlink(t, ".", root+"/var") },
			true, isFolder, true,
		},
		{"empty folder", func(t *testing.T, v VarRun, _ string) { mkdir(t, v.Path) }, false, isLink, true},
		{
			"bound already", func(t *testing.T, v VarRun, _ string) {
				mountAtTest(t, v.Goal, mkdir(t, v.Path), "", unix.MS_BIND, "")
			}, true, isFolder, true,
		},
		{"folder with files", func(t *testing.T, v VarRun, _ string) { write(t, mkdir(t, v.Path)+"/mine", "mine") }, true, isFolder, false},
		{
			"secret in it", func(t *testing.T, v VarRun, _ string) {
				mountAtTest(t, "x", mkdir(t, v.Path+"/secrets"), "tmpfs", 0, "")
			}, true, isFolder, false,
		},
		{
			"volume", func(t *testing.T, v VarRun, _ string) { mountAtTest(t, "x", mkdir(t, v.Path), "tmpfs", 0, "") },
			true, isFolder, false,
		},
		{
			"empty folder, read-only root", func(t *testing.T, v VarRun, root string) {
				mkdir(t, v.Path)
				mountAtTest(t, "x", v.Goal, "tmpfs", 0, "")
				freeze(t, root)
			}, false, isFolder, true,
		},
		{
			"folder with files, read-only root", func(t *testing.T, v VarRun, root string) {
				write(t, mkdir(t, v.Path)+"/mine", "mine")
				mountAtTest(t, "x", v.Goal, "tmpfs", 0, "")
				freeze(t, root)
			}, false, isFolder, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := scratch(t)
			v := VarRun{Path: root + "/var/run", Goal: mkdir(t, root+"/run")}
			tc.make(t, v, root)
			var hadFile bool
			if _, err := os.Stat(v.Path + "/mine"); err == nil {
				hadFile = true
			}
			apply(t, v, tc.kept)
			st, err := os.Lstat(v.Path)
			if err != nil || (st.Mode()&os.ModeSymlink != 0) != tc.link || same(v.Path, v.Goal) != tc.same {
				t.Errorf("afterwards: %v, %v; the same: %v", st, err, same(v.Path, v.Goal))
			}
			apply(t, v, true)
			if hadFile {
				// It may be hidden, but not gone.
				if err := unix.Unmount(v.Path, 0); err != nil && err != unix.EINVAL {
					t.Fatal(err)
				}
				if text, err := os.ReadFile(v.Path + "/mine"); err != nil || string(text) != "mine" {
					t.Errorf("the file: %q, %v", text, err)
				}
			}
		})
	}

	for _, tc := range []struct {
		name  string
		make  func(t *testing.T, v VarRun, root string)
		kind  error
		parts []string
	}{
		{
			"link to somewhere else", func(t *testing.T, v VarRun, root string) {
				mkdir(t, root+"/var")
				symlink(t, mkdir(t, root+"/else"), v.Path)
			}, ErrForeign, []string{"/else"},
		},
		{
			"dangling link", func(t *testing.T, v VarRun, root string) { mkdir(t, root+"/var"); symlink(t, "/nowhere", v.Path) },
			ErrForeign, []string{"/nowhere"},
		},
		{
			"file", func(t *testing.T, v VarRun, root string) { mkdir(t, root+"/var"); write(t, v.Path, "") },
			ErrNoTarget, []string{"a file stands there"},
		},
		{
			"/var is a file", func(t *testing.T, _ VarRun, root string) { write(t, root+"/var", "") },
			ErrNoTarget, []string{"a file stands there"},
		},
		{
			"nothing, read-only root", func(t *testing.T, _ VarRun, root string) { mkdir(t, root+"/var"); freeze(t, root) },
			ErrReadOnlyRoot, []string{"in the image"},
		},
		{
			"no /var, read-only root", func(t *testing.T, _ VarRun, root string) { freeze(t, root) },
			ErrReadOnlyRoot, []string{"make the parent folder"},
		},
		{
			"secret in it, read-only root", func(t *testing.T, v VarRun, root string) {
				mountAtTest(t, "x", mkdir(t, v.Path+"/secrets"), "tmpfs", 0, "")
				freeze(t, root)
			}, ErrReadOnly, []string{"would be hidden"},
		},
		{
			"read-only volume", func(t *testing.T, v VarRun, _ string) {
				mountAtTest(t, "x", mkdir(t, v.Path), "tmpfs", unix.MS_RDONLY, "")
			}, ErrReadOnly, nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := scratch(t)
			v := VarRun{Path: root + "/var/run", Goal: mkdir(t, root+"/run")}
			tc.make(t, v, root)
			refused(t, v, tc.kind, append(tc.parts, v.Path, "without it")...)
		})
	}
}
