package storage

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestSetAside(t *testing.T) {
	root := filepath.Join(t.TempDir(), "da[ta")
	files := map[string]string{
		"image/overlay2/repositories.json":          "",
		"image/btrfs/repositories.json":             `{"Repositories":{}}`,
		"volumes/one/opts.json":                     "\x00\x00\x00",
		"volumes/one/_data/opts.json":               "",
		"volumes/metadata.db":                       "",
		"swarm/docker-state.json":                   "{",
		"containers/a/config.v2.json":               "",
		"containers/a/hostconfig.json":              "",
		"containers/a/a-json.log":                   "",
		"network/files/local-kv.db":                 "\x00",
		"overlay2/x/diff/image/x/repositories.json": "",
		"engine-id":                        "",
		"engine-id.empty-20260102T030405Z": "an older one",
		"etc/key.json":                     "",
		"etc/daemon.json":                  "{}",
		"volumes/linked-to-a-file/opts.json.removed": "",
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../engine-id", root+"/volumes/linked-to-a-file/opts.json"); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := SetAside(root, now, root+"/etc/key.json", root+"/etc/daemon.json", root+"/etc/missing.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SetAside(root+"/loop", now); err != nil {
		t.Errorf("a data-root that is not there: %v", err)
	}
	if err := os.Symlink("loop", root+"/loop"); err != nil {
		t.Fatal(err)
	}
	if _, err := SetAside(root+"/loop", now); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a data-root that cannot be read: %v", err)
	}
	renamed, left := map[string]string{}, []string{}
	for _, a := range got {
		t.Log(a)
		rel, err := filepath.Rel(root, a.Path)
		if err != nil {
			t.Fatal(err)
		}
		if a.Renamed == "" {
			left = append(left, rel)
		} else {
			renamed[rel] = filepath.Base(a.Renamed)
		}
	}
	const stamp = ".empty-20260102T030405Z"
	want := map[string]string{
		"image/overlay2/repositories.json": "repositories.json" + stamp, "volumes/one/opts.json": "opts.json" + stamp,
		"containers/a/config.v2.json": "config.v2.json" + stamp, "engine-id": "engine-id" + stamp + ".2", "etc/key.json": "key.json" + stamp,
	}
	if len(renamed) != len(want) {
		t.Errorf("renamed %v", renamed)
	}
	for path, name := range want {
		text, err := os.ReadFile(filepath.Join(root, filepath.Dir(path), name))
		if renamed[path] != name || err != nil || string(text) != files[path] {
			t.Errorf("%s is %q: %q, %v", path, renamed[path], text, err)
		}
		if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	slices.Sort(left)
	if !slices.Equal(left, []string{"containers/a/hostconfig.json", "volumes/metadata.db"}) {
		t.Errorf("left in place: %v", left)
	}
	// What has something in it is as it was.
	for path, text := range files {
		if _, moved := want[path]; moved {
			continue
		}
		if got, err := os.ReadFile(filepath.Join(root, path)); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if again, err := SetAside(root, now); err != nil || len(again) != 2 {
		t.Errorf("again: %v, %v", again, err)
	}
	if none, err := SetAside(root+"/nowhere", now); err != nil || len(none) > 0 {
		t.Errorf("no data-root: %v, %v", none, err)
	}
}

func TestLock(t *testing.T) {
	root := t.TempDir()
	l, err := LockDataRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = LockDataRoot(root)
		held, ok := errors.AsType[*LockedError](err)
		host, _ := os.Hostname()
		if !ok || !errors.Is(err, ErrInUse) || held.PID != os.Getpid() || held.Host != host || time.Since(held.Since) > time.Hour {
			t.Fatalf("%v", err)
		}
	}
	t.Log(err)
	// A child does not have it, unless it is handed on.
	open := func() string {
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("sleep ended by itself")
			}
		}()
		fds, err := os.ReadDir("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, fd := range fds {
			goal, err := os.Readlink("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd/" + fd.Name())
			if errors.Is(err, os.ErrNotExist) {
				continue // a library that it has read by now
			}
			if err != nil {
				t.Fatal(err)
			}
			all += goal + "\n"
		}
		return all
	}
	if strings.Contains(open(), LockName) {
		t.Error("a child has the lock")
	}
	if err := l.Inherit(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(open(), LockName) {
		t.Error("the lock is not handed on")
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := LockDataRoot(root)
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	// What the file says is only for a message.
	if err := os.WriteFile(root+"/"+LockName, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDataRoot(root); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "somebody") {
		t.Errorf("%v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(root+"/"+LockName), os.Symlink("/etc/passwd", root+"/"+LockName)); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDataRoot(root); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link: %v", err)
	}
}

func TestTryOverlay(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	mount := func(source, target, fstype string, flags uintptr, data string) {
		t.Helper()
		if err := unix.Mount(source, target, fstype, flags, data); err != nil {
			t.Fatalf("%s at %s: %v", fstype, target, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, 0); err != nil {
				t.Errorf("a trial left something on %s: %v", target, err)
			}
		})
	}
	try := func(root string) Trial {
		t.Helper()
		trial, err := TryOverlay(root)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(root); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), trialPrefix) }) {
			t.Errorf("it left %v, %v", left, err)
		}
		return trial
	}
	disk := func(name string, size int64, args ...string) string {
		path := image(t, size)
		command(t, name, append(args, path)...)
		return loop(t, path)
	}
	root := filepath.Join(t.TempDir(), "a,b:c")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fstype, device string
	}{{"tmpfs", "x"}, {"ext4", disk("mkfs.ext4", 64<<20, "-q")}, {"xfs", disk("mkfs.xfs", 320<<20, "-q")}, {"btrfs", disk("mkfs.btrfs", 128<<20, "-q")}} {
		t.Run(c.fstype, func(t *testing.T) {
			if err := unix.Mount(c.device, root, c.fstype, 0, ""); err != nil {
				t.Fatal(err)
			}
			// What a trial left that was cut short.
			old := root + "/" + trialPrefix + "old"
			if err := errors.Join(os.MkdirAll(old+"/merged", 0o755), unix.Mount("x", old+"/merged", "tmpfs", 0, "")); err != nil {
				t.Fatal(err)
			}
			if trial := try(root); !trial.Overlay || trial.FSType != c.fstype {
				t.Errorf("%+v", trial)
			}
			if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := TryOverlay(root); !errors.Is(err, ErrReadOnly) {
				t.Errorf("read-only: %v", err)
			}
			if _, err := LockDataRoot(root); !errors.Is(err, ErrReadOnly) {
				t.Errorf("locking it read-only: %v", err)
			}
			if err := unix.Unmount(root, 0); err != nil {
				t.Errorf("something is left: %v", err)
			}
		})
	}
	// In a container without a volume.
	base := t.TempDir()
	mount("x", base, "tmpfs", 0, "")
	for _, name := range []string{"lower", "upper", "work", "root"} {
		if err := os.Mkdir(base+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount("overlay", base+"/root", "overlay", 0, "lowerdir="+base+"/lower,upperdir="+base+"/upper,workdir="+base+"/work")
	if trial := try(base + "/root"); trial.Overlay || trial.FSType != "overlay" || !strings.Contains(trial.Reason, "make it a volume") {
		t.Errorf("%+v", trial)
	} else {
		t.Log(trial.Reason)
	}
	ramfs := t.TempDir()
	mount("x", ramfs, "ramfs", 0, "")
	if trial := try(ramfs); trial.Overlay {
		t.Errorf("%+v", trial)
	} else {
		t.Log(trial.Reason)
	}
	noType := t.TempDir()
	mount(disk("mkfs.ext4", 64<<20, "-q", "-O", "^filetype"), noType, "ext4", 0, "")
	if trial := try(noType); trial.Overlay || !strings.Contains(trial.Reason, "d_type") {
		t.Errorf("%+v", trial)
	}
	if reason := explainTrial(Trial{FSType: "xfs", Reason: "no d_type"}); !strings.Contains(reason, "ftype=1") {
		t.Error(reason)
	}
}

func TestChoose(t *testing.T) {
	yes, no := true, false
	works := Trial{FSType: "ext4", Overlay: true}
	for _, c := range []struct {
		name   string
		choice Choice
		want   string
		fails  bool
		warns  string
	}{
		{"today", Choice{Major: 26, Trial: works}, "overlay2", false, ""},
		{"29", Choice{Major: 29, Trial: works}, "overlayfs", false, ""},
		{"29 with its feature off", Choice{Major: 29, Trial: works, Snapshotter: &no}, "overlay2", false, ""},
		{"29 remapped", Choice{Major: 29, Trial: works, Remapped: true}, "overlay2", false, ""},
		{"29 with an old data-root", Choice{Major: 29, Trial: works, Prior: []string{"overlay2"}}, "overlay2", false, ""},
		{"28 with the feature on", Choice{Major: 28, Trial: works, Snapshotter: &yes}, "overlayfs", false, ""},
		{"btrfs, old", Choice{Major: 20, Trial: Trial{FSType: "btrfs", Overlay: true}}, "btrfs", false, ""},
		{"btrfs, new", Choice{Major: 23, Trial: Trial{FSType: "btrfs", Overlay: true}}, "overlay2", false, ""},
		{"nothing works", Choice{Major: 26, Trial: Trial{FSType: "overlay", Reason: "make it a volume"}}, "vfs", false, "full copy: it is slow and takes much space; make it a volume"},
		{"fuse", Choice{Major: 26, FUSE: true}, "fuse-overlayfs", false, ""},
		{"configured", Choice{Major: 26, Configured: "overlay2", Trial: Trial{Reason: "broken"}}, "overlay2", true, "broken"},
		{"configured, gone", Choice{Major: 26, Configured: "aufs", Trial: works}, "aufs", true, "does not have it"},
		{"two priors", Choice{Major: 26, Prior: []string{"btrfs", "overlay2"}, Trial: works}, "overlay2", true, "name one"},
		{"a prior that is gone", Choice{Major: 26, Prior: []string{"aufs"}, Trial: works}, "overlay2", false, "aufs"},
		{"a prior that does not work any more", Choice{Major: 26, Prior: []string{"overlay2"}, Trial: Trial{Reason: "broken"}}, "overlay2", true, "broken"},
	} {
		if got := Choose(c.choice); got.Name != c.want || got.Fails != c.fails || (got.Warning == "") != (c.warns == "") || !strings.Contains(got.Warning, c.warns) || got.Why == "" {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	root := t.TempDir()
	for _, dir := range []string{"overlay2/l", "vfs/dir", "btrfs", "zfs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := PriorDrivers(root); !slices.Equal(got, []string{"overlay2"}) {
		t.Errorf("%v", got)
	}
}
