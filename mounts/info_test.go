package mounts

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func tree(t testing.TB, name string) Info {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "mountinfo", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := Parse(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return info
}

func TestAt(t *testing.T) {
	for _, tc := range []struct {
		tree, path string
		id         int // 0: no mount point
		fstype     string
	}{
		{"docker-privileged", "/", 98, "overlay"},
		{"docker-privileged", "/dev", 100, "tmpfs"},
		{"docker-privileged", "/dev/", 100, "tmpfs"},
		{"docker-privileged", "/run", 0, ""},
		{"docker-privileged", "/etc/hosts", 117, "ext4"},
		{"docker-unprivileged", "/proc/sys", 76, "proc"},
		{"kubernetes-pod", "/run", 0, ""},
		{"kubernetes-pod", "/sys/fs/cgroup", 1488, "cgroup2"},
		{"systemd-host", "/", 28, "ext4"},
		{"systemd-host", "/proc/sys/fs/binfmt_misc", 412, "binfmt_misc"},
		{"systemd-host", "/run/docker/netns/default", 611, "nsfs"},
		{"minimal-machine", "/dev/pts", 29, "devpts"},
		{"minimal-machine", "/dev/shm", 30, "tmpfs"},
		{"rootfs", "/", 1, "rootfs"},
		{"rootfs", "/proc", 0, ""},
		{"chroot", "/", 0, ""},
		{"chroot", "/proc", 71, "proc"},
		{"chroot", "/data/in", 73, "tmpfs"},
		{"odd", "/", 40, "btrfs"},
		{"odd", "/home", 41, "btrfs"},
		{"odd", "/mnt/My Disk\ttab", 42, "fuseblk"},
		{"odd", "/mnt/stack", 45, "tmpfs"},
		{"odd", "/mnt/stack/below", 46, "tmpfs"},
		{"odd", "/mnt/tuck", 61, "tmpfs"},
		{"odd", "/mnt/twice", 64, "tmpfs"},
		{"odd", "/mnt/stack/none", 0, ""},
		{"odd", "relative", 0, ""},
	} {
		e, ok := tree(t, tc.tree).At(tc.path)
		if ok != (tc.id != 0) || ok && (e.ID != tc.id || e.FSType != tc.fstype) {
			t.Errorf("%s: At(%q) = %+v, %v; want mount %d of type %q", tc.tree, tc.path, e, ok, tc.id, tc.fstype)
		}
	}
}

func TestHolding(t *testing.T) {
	for _, tc := range []struct {
		tree, path string
		id         int
	}{
		{"docker-privileged", "/run/docker.sock", 98},
		{"docker-privileged", "/dev/pts/0", 101},
		{"docker-privileged", "/devious", 98},
		{"kubernetes-pod", "/run/secrets/kubernetes.io/serviceaccount/token", 1494},
		{"odd", "/mnt/stack/below/x", 46},
		{"odd", "/mnt/stack/x", 45},
		{"odd", "/home/me", 41},
		{"chroot", "/etc", 0},
		{"chroot", "/data/in/x", 73},
	} {
		e, ok := tree(t, tc.tree).Holding(tc.path)
		if ok != (tc.id != 0) || e.ID != tc.id {
			t.Errorf("%s: Holding(%q) = %+v, %v; want mount %d", tc.tree, tc.path, e, ok, tc.id)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, tc := range []struct {
		tree, path string
		want       []string
	}{
		{"kubernetes-pod", "/run", []string{"/run/secrets/kubernetes.io/serviceaccount"}},
		{"kubernetes-pod", "/dev", []string{"/dev/pts", "/dev/mqueue", "/dev/termination-log", "/dev/shm"}},
		{"docker-privileged", "/run", nil},
		{"docker-privileged", "/proc", nil},
		{"systemd-host", "/run", []string{"/run/lock", "/run/user/1000", "/run/docker/netns/default"}},
		{"systemd-host", "/run/", []string{"/run/lock", "/run/user/1000", "/run/docker/netns/default"}},
		// One of the two at /mnt/stack/below is hidden by the mount over /mnt/stack.
		{"odd", "/mnt/stack", []string{"/mnt/stack/below"}},
		{"odd", "/home", nil},
		{"odd", "/mnt/tuck", nil}, // not /mnt/tucked
		{"rootfs", "/", nil},
	} {
		var got []string
		for _, e := range tree(t, tc.tree).Below(tc.path) {
			got = append(got, e.Target)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: Below(%q) = %q, want %q", tc.tree, tc.path, got, tc.want)
		}
	}
}

func TestEntry(t *testing.T) {
	for _, tc := range []struct {
		tree, path                string
		root, source, propagation string
		readOnly, shared          bool
	}{
		{"docker-privileged", "/sys", "/", "sysfs", "", false, false},
		{"docker-unprivileged", "/sys", "/", "sysfs", "", true, false},
		{"docker-unprivileged", "/proc/sys", "/sys", "proc", "", true, false},
		{"docker-privileged", "/", "/", "overlay", "master:2", false, false},
		{"kubernetes-pod", "/sys/fs/cgroup", "/../../../../../..", "cgroup", "", false, false},
		{"systemd-host", "/", "/", "/dev/nvme0n1p2", "shared:1", false, true}, // errors=remount-ro is not ro
		{"odd", "/home", "/@home", "/dev/sdb2", "shared:2", false, true},
		{"odd", "/mnt/My Disk\ttab", "/", `/dev/My Disk\x`, "shared:3 master:7 propagate_from:2", false, true},
		{"odd", "/mnt/sb", "/", "/dev/loop0", "unbindable", true, false}, // of the superblock only
		{"odd", "/mnt/stack/below", "/", "seen", "", true, false},        // of the mount only
		{"odd", "/mnt/bind", "/gone//deleted", "", "", false, false},
	} {
		e, ok := tree(t, tc.tree).At(tc.path)
		if !ok || e.Root != tc.root || e.Source != tc.source || e.Propagation != tc.propagation ||
			e.ReadOnly() != tc.readOnly || e.Shared() != tc.shared {
			t.Errorf("%s: At(%q) = %+v (read-only %v, shared %v), want %+v", tc.tree, tc.path, e, e.ReadOnly(), e.Shared(), tc)
		}
	}
}

func TestTree(t *testing.T) {
	info := tree(t, "odd")
	top, _ := info.At("/mnt/stack")
	var ids []int
	for _, e := range info.tree(top) {
		ids = append(ids, e.ID)
	}
	if !slices.Equal(ids, []int{45, 46}) {
		t.Errorf("tree of the upper mount = %v", ids)
	}
	root, _ := info.At("/")
	if got := len(info.tree(root)); got != len(info.Entries()) {
		t.Errorf("tree of the root has %d mounts, want all %d", got, len(info.Entries()))
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
	long := strings.Replace(good, "relatime", strings.Repeat("x", maxLine), 1)
	for _, tc := range []struct{ name, text, want string }{
		{"empty line", good + "\n", "line 2"},
		{"too few fields", "22 27 0:21 / /proc rw - proc proc\n", "not enough fields"},
		{"no separator", "22 27 0:21 / /proc rw relatime x proc proc rw\n", "separator"},
		{"ID", strings.Replace(good, "22", "2x", 1), `"2x"`},
		{"negative ID", strings.Replace(good, "22", "-22", 1), `"-22"`},
		{"parent", strings.Replace(good, "27", "", 1), `""`},
		{"major", strings.Replace(good, "0:21", ":21", 1), `""`},
		{"minor", strings.Replace(good, "0:21", "0", 1), `""`},
		{"huge ID", strings.Replace(good, "22", "99999999999999999999", 1), "99999999999999999999"},
		{"relative mount point", strings.Replace(good, "/proc", "proc", 1), `"proc"`},
		{"unclean mount point", strings.Replace(good, "/proc", "/proc/../x", 1), "clean"},
		{"no root", "22 27 0:21  /proc rw - proc proc rw\n", "root"},
		{"no type", "22 27 0:21 / /proc rw -  proc rw\n", "type"},
		{"NUL", strings.Replace(good, "relatime", "rel\x00time", 1), "NUL"},
		{"long line", good + long, "line 2: longer than 65535 bytes"},
	} {
		_, err := Parse(strings.NewReader(tc.text))
		if !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want ErrTable with %q", tc.name, err, tc.want)
		}
	}
	if _, err := Parse(io.LimitReader(zeros{}, maxTable+10)); !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), "67108864") {
		t.Errorf("a table that is too long: %v", err)
	}
	broken := errors.New("broken")
	if _, err := Parse(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, ErrTable) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestParseTakesTheLongestLine(t *testing.T) {
	line := "22 27 0:21 / /proc rw - proc proc "
	line += strings.Repeat("x", maxLine-len(line))
	info, err := Parse(strings.NewReader(line + "\n"))
	if err != nil || len(info.Entries()) != 1 {
		t.Errorf("%d bytes: %d entries, %v", len(line), len(info.Entries()), err)
	}
}

func TestRead(t *testing.T) {
	info, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	proc, ok := info.At("/proc")
	if !ok || proc.FSType != "proc" {
		t.Errorf("At(/proc) = %+v, %v", proc, ok)
	}
}

func TestEmptyInfo(t *testing.T) {
	var info Info
	if _, ok := info.At("/"); ok || !info.Empty() || info.Below("/") != nil || len(info.Entries()) != 0 {
		t.Errorf("the zero Info knows of a mount")
	}
	if _, ok := info.ByID(0); ok {
		t.Error("the zero Info has an ID")
	}
	if text, err := json.Marshal(info); err != nil || string(text) != "[]" {
		t.Errorf("JSON %s, %v", text, err)
	}
}

func TestInfoJSON(t *testing.T) {
	info := tree(t, "odd")
	text, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var back Info
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.Entries(), info.Entries()) {
		t.Error("the entries changed on their way through JSON")
	}
	if e, ok := back.At("/mnt/stack"); !ok || e.ID != 45 {
		t.Errorf("after JSON, At gives %+v, %v", e, ok)
	}
	if err := json.Unmarshal([]byte(`{}`), &back); err == nil {
		t.Error("an object was taken for a list")
	}
}

func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/mountinfo/*")
	if err != nil || len(names) < 8 {
		f.Fatalf("seeds: %q, %v", names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("1 2 0:1 / /a rw - t s rw\n2 1 0:1 / /a rw - t s rw\n1 2 0:1 / /a rw - t s rw\n1 9 0:1 / / rw - t s rw\n"))
	f.Add([]byte(`1 1 0:1 \057 /a\134040b rw - t\040t s rw`))
	f.Add([]byte("1 1 0:1 / /\r rw - t s rw\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := Parse(strings.NewReader(string(text)))
		if err != nil {
			if !errors.Is(err, ErrTable) {
				t.Fatalf("an error that is not ErrTable: %v", err)
			}
			return
		}
		lines := strings.Count(string(text), "\n")
		if len(text) > 0 && text[len(text)-1] != '\n' {
			lines++
		}
		entries := info.Entries()
		if len(entries) != lines {
			t.Fatalf("%d entries of %d lines", len(entries), lines)
		}
		for _, e := range entries {
			if !filepath.IsAbs(e.Target) || strings.Contains(e.Target, "/../") || e.ID < 0 {
				t.Fatalf("entry %+v", e)
			}
			at, ok := info.At(e.Target)
			if ok && at.Target != e.Target {
				t.Fatalf("At(%q) = %+v", e.Target, at)
			}
			holding, found := info.Holding(e.Target + "/x")
			if found && !within(e.Target+"/x", holding.Target) && e.Target != "/" {
				t.Fatalf("Holding(%q) = %+v", e.Target+"/x", holding)
			}
			if ok && e.Target != "/" && (!found || holding.Target != e.Target && holding.Target != e.Target+"/x") {
				t.Fatalf("At(%q) is %+v, but what is in it lies on %+v", e.Target, at, holding)
			}
			for _, b := range info.Below(e.Target) {
				if !within(b.Target, e.Target) || b.Target == e.Target {
					t.Fatalf("Below(%q) holds %+v", e.Target, b)
				}
				if visible, ok := info.At(b.Target); !ok || visible != b {
					t.Fatalf("Below(%q) holds %+v, but %+v is seen there", e.Target, b, visible)
				}
			}
			if tree := info.tree(e); len(tree) == 0 || len(tree) > len(entries)+1 {
				t.Fatalf("tree of %+v has %d of %d mounts", e, len(tree), len(entries))
			}
		}
		encoded, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		var back Info
		if err := json.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if len(back.Entries()) != len(entries) {
			t.Fatalf("%d entries after JSON, %d before", len(back.Entries()), len(entries))
		}
	})
}
