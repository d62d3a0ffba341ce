package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// captured makes a tree like /proc (or a root) of the given files; a value with a leading "->" is a link.
func captured(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if len(text) > 2 && text[:2] == "->" {
			err = os.Symlink(text[2:], path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestHabitat(t *testing.T) {
	for name, c := range map[string]struct {
		ns   string
		pid  int
		want Habitat
	}{
		"the kernel's PID 1":            {"->pid:[4026531836]", 1, Machine},
		"beside the kernel's PID 1":     {"->pid:[4026531836]", 812, Host},
		"PID 1 of a container":          {"->pid:[4026532280]", 1, Container},
		"beside PID 1 of a container":   {"->pid:[4026532280]", 7, Container},
		"nothing known, /proc is empty": {"", 1, Container},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			if c.ns != "" {
				files["self/ns/pid"] = c.ns
			}
			if got := (&observer{Paths: Paths{Proc: captured(t, files)}}).habitat(c.pid); got != c.want {
				t.Errorf("habitat is %s, want %s", got, c.want)
			}
		})
	}
}

// TestFirstProcess: PID 1 of a namespace is no machine's, with /proc and without, and a machine is known without /proc.
func TestFirstProcess(t *testing.T) {
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns == initPIDNamespace && !kernelThreadIs2(os.Getpid()) {
		t.Error("this is the kernel's first PID namespace, and is not known as such")
	}
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	if os.Getpid() != 1 || FirstProcess() {
		t.Errorf("process %d of a namespace is taken for a machine's first", os.Getpid())
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if FirstProcess() {
		t.Error("without /proc PID 1 of a namespace is taken for a machine's")
	}
}

func TestObserveCaptured(t *testing.T) {
	proc := captured(t, map[string]string{
		"self/ns/pid":                            "->pid:[4026532280]",
		"self/oom_score_adj":                     "-250\n",
		"self/uid_map":                           "         0     100000      65536\n",
		"modules":                                "overlay 1 0 - Live 0x0\n",
		"1/comm":                                 "dockerlaunch\n",
		"sys/net/ipv4/ip_forward":                "1\n",
		"sys/net/bridge/bridge-nf-call-iptables": "1\n",
		"sys/fs/nr_open":                         "1048576\n",
		"net/pnp":                                "#MANUAL\ndomain example\nnameserver 10.0.2.3\nnameserver 0.0.0.0\nbootserver 10.0.2.2\n",
	})
	root := captured(t, map[string]string{"run/systemd/system/x": "", "sys/module/apparmor/parameters/enabled": "Y\n"})
	f, err := Observe(Paths{Proc: proc, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if f.Habitat != Container || f.OOMScoreAdj != -250 || !f.LoadableModules || !f.SystemdLeak || !f.IPForward ||
		!f.BridgeNetfilter || f.InitialUserNamespace || f.MayRaiseLimits() || !f.AppArmor || f.Limits.NROpen != 1048576 || f.PID != os.Getpid() || f.Kernel == "" {
		t.Errorf("facts are %+v", f)
	}
	if diff := cmp.Diff([]string{"10.0.2.3"}, f.KernelNameservers); diff != "" {
		t.Errorf("name servers (-want +got):\n%s", diff)
	}
}

func TestObserveEmptyProc(t *testing.T) {
	f, err := Observe(Paths{Proc: t.TempDir(), Root: t.TempDir()})
	if err != nil {
		t.Fatalf("before /proc is mounted: %v", err)
	}
	if !f.InitialUserNamespace || f.AppArmor || f.LoadableModules || f.SystemdLeak || f.IPForward || f.BridgeNetfilter || f.Limits.NROpen != 0 || f.KernelNameservers != nil {
		t.Errorf("facts from nothing: %+v", f)
	}
	if f.Limits.NoFile.Hard == 0 {
		t.Error("limits do not come from /proc and must be there")
	}
}

// TestObserveUnreadable: what is there and cannot be read is told of; what is not there is not.
func TestObserveUnreadable(t *testing.T) {
	proc := t.TempDir()
	if err := os.Symlink("net", filepath.Join(proc, "net")); err != nil { // a loop of one
		t.Fatal(err)
	}
	f, err := Observe(Paths{Proc: proc, Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Unread) != 1 || !strings.Contains(f.Unread[0], "net/pnp") {
		t.Errorf("unread: %q", f.Unread)
	}
}

func TestObserveGarbage(t *testing.T) {
	for _, name := range []string{"self/oom_score_adj", "sys/fs/nr_open"} {
		if _, err := Observe(Paths{Proc: captured(t, map[string]string{name: "many\n"})}); err == nil {
			t.Errorf("a word in %s was no error", name)
		}
	}
}

func TestSystemdIsNoLeakUnderSystemd(t *testing.T) {
	proc := captured(t, map[string]string{"1/comm": "systemd\n"})
	root := captured(t, map[string]string{"run/systemd/system/x": ""})
	if f, err := Observe(Paths{Proc: proc, Root: root}); err != nil || f.SystemdLeak {
		t.Errorf("leak %v, %v", f.SystemdLeak, err)
	}
}

// TestCapabilities compares with what the kernel says of this process in words.
func TestCapabilities(t *testing.T) {
	f, err := Observe(Paths{})
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Capabilities, statusSet(t, string(status), "CapEff"); got != want {
		t.Errorf("effective is %x, want %x", got, want)
	}
	if got, want := f.Bounding, statusSet(t, string(status), "CapBnd"); got != want {
		t.Errorf("bounding is %x, want %x", got, want)
	}
	if last := f.LastCapability; last < unix.CAP_CHECKPOINT_RESTORE-8 || f.Bounding&^Full(last) != 0 {
		t.Errorf("the last capability is %d", last)
	}
}

func TestCapabilityNames(t *testing.T) {
	if unix.CAP_LAST_CAP+1 != len(capabilityNames) {
		t.Errorf("%d names, and x/sys knows %d capabilities", len(capabilityNames), unix.CAP_LAST_CAP+1)
	}
	set := CapabilitySet(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_BPF | 1<<60)
	if got := set.Names(); !slices.Equal(got, []string{"CAP_SYS_ADMIN", "CAP_BPF", "CAP_60"}) {
		t.Errorf("names are %v", got)
	}
	if Full(40) != 1<<41-1 || Full(63) != ^CapabilitySet(0) {
		t.Error("Full is wrong")
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{"a/plain": 0o644, "b/plain": 0o755, "a/only": 0o644, "b/prog": 0o755} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "a", "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := dir + "/a::" + dir + "/b:" + dir + "/missing:" + dir + "/a/plain"
	for name, c := range map[string]struct {
		program, want string
		err           error
	}{
		"in the second folder":               {"prog", dir + "/b/prog", nil},
		"not executable in the first":        {"plain", dir + "/b/plain", nil},
		"executable nowhere":                 {"only", "", fs.ErrPermission},
		"a folder":                           {"folder", "", fs.ErrPermission},
		"nowhere":                            {"none", "", fs.ErrNotExist},
		"empty":                              {"", "", fs.ErrNotExist},
		"with a slash":                       {dir + "/b/prog", dir + "/b/prog", nil},
		"with a slash, not executable":       {dir + "/a/only", dir + "/a/only", fs.ErrPermission},
		"with a slash, missing":              {dir + "/none", dir + "/none", fs.ErrNotExist},
		"with a slash, below a file":         {dir + "/b/prog/x", dir + "/b/prog/x", fs.ErrNotExist},
		"an empty entry is not the cwd":      {"host_test.go", "", fs.ErrNotExist},
		"with a slash, relative to the cwd":  {"./lookup.go", "./lookup.go", fs.ErrPermission},
		"a path entry that is a file itself": {"x", "", fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Look(c.program, path)
			if got != c.want || !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
				t.Errorf("Look = %q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	if up, err := loopbackUp(); up || err != nil {
		t.Errorf("in a fresh network namespace lo is up=%v, %v", up, err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	if up, err := loopbackUp(); !up || err != nil {
		t.Errorf("after bringing it up lo is up=%v, %v", up, err)
	}
}

func statusSet(t *testing.T, status, key string) CapabilitySet {
	t.Helper()
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return CapabilitySet(n)
		}
	}
	t.Fatalf("no %s in /proc/self/status", key)
	return 0
}
