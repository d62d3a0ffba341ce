package cgroups

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func TestObserve(t *testing.T) {
	got := observed(t, "hybrid-vm")
	got.Controllers = got.Controllers[:2]
	got.Membership = got.Membership[8:]
	got.Mounts = append(got.Mounts[:1:1], got.Mounts[3], got.Mounts[8], got.Mounts[9])
	want := Facts{
		Mode: Hybrid, Root: "/sys/fs/cgroup", RootFSType: "tmpfs", KernelV1: true, KernelV2: true, CompleteV2: true,
		Features:    []string{"nsdelegate", "favordynmods", "memory_localevents", "memory_recursiveprot", "memory_hugetlb_accounting"},
		Controllers: []Controller{{"cpuset", 3, 1, true}, {"cpu", 1, 1, true}},
		Membership:  []Membership{{1, []string{"cpu"}, "/", false}, {0, nil, "/", false}},
		InitPath:    "/", Namespace: initialNamespace,
		Mounts: []Mount{
			// The archive has no folder for this one, and what cannot be read is not taken for unused.
			{Target: "/sys/fs/cgroup/cpu", FSType: "cgroup", Root: "/", Controllers: []string{"cpu"}, Populated: true},
			{Target: "/sys/fs/cgroup/memory", FSType: "cgroup", Root: "/", Controllers: []string{"memory"}, Populated: true},
			{Target: "/sys/fs/cgroup/systemd", FSType: "cgroup", Root: "/", Controllers: []string{"name=systemd"}, Populated: true},
			{Target: "/sys/fs/cgroup/unified", FSType: "cgroup2", Root: "/"},
		},
		Unified: &Unified{Target: "/sys/fs/cgroup/unified", Controllers: []string{"hugetlb"}, HierarchyRoot: true, Processes: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestObserveNamespace(t *testing.T) {
	for system, want := range map[string]struct{ own, initial, managed bool }{
		"docker-privileged-v2":       {own: true},
		"docker-privileged-v2-again": {own: true},
		"kubernetes-v2":              {initial: true},
		"kubernetes-v2-bound":        {initial: true},
		"container-v2-foreign-mount": {},
		"container-v2-systemd":       {own: true, managed: true},
		"systemd-v2-host":            {initial: true, managed: true},
		"machine-v2":                 {own: true, initial: true},
		"docker-v1":                  {initial: true},
		"bare-3.10":                  {initial: true},
	} {
		f := observed(t, system)
		if got := f.OwnRoot(DefaultLeaf); got != want.own {
			t.Errorf("%s: OwnRoot is %v", system, got)
		}
		if got := f.InitialNamespace(); got != want.initial {
			t.Errorf("%s: InitialNamespace is %v", system, got)
		}
		if got := f.managed(DefaultLeaf); f.Unified != nil && got != want.managed {
			t.Errorf("%s: managed is %v", system, got)
		}
	}
}

// TestOwnRootOutside is a process that joined a container's cgroup namespace, and not its cgroup.
func TestOwnRootOutside(t *testing.T) {
	f := observed(t, "docker-privileged-v2")
	f.Membership = []Membership{{Path: "/../other"}}
	if f.OwnRoot(DefaultLeaf) {
		t.Error("it counts as being in the container's cgroup")
	}
}

// TestObserveHidden has all cgroup mounts hidden below another sysfs.
func TestObserveHidden(t *testing.T) {
	p := captured(t, "hybrid-vm")
	path := filepath.Join(p.Tree, "proc/self/mountinfo")
	text := read(t, path) + "\n90 27 0:90 / /sys rw - sysfs sysfs rw\n"
	must(t, "writing", os.WriteFile(path, []byte(text), 0o644))
	f, err := Observe(p)
	must(t, "observing", err)
	if f.Mode != None || f.RootFSType != "" || len(f.Mounts) != 0 {
		t.Errorf("%v, %q, %+v", f.Mode, f.RootFSType, f.Mounts)
	}
}

// TestObserveJSON wants facts that survive being written down.
func TestObserveJSON(t *testing.T) {
	for _, name := range systems(t) {
		f := observed(t, name)
		var again Facts
		if err := json.Unmarshal([]byte(encode(t, f)), &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, again, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestObserveErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		err        string
		is         error
	}{
		"no proc":             {"proc/self/mountinfo", "", "read TREE/proc/self/mountinfo: no such file or directory", fs.ErrNotExist},
		"malformed mounts":    {"proc/self/mountinfo", "1 2 3\n", "read TREE/proc/self/mountinfo: parsing", nil},
		"malformed rows":      {"proc/cgroups", "cpu\n", "reading TREE/proc/cgroups: /proc/cgroups, line 1: 1 fields", nil},
		"malformed places":    {"proc/self/cgroup", "x\n", "reading TREE/proc/self/cgroup: /proc/PID/cgroup, line 1: 1 fields", nil},
		"malformed processes": {"sys/fs/cgroup/cgroup.procs", "1\nx\n", "read TREE/sys/fs/cgroup/cgroup.procs: ", nil},
		"no cgroup files":     {"sys/fs/cgroup/cgroup.subtree_control", "", "read TREE/sys/fs/cgroup/cgroup.subtree_control: no such file", fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			p := captured(t, "docker-privileged-v2")
			path := filepath.Join(p.Tree, tc.file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if tc.text != "" {
				if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Observe(p)
			checkError(t, err, strings.ReplaceAll(tc.err, "TREE", p.Tree))
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
		})
	}
}

// TestObserveHere compares what the mount table says on this system with what statfs(2) says.
func TestObserveHere(t *testing.T) {
	f, err := Observe(Paths{})
	if err != nil {
		t.Fatal(err)
	}
	is := func(path string) bool {
		var st unix.Statfs_t
		return unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
	}
	if got := is("/sys/fs/cgroup"); got != (f.Mode == V2) {
		t.Errorf("statfs says %v to cgroup2, and the mode is %v", got, f.Mode)
	}
	if got := is("/sys/fs/cgroup/unified"); got != (f.Mode == Hybrid) {
		t.Errorf("statfs says %v to cgroup2 at unified, and the mode is %v", got, f.Mode)
	}
	for _, m := range f.Mounts {
		var st unix.Statfs_t
		if err := unix.Statfs(m.Target, &st); err != nil {
			t.Fatal(err)
		}
		if want := map[string]int64{fsV1: unix.CGROUP_SUPER_MAGIC, fsV2: unix.CGROUP2_SUPER_MAGIC}[m.FSType]; st.Type != want {
			t.Errorf("%s is of type %#x, not %#x", m.Target, st.Type, want)
		}
		if m.FSType == fsV1 && len(m.Controllers) == 0 {
			t.Errorf("%s has no controllers", m.Target)
		}
	}
}

func TestAt(t *testing.T) {
	for name, tc := range map[string]struct {
		table string
		path  string
		want  int
	}{
		"plain":         {"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /sys rw - sysfs b rw\n3 2 0:3 / /sys/fs/cgroup rw - cgroup2 c rw\n", "/sys/fs/cgroup", 3},
		"no mount":      {"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /sys rw - sysfs b rw\n", "/sys/fs/cgroup", 0},
		"only below":    {"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /sys/fs/cgroup/cpu rw - cgroup b rw\n", "/sys/fs/cgroup", 0},
		"stacked":       {"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /c rw - tmpfs b rw\n3 2 0:3 / /c rw - cgroup2 c rw\n", "/c", 3},
		"hidden above":  {"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /sys rw - sysfs b rw\n3 2 0:3 / /sys/c rw - cgroup2 c rw\n4 2 0:4 / /sys rw - tmpfs d rw\n", "/sys/c", 0},
		"in any order":  {"3 2 0:3 / /sys/c rw - cgroup2 c rw\n2 1 0:2 / /sys rw - sysfs b rw\n1 0 0:1 / / rw - ext4 a rw\n", "/sys/c", 3},
		"stacked roots": {"1 1 0:1 / / rw - rootfs a rw\n2 1 0:2 / / rw - tmpfs b rw\n3 2 0:3 / /c rw - cgroup2 c rw\n", "/c", 3},
		"after chroot":  {"9 7 0:1 / /proc rw - proc a rw\n8 7 0:2 / /c rw - cgroup2 b rw\n", "/c", 8},
		"a longer name": {"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /cc rw - tmpfs b rw\n", "/c", 0},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := mountinfo.GetMountsFromReader(strings.NewReader(tc.table), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			if m := at(table, tc.path); m != nil {
				got = m.ID
			}
			if got != tc.want {
				t.Errorf("mount %d is at %s, not %d", got, tc.path, tc.want)
			}
		})
	}
}
