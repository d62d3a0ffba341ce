package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/moby/sys/mountinfo"
)

func capture(t *testing.T, name string) ([]*mountinfo.Info, []byte) {
	t.Helper()
	m, err := os.ReadFile("testdata/hierarchies/" + name + ".mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("testdata/hierarchies/" + name + ".cgroup")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := mountinfo.GetMountsFromReader(bytes.NewReader(m), mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	return mounts, own
}

func TestMatchHierarchies(t *testing.T) {
	const base = "/sys/fs/cgroup"
	for name, want := range map[string][]string{
		"hybrid": {
			base + "/cpu", base + "/cpuacct", base + "/cpuset", base + "/memory/jobs/17", base + "/devices", base + "/freezer",
			base + "/blkio", base + "/pids", base + "/systemd", base + "/unified (v2)",
		},
		"systemd":   {base + "/user.slice/user-0.slice/session-3.scope (v2)"},
		"container": {base + "/systemd", base + "/cpu,cpuacct/inner", base + "/memory"},
		"cgroupns":  {base + " (v2)"},
	} {
		var got []string
		for _, h := range matchHierarchies(capture(t, name)) {
			text := h.Own
			if h.V2 {
				text += " (v2)"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, want)
		}
	}
}

func FuzzMatchHierarchies(f *testing.F) {
	f.Add("9:memory:/docker/7c1d\n0::/x\n", "/docker/7c1d")
	f.Add("0::/../../user.slice\n", "/")
	f.Fuzz(func(t *testing.T, own, root string) {
		mounts := []*mountinfo.Info{
			{Major: 0, Minor: 1, Root: root, Mountpoint: "/cg/memory", FSType: "cgroup", VFSOptions: "rw,memory"},
			{Major: 0, Minor: 2, Root: root, Mountpoint: "/cg/unified", FSType: "cgroup2", VFSOptions: "rw"},
		}
		for _, h := range matchHierarchies(mounts, []byte(own)) {
			if !within(h.Own, h.Mountpoint) {
				t.Errorf("%q, root %q: group %s is outside of %s", own, root, h.Own, h.Mountpoint)
			}
		}
	})
}

// v2 lays out a hierarchy of plain files: a v2 hierarchy with the wanted controllers cannot be had where they belong to v1.
func v2(t *testing.T, groups map[string][4]string) string {
	t.Helper()
	root := t.TempDir()
	for name, g := range groups {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, file := range []string{"cgroup.controllers", "cgroup.subtree_control", "cgroup.procs", "cgroup.type"} {
			if g[i] == "-" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(g[i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestDelegating(t *testing.T) {
	const all = "cpuset cpu io memory pids"
	for name, c := range map[string]struct {
		groups    map[string][4]string // controllers, subtree_control, procs, type ("-": no such file)
		own, want string
	}{
		"root of a machine, with processes": {
			map[string][4]string{"": {all, "", "1 2", "-"}}, "", "",
		},
		"a session of systemd": {
			map[string][4]string{
				"": {all, all, "", "-"}, "user.slice": {all, "memory pids", "", "domain"}, "user.slice/0": {"memory pids", "memory pids", "", "domain"},
				"user.slice/0/s.scope": {"memory pids", "", "9", "domain"},
			}, "user.slice/0/s.scope", "user.slice",
		},
		"already passed on beside processes": {
			map[string][4]string{"": {all, all, "", "-"}, "a": {all, all, "4", "domain"}}, "a", "a",
		},
		"a group of its own without processes": {
			map[string][4]string{"": {all, all, "", "-"}, "a": {all, "", "", "domain"}}, "a", "a",
		},
		"hybrid, where v1 has the controllers": {
			map[string][4]string{"": {"hugetlb", "", "1", "-"}, "a": {"", "", "4", "domain"}, "a/b": {"", "", "4", "domain"}}, "a/b", "a/b",
		},
		"a container, where nothing can": {
			map[string][4]string{"": {all, "", "1 2", "domain"}}, "", "",
		},
	} {
		root := v2(t, c.groups)
		want := filepath.Join(root, c.want)
		if got := delegating(root, filepath.Join(root, c.own)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestEnableControllers(t *testing.T) {
	root := v2(t, map[string][4]string{"": {"cpu hugetlb", "cpu", "", "-"}, "hybrid": {"hugetlb", "", "", "-"}})
	for dir, want := range map[string]string{root: "+hugetlb", filepath.Join(root, "hybrid"): ""} {
		if err := enableControllers(dir); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(words(filepath.Join(dir, "cgroup.subtree_control")), " "); got != want {
			t.Errorf("%s: wrote %q, want %q", dir, got, want)
		}
	}
	// A plain folder in its place refuses to be written to.
	broken := v2(t, map[string][4]string{"": {"memory", "-", "", "-"}, "cgroup.subtree_control": {}})
	if err := enableControllers(broken); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("a wanted controller that is refused: %v", err)
	}
}

// realGroup makes a group in a hierarchy of this machine.
func realGroup(t *testing.T) string {
	t.Helper()
	testenv.NeedRoot(t)
	me, err := newOwner()
	if err != nil {
		t.Fatal(err)
	}
	hs := mustHierarchies(t)
	if len(hs) == 0 {
		testenv.Missing(t, "no cgroup hierarchy is mounted")
	}
	dir, err := hs[0].makeGroup(me.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeOnce(dir) })
	return dir
}

func TestRemoveTreeNamesWhatHoldsIt(t *testing.T) {
	dir := realGroup(t)
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := sleeper(t)
	if err := join(filepath.Join(dir, "a"), cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := removeTree(ctx, dir)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("[%d]", cmd.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a held group: %v", err)
	}
	if exists(filepath.Join(dir, "a/b")) {
		t.Error("the empty group below was not removed")
	}
	if err := killGroup(dir); err != nil {
		t.Fatal(err)
	}
	if err := removeTree(context.Background(), dir); err != nil {
		t.Error(err)
	}
	if err := removeTree(context.Background(), dir); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

// What a dead owner left running is ended; what a living one has is not touched.
func TestCollect(t *testing.T) {
	testenv.NeedRoot(t)
	me, err := newOwner()
	if err != nil {
		t.Fatal(err)
	}
	dead := me
	dead.Start--
	hs := mustHierarchies(t)[:1]
	var dirs [2]string
	for i, o := range []owner{dead, me} {
		if dirs[i], err = hs[0].makeGroup(o.String()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = removeOnce(dirs[i]) })
		if err := os.MkdirAll(filepath.Join(dirs[i], "docker/container"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	left, kept := sleeper(t), sleeper(t)
	if err := errors.Join(join(filepath.Join(dirs[0], "docker"), left.Process.Pid), join(dirs[1], kept.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := collect(ctx, hs, me.PIDNS); err != nil {
		t.Fatal(err)
	}
	if exists(dirs[0]) {
		t.Error("the group of a dead owner is still there")
	}
	if !exists(filepath.Join(dirs[1], "docker/container")) || gone(kept.Process.Pid) {
		t.Error("the group of a living owner was touched")
	}
	if err := left.Wait(); exitStatus(err) != -1 { // by a signal
		t.Errorf("what the dead owner left running: %v", err)
	}
	if err := kept.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestHoldingsForgetWhatIsRemoved(t *testing.T) {
	dir := realGroup(t)
	cmd := sleeper(t)
	if err := join(dir, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	h := holdings{Groups: []string{dir + "-gone", dir}}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.release(ctx); err == nil || !slices.Equal(h.Groups, []string{dir}) {
		t.Errorf("%v, %v stay", err, h.Groups)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.release(context.Background())); err != nil || len(h.Groups) != 0 {
		t.Errorf("%v, %v stay", err, h.Groups)
	}
}
