package mounts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestApplyOutcomes(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	tmpfs := func(target string) Mount {
		return Mount{Source: "tmpfs", Target: target, FSType: "tmpfs", Data: "mode=0700", Mode: 0o711, Lost: "a test fails"}
	}
	t.Run("missing folders are made", func(t *testing.T) {
		unix.Umask(0o077)
		defer unix.Umask(0o022)
		m := tmpfs(scratch(t) + "/a/b/c")
		apply(t, m, false)
		apply(t, m, true)
		if st, err := os.Stat(m.Target); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("the mount: %v, %v", st, err)
		}
		if err := unix.Unmount(m.Target, 0); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{m.Target: 0o711, filepath.Dir(m.Target): 0o755} {
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", path, st, err)
			}
		}
	})
	t.Run("read-only root", func(t *testing.T) {
		dir := scratch(t)
		there := tmpfs(mkdir(t, dir+"/there"))
		mountAtTest(t, "", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		refused(t, tmpfs(dir+"/missing"), ErrReadOnlyRoot, dir+"/missing", "tmpfs", "a test fails", "in the image")
		apply(t, there, false)
		// What a plan did not foresee.
		if err := tmpfs("").makeTarget(State{Path: dir + "/missing"}); !errors.Is(err, ErrReadOnlyRoot) || !errors.Is(err, unix.EROFS) {
			t.Errorf("the kernel's answer: %v", err)
		}
		tmp := tmpfs(mkdir(t, there.Target+"/tmp"))
		tmp.When, tmp.Accept = WhenUnwritable, []string{AnyFS}
		apply(t, tmp, true)
		mountAtTest(t, "", there.Target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		apply(t, tmp, false)
		apply(t, tmp, true)
		write(t, tmp.Target+"/x", "")
	})
	t.Run("foreign filesystem", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, "x", dir, "ramfs", 0, "")
		refused(t, tmpfs(dir), ErrForeign, "ramfs", "unmount it")
		other := tmpfs(dir)
		other.Accept = []string{"ramfs"}
		apply(t, other, true)
	})
	t.Run("the kernel lacks it", func(t *testing.T) {
		dir := scratch(t)
		lacking := Mount{Source: "x", Target: dir + "/x", FSType: "nosuchfs"}
		refused(t, lacking, ErrNoFilesystem, "fs-nosuchfs")
		refused(t, lacking, unix.ENODEV)
		lacking.Fallback = "ramfs"
		apply(t, lacking, false)
		apply(t, lacking, true)
		if s, err := Observe(dir+"/x", Info{}); err != nil || s.FSType != "ramfs" {
			t.Errorf("the fallback: %+v, %v", s, err)
		}
		lacking.Target, lacking.Fallback = dir+"/y", "nosuchfs2"
		refused(t, lacking, ErrNoFilesystem, "fs-nosuchfs2")
	})
	t.Run("file", func(t *testing.T) {
		dir := scratch(t)
		write(t, dir+"/file", "mine")
		refused(t, tmpfs(dir+"/file"), ErrNoTarget, "a file stands there")
		refused(t, tmpfs(dir+"/file/below"), ErrNoTarget)
		if text, err := os.ReadFile(dir + "/file"); err != nil || string(text) != "mine" {
			t.Errorf("the file: %q, %v", text, err)
		}
	})
	t.Run("links", func(t *testing.T) {
		dir := scratch(t)
		mkdir(t, dir+"/real")
		for link, goal := range map[string]string{"link": "real", "dangling": "nowhere", "loop": "loop", "loop2": "loop/x"} {
			if err := os.Symlink(goal, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{"dangling", "dangling/x", "loop", "loop/x/y", "loop2"} {
			refused(t, tmpfs(filepath.Join(dir, path)), ErrNoTarget, "leads nowhere")
		}
		apply(t, tmpfs(dir+"/link"), false)
		apply(t, tmpfs(dir+"/real"), true)
		apply(t, tmpfs(dir+"/link"), true)
		apply(t, tmpfs(dir+"/link/deeper"), false)
		if info, err := Read(); err != nil || len(info.Below(dir+"/real")) != 1 {
			t.Errorf("the mount behind the link: %v, %v", info.Below(dir), err)
		}
	})
	t.Run("stacked", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, "lower", dir, "ramfs", 0, "")
		mountAtTest(t, "below", mkdir(t, dir+"/in"), "ramfs", 0, "")
		mountAtTest(t, "upper", dir, "tmpfs", 0, "")
		apply(t, tmpfs(dir), true)
		info, err := Read()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Observe(dir, info)
		if err != nil || s.FSType != "tmpfs" || len(s.Below) != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("hidden mount", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, "x", mkdir(t, dir+"/a/b"), "tmpfs", 0, "")
		m := tmpfs(dir + "/a")
		refused(t, m, ErrForeign, "would hide", dir+"/a/b")
		m.Populated = true
		apply(t, m, true)
	})
	t.Run("part of the filesystem", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, mkdir(t, dir+"/part"), mkdir(t, dir+"/bound"), "", unix.MS_BIND, "")
		refused(t, tmpfs(dir+"/bound"), ErrForeign, "only /part of a tmpfs")
	})
	t.Run("unknown option", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/x")
		m.Data = "mode=0700,nonsense=1"
		refused(t, m, unix.EINVAL, "invalid argument", "Unknown parameter 'nonsense'")
		m.Data = "mode=0700,,size"
		refused(t, m, unix.EINVAL, "size")
	})
	t.Run("nodev", func(t *testing.T) {
		m := want(t, "/dev/pts")
		m.Target = scratch(t)
		mountAtTest(t, "devpts", m.Target, "devpts", unix.MS_NODEV, "newinstance")
		refused(t, m, ErrForeign, "nodev")
	})
	t.Run("read-only sysfs", func(t *testing.T) {
		m := want(t, "/sys")
		m.Target = scratch(t)
		mountAtTest(t, "sysfs", m.Target, "sysfs", unix.MS_RDONLY, "")
		refused(t, m, ErrReadOnlySys, "--privileged")
	})
	t.Run("make only", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/a/tmp")
		m.When, m.Mode = WhenUnwritable, 0o1777
		apply(t, m, false)
		apply(t, m, true)
		if st, err := os.Stat(m.Target); err != nil || st.Mode() != os.ModeDir|os.ModeSticky|0o777 {
			t.Errorf("%v, %v", st, err)
		}
	})
	t.Run("skip", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/x")
		m.When = WhenExists
		apply(t, m, true)
		if _, err := os.Lstat(m.Target); err == nil {
			t.Error("the folder was made")
		}
		apply(t, m, true)
		mkdir(t, m.Target)
		apply(t, m, false)
	})
	t.Run("relative target", func(t *testing.T) {
		refused(t, tmpfs("relative"), unix.EINVAL)
	})
	t.Run("verify", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/x")
		mountAtTest(t, "x", mkdir(t, m.Target), "ramfs", 0, "")
		if err := m.verify(); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "ramfs") {
			t.Errorf("%v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dir := scratch(t)
		for _, a := range []action{
			tmpfs(dir + "/x"), Device{Path: dir + "/x"}, Link{Path: dir + "/x"}, VarRun{dir + "/x", dir}, Propagation{dir},
		} {
			if kept, err := a.Apply(ctx); kept || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, %v", a, kept, err)
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("something was made: %v, %v", entries, err)
		}
	})
}
