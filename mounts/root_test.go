package mounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

var (
	_ action = RootMove{}
	_ action = RootSwitch{}
)

func TestRootMoveNeeded(t *testing.T) {
	for _, c := range []struct {
		name, table string
		want        bool
	}{
		{"initramfs", "1 1 0:2 / / rw - rootfs rootfs rw\n20 1 0:21 / /proc rw - proc proc rw\n", true},
		{"rootfs on another mount", "2 1 0:2 / / rw - rootfs rootfs rw\n20 2 0:21 / /proc rw - proc proc rw\n", false},
		{"disk", "27 1 254:0 / / rw - ext4 /dev/vda rw\n", false},
		{"chroot into a folder", "20 1 0:21 / /proc rw - proc proc rw\n", false},
		{"no table", "", false},
	} {
		info, err := Parse(strings.NewReader(c.table))
		if err != nil {
			t.Fatal(err)
		}
		if got := (RootMove{}).Needed(info); got != c.want {
			t.Errorf("%s: needed %v", c.name, got)
		}
	}
}

func TestRootMoveMemory(t *testing.T) {
	file := func(mib int64) node {
		return node{st: unix.Stat_t{Mode: unix.S_IFREG, Size: mib << 20, Nlink: 1}}
	}
	running := file(50)
	running.busy = true
	nodes := []node{{st: unix.Stat_t{Mode: unix.S_IFDIR, Nlink: 2}}, file(100), file(90), file(1), running}
	for _, c := range []struct {
		shrink           bool
		available, total uint64 // MiB
		limit            uint64
		wantLimit        uint64
		says             string
	}{
		{true, 74, 1000, 0, 620, ""},
		{true, 73, 1000, 0, 0, "242 MiB of content need 74 MiB more while they move, and 73 MiB are available"},
		{false, 206, 1000, 0, 620, ""},
		{false, 205, 1000, 0, 0, "need 206 MiB"},
		{true, 500, 1000, 300, 300, ""},
		{true, 500, 1000, 200, 0, "do not fit into the limit of 200 MiB"},
		{true, 500, 100, 0, 241, ""}, // a total that cannot be
	} {
		copying := &treeCopy{nodes: nodes, shrink: c.shrink, workers: 2}
		limit, err := RootMove{Limit: c.limit << 20}.judge(copying, c.total<<20, c.available<<20)
		if c.says != "" {
			if !errors.Is(err, ErrNoMemory) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || limit>>20 != c.wantLimit {
			t.Errorf("%+v: %d MiB, %v", c, limit>>20, err)
		}
	}
	text := "MemTotal:       24105 kB\nMemFree: 1 kB\nMemAvailable:   x kB\n"
	if meminfo(text, "MemTotal") != 24105<<10 || meminfo(text, "MemAvailable") != 0 || meminfo(text, "Mem") != 0 {
		t.Error("meminfo")
	}
}

// The move needs a rootfs, which only a machine has; here is what is particular about the copying.
func TestTreeCopy(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	for _, fstype := range []string{"tmpfs", "ramfs"} {
		for _, shrink := range []bool{true, false} {
			t.Run(fmt.Sprint(fstype, " shrink ", shrink), func(t *testing.T) {
				dir := scratch(t)
				from, to := mkdir(t, dir+"/from"), mkdir(t, dir+"/to")
				mkdir(t, dir+"/view")
				mountAtTest(t, "x", from, fstype, 0, "")
				big := bytes.Repeat([]byte("0123456789abcde\n"), (2*pieceSize+5000)/16)
				write(t, from+"/big", string(big))
				write(t, from+"/bound", "below")
				write(t, dir+"/mark", "above")
				mkdir(t, from+"/empty/folder")
				// A program that runs cannot be cut off while it is copied.
				program, err := os.ReadFile("/bin/cat")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(from+"/program", append(program, make([]byte, pieceSize)...), 0o755); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(from + "/program") // cat ends when its input does
				stdin, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				mountAtTest(t, from, dir+"/view", "", unix.MS_BIND, "")
				mountAtTest(t, dir+"/mark", from+"/bound", "", unix.MS_BIND, "")
				c := &treeCopy{from: dir + "/view", to: to, workers: 3, shrink: shrink}
				if err := errors.Join(c.scan(t.Context()), c.run()); err != nil {
					t.Fatal(err)
				}
				for name, want := range map[string]string{"big": string(big), "bound": "below"} {
					if got, err := os.ReadFile(to + "/" + name); err != nil || string(got) != want {
						t.Errorf("%s: %d bytes, %v", name, len(got), err)
					}
				}
				if got, err := os.ReadFile(to + "/program"); err != nil || !bytes.HasPrefix(got, program) {
					t.Errorf("the program: %d bytes, %v", len(got), err)
				}
				if left, err := filepath.Glob(dir + "/view/*"); err != nil || !slices.Equal(left, []string{dir + "/view/bound", dir + "/view/empty"}) {
					t.Errorf("before tidying: %v, %v", left, err)
				}
				if err := unix.Unmount(from+"/bound", 0); err != nil {
					t.Fatal(err)
				}
				if err := c.tidy(); err != nil {
					t.Error(err)
				}
				if left, err := os.ReadDir(from); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
				if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
					t.Errorf("the program that ran meanwhile: %v", err)
				}
				if c.files != 3 || c.folders != 3 || c.bytes < uint64(len(big)+len(program)) || len(c.lost) > 0 {
					t.Errorf("%d files, %d folders, %d bytes, lost %v", c.files, c.folders, c.bytes, c.lost)
				}
			})
		}
	}
}

func TestTreeCopyStaysOnItsFilesystem(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := scratch(t)
	mkdir(t, dir+"/from/mnt")
	mountAtTest(t, "x", dir+"/from/mnt", "tmpfs", 0, "")
	write(t, dir+"/from/mnt/theirs", "x")
	c := &treeCopy{from: dir + "/from", to: dir + "/to"}
	if err := c.scan(t.Context()); !errors.Is(err, unix.EXDEV) {
		t.Errorf("a mount in the tree: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestResolveIn(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"usr/run", "a/b"} {
		mkdir(t, filepath.Join(root, folder))
	}
	for name, goal := range map[string]string{
		"run": "/usr/run", "rel": "a/../usr", "up": "../../../../a", "loop": "loop", "a/b/deep": "/run", "out": "/gone",
	} {
		if err := os.Symlink(goal, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]any{
		"/": "", "/run": "/usr/run", "/rel/run": "/usr/run", "/up/b": "/a/b", "/a/b/deep": "/usr/run", "../../a": "/a",
		"/loop": unix.ELOOP, "/out": fs.ErrNotExist, "/usr/nothing": fs.ErrNotExist, "/run/../..": "",
	} {
		got, err := resolveIn(root, path)
		if target, ok := want.(error); ok {
			if !errors.Is(err, target) {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		} else if err != nil || got != filepath.Clean(root+want.(string)) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}
