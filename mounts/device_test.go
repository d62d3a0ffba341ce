package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestDevices(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	t.Run("made and kept", func(t *testing.T) {
		unix.Umask(0o077)
		defer unix.Umask(0o022)
		dev := scratch(t)
		wanted := map[string]struct {
			major, minor uint32
			mode         os.FileMode
		}{
			"console": {5, 1, 0o600}, "tty": {5, 0, 0o666}, "null": {1, 3, 0o666}, "zero": {1, 5, 0o666}, "full": {1, 7, 0o666},
			"random": {1, 8, 0o666}, "urandom": {1, 9, 0o666}, "kmsg": {1, 11, 0o644},
		}
		for _, d := range Devices(dev) {
			apply(t, d, false)
			apply(t, d, true)
		}
		entries, err := os.ReadDir(dev)
		if err != nil || len(entries) != len(wanted) {
			t.Errorf("%v, %v", entries, err)
		}
		for name, w := range wanted {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(dev, name), &st); err != nil {
				t.Error(err)
				continue
			}
			if st.Mode != unix.S_IFCHR|uint32(w.mode) || uint64(st.Rdev) != unix.Mkdev(w.major, w.minor) {
				t.Errorf("%s: mode %#o, number %#x", name, st.Mode, st.Rdev)
			}
		}
		buf := make([]byte, 4)
		f, err := os.Open(dev + "/zero")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Read(buf); err != nil || string(buf) != "\x00\x00\x00\x00" {
			t.Errorf("zero gave %q, %v", buf, err)
		}
		if err := os.WriteFile(dev+"/full", buf, 0); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("full took it: %v", err)
		}
	})
	t.Run("another mode is kept", func(t *testing.T) {
		d := Device{Path: scratch(t) + "/null", Major: 1, Minor: 3, Mode: 0o666}
		if err := unix.Mknod(d.Path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		apply(t, d, true)
		if st, err := os.Stat(d.Path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	})
	t.Run("something else is there", func(t *testing.T) {
		d := Device{Path: scratch(t) + "/null", Major: 1, Minor: 3, Mode: 0o666}
		for _, tc := range []struct {
			what string
			make func() error
		}{
			{"a regular file", func() error { return os.WriteFile(d.Path, []byte("mine"), 0o600) }},
			{"a folder", func() error { return os.Mkdir(d.Path, 0o700) }},
			{"a symbolic link", func() error { return os.Symlink("/dev/null", d.Path) }},
			{"a pipe", func() error { return unix.Mknod(d.Path, unix.S_IFIFO, 0) }},
			{"a socket", func() error { return unix.Mknod(d.Path, unix.S_IFSOCK, 0) }},
			{"a character device 1:5", func() error { return unix.Mknod(d.Path, unix.S_IFCHR, int(unix.Mkdev(1, 5))) }},
			{"a character device 5:3", func() error { return unix.Mknod(d.Path, unix.S_IFCHR, int(unix.Mkdev(5, 3))) }},
			{"a block device 1:3", func() error { return unix.Mknod(d.Path, unix.S_IFBLK, int(unix.Mkdev(1, 3))) }},
		} {
			if err := tc.make(); err != nil {
				t.Fatal(err)
			}
			var before, after unix.Stat_t
			if err := unix.Lstat(d.Path, &before); err != nil {
				t.Fatal(err)
			}
			refused(t, d, ErrForeign, d.Path, tc.what, "remove it")
			if err := unix.Lstat(d.Path, &after); err != nil || after.Ino != before.Ino {
				t.Errorf("%s was touched: %v", tc.what, err)
			}
			if err := os.Remove(d.Path); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("any number", func(t *testing.T) {
		d := Devices(scratch(t))[0]
		if err := unix.Mknod(d.Path, unix.S_IFCHR|0o620, int(unix.Mkdev(136, 0))); err != nil {
			t.Fatal(err)
		}
		apply(t, d, true)
		if err := os.Remove(d.Path); err != nil {
			t.Fatal(err)
		}
		write(t, d.Path, "")
		refused(t, d, ErrForeign, "a regular file")
	})
	t.Run("read-only", func(t *testing.T) {
		dev := scratch(t)
		mountAtTest(t, "", dev, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		refused(t, Devices(dev)[2], ErrReadOnlyRoot, "takes everything")
		refused(t, Links(dev)[0], ErrReadOnlyRoot, "open files by number")
	})
	t.Run("nodev", func(t *testing.T) {
		dev := scratch(t)
		mountAtTest(t, "", dev, "", unix.MS_REMOUNT|unix.MS_NODEV, "")
		refused(t, Devices(dev)[2], ErrForeign, "nodev", "remount "+dev)
	})
	t.Run("no folder", func(t *testing.T) {
		dir := scratch(t)
		write(t, dir+"/file", "")
		refused(t, Device{Path: dir + "/missing/null", Major: 1, Minor: 3}, unix.ENOENT)
		refused(t, Device{Path: dir + "/file/null", Major: 1, Minor: 3}, ErrNoTarget)
		refused(t, Link{Path: dir + "/file/x", Goal: "y"}, ErrNoTarget)
	})
}

func TestLinks(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	t.Run("made and kept", func(t *testing.T) {
		dev := scratch(t)
		for _, l := range Links(dev) {
			apply(t, l, false)
			apply(t, l, true)
			if goal, err := os.Readlink(l.Path); err != nil || goal != l.Goal {
				t.Errorf("%s leads to %q, %v", l.Path, goal, err)
			}
		}
		if a, err := os.ReadDir(dev + "/fd"); err != nil || len(a) == 0 {
			t.Errorf("fd: %v, %v", a, err)
		}
	})
	t.Run("other goals", func(t *testing.T) {
		for _, l := range Links(scratch(t)) {
			for _, goal := range l.Accept {
				if err := errors.Join(os.Symlink(goal, l.Path)); err != nil {
					t.Fatal(err)
				}
				apply(t, l, true)
				if err := os.Remove(l.Path); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("/etc/passwd", l.Path); err != nil {
				t.Fatal(err)
			}
			refused(t, l, ErrForeign, "a symbolic link to /etc/passwd", "remove it")
			if goal, err := os.Readlink(l.Path); err != nil || goal != "/etc/passwd" {
				t.Errorf("the link was changed: %q, %v", goal, err)
			}
		}
	})
	t.Run("something else is there", func(t *testing.T) {
		links := Links(scratch(t))
		for _, l := range links {
			write(t, l.Path, "mine")
			refused(t, l, ErrForeign, "a regular file")
			if text, err := os.ReadFile(l.Path); err != nil || string(text) != "mine" {
				t.Errorf("the file was touched: %q, %v", text, err)
			}
		}
		ptmx := links[len(links)-1]
		for minor, kept := range map[uint32]bool{2: true, 3: false} {
			if err := os.Remove(ptmx.Path); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mknod(ptmx.Path, unix.S_IFCHR|0o666, int(unix.Mkdev(5, minor))); err != nil {
				t.Fatal(err)
			}
			if kept {
				apply(t, ptmx, true)
			} else {
				refused(t, ptmx, ErrForeign, "a character device 5:3")
			}
		}
	})
}

// Both forms of ptmx give a terminal of the devpts beside it, also where the machine has another one at /dev/pts.
func TestPTY(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	for _, form := range []string{"link", "node"} {
		t.Run(form, func(t *testing.T) {
			dev := scratch(t)
			pts := want(t, "/dev/pts")
			pts.Target = dev + "/pts"
			apply(t, pts, false)
			apply(t, pts, true)
			if form == "node" {
				if err := unix.Mknod(dev+"/ptmx", unix.S_IFCHR, int(unix.Mkdev(5, 2))); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(dev+"/ptmx", 0o666); err != nil {
					t.Fatal(err)
				}
			}
			apply(t, Links(dev)[4], form == "node")
			openPTY(t, dev)
			if st, err := os.Stat(dev + "/ptmx"); err != nil || st.Mode().Perm() != 0o666 {
				t.Errorf("ptmx: %v, %v", st, err)
			}
		})
	}
}

// A /dev that the kernel cannot fill, as with CONFIG_DEVTMPFS=n: the fallback, the nodes and the links.
func TestDevWithoutDevtmpfs(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	m := want(t, "/dev")
	m.Target = scratch(t) + "/dev"
	// This kernel has devtmpfs. Any filesystem that it lacks gives the same ENODEV.
	m.FSType = "nosuchfs"
	for _, kept := range []bool{false, true} {
		apply(t, m, kept)
		for _, d := range Devices(m.Target) {
			apply(t, d, kept)
		}
		for _, l := range Links(m.Target) {
			apply(t, l, kept)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.Target, &st); err != nil || st.Type != unix.TMPFS_MAGIC || st.Flags&unix.ST_NOSUID == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := os.WriteFile(m.Target+"/null", []byte("x"), 0); err != nil {
		t.Error(err)
	}
}
