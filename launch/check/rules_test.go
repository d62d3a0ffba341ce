package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"golang.org/x/sys/unix"
)

// healthy are the facts of a system on which all is well, on cgroup v2.
func healthy() (*Request, *Facts) {
	f := &Facts{
		For: host.Host, Live: true, Running: "6.12.43", Config: &kconfig.Config{},
		Host: host.Facts{
			Habitat: host.Host, Capabilities: host.Full(40), Bounding: host.Full(40), LastCapability: 40, InitialUserNamespace: true,
			Limits: host.Limits{NoFile: host.Limit{Soft: 1 << 20, Hard: 1 << 20}, NProc: host.Limit{Soft: host.Infinity, Hard: host.Infinity}, Core: host.Limit{Soft: host.Infinity, Hard: host.Infinity}},
		},
		Namespaces: map[string]unix.Errno{},
		Cgroup:     CgroupFacts{Swap: "yes"},
		Storage:    StorageFacts{Looked: true, DataRoot: "/var/lib/docker", Exists: true, Writable: true, FSType: "ext4", Trial: &storage.Trial{FSType: "ext4", Overlay: true}},
		Programs:   []finding.Finding{},
		User:       UserSpace{Daemon: "/usr/bin/dockerd", IPTables: "/usr/sbin/iptables", Goal: "/usr/sbin/xtables-nft-multi", Bundle: "/b", Roots: certs.Roots{Total: 1, Valid: 1}},
		Sysctl:     map[string]string{"kernel.keys.root_maxkeys": "1000000"},
		Security:   SecurityFacts{Seccomp: true},
		Boot:       Boot{ID: "debian"},
	}
	for _, n := range namespaces {
		f.Namespaces[n.name] = 0
	}
	f.Cgroup.Facts = cgroups.Facts{Mode: cgroups.V2, Root: "/sys/fs/cgroup", RootFSType: "cgroup2", KernelV1: true, KernelV2: true, CompleteV2: true}
	f.Cgroup.Mounts = []cgroups.Mount{{Target: "/sys/fs/cgroup", FSType: "cgroup2", Root: "/"}}
	f.Cgroup.Unified = &cgroups.Unified{Target: "/sys/fs/cgroup", Controllers: strings.Fields("cpuset cpu io memory hugetlb pids"), HierarchyRoot: true}
	for _, name := range strings.Fields("cpuset cpu cpuacct blkio memory devices freezer net_cls perf_event net_prio hugetlb pids") {
		f.Cgroup.Controllers = append(f.Cgroup.Controllers, cgroups.Controller{Name: name, Enabled: true, Cgroups: 1})
	}
	f.User.Docker, _ = daemon.ParseVersion("26.1.5")
	return &Request{}, f
}

// v1 turns the facts into those of a system with v1 hierarchies.
func v1(f *Facts) {
	f.Cgroup.Mode, f.Cgroup.RootFSType, f.Cgroup.Unified = cgroups.V1, "tmpfs", nil
	f.Cgroup.Mounts = nil
	for i := range f.Cgroup.Controllers {
		c := &f.Cgroup.Controllers[i]
		c.Hierarchy = i + 1
		f.Cgroup.Mounts = append(f.Cgroup.Mounts, cgroups.Mount{Target: "/sys/fs/cgroup/" + c.Name, FSType: "cgroup", Root: "/", Controllers: []string{c.Name}})
	}
}

func row(f *Facts, name string) *cgroups.Controller {
	for i := range f.Cgroup.Controllers {
		if f.Cgroup.Controllers[i].Name == name {
			return &f.Cgroup.Controllers[i]
		}
	}
	panic(name)
}

func without(f *Facts, name string) {
	var left []string
	for _, c := range f.Cgroup.Unified.Controllers {
		if c != name {
			left = append(left, c)
		}
	}
	f.Cgroup.Unified.Controllers = left
}

func TestRules(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *Request, f *Facts)
		id     string
		status finding.Status
		level  finding.Severity
		words  string // some of what is said
	}{
		{"all is well", nil, "cgroup.memory", finding.OK, finding.Info, ""},
		{"memory off at boot", func(_ *Request, f *Facts) { without(f, "memory"); row(f, "memory").Enabled = false },
			"cgroup.memory", finding.Disabled, finding.Degraded, "cgroup_enable=memory in GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub"},
		{"and on an old kernel", func(_ *Request, f *Facts) {
			without(f, "memory")
			row(f, "memory").Enabled, f.Running = false, "4.19.0"
		}, "cgroup.memory", finding.Disabled, finding.Degraded, "cgroup_enable=memory swapaccount=1"},
		{"a later cgroup_disable wins", func(_ *Request, f *Facts) {
			without(f, "memory")
			f.Boot.CommandLine, row(f, "memory").Enabled = "cgroup_enable=memory quiet cgroup_disable=memory", false
		}, "cgroup.memory", finding.Disabled, finding.Degraded, "take off cgroup_disable=memory"},
		{"words that contradict", func(_ *Request, f *Facts) { f.Boot.CommandLine = "cgroup_disable=cpu,memory cgroup_enable=memory" },
			"cgroup.command-line.memory", finding.Disabled, finding.Info, "the last word wins"},
		{"v1 has a controller", func(_ *Request, f *Facts) { without(f, "cpu"); row(f, "cpu").Hierarchy = 3 },
			"cgroup.cpu", finding.Disabled, finding.Degraded, "cgroup_no_v1=cpu"},
		{"not handed on", func(_ *Request, f *Facts) { without(f, "pids") }, "cgroup.pids", finding.Missing, finding.Degraded, "Delegate=yes"},
		{"not built", func(_ *Request, f *Facts) { without(f, "hugetlb"); f.Cgroup.Controllers = nil },
			"cgroup.hugetlb", finding.Missing, finding.Info, "CONFIG_CGROUP_HUGETLB=y"},
		{"no BPF", func(_ *Request, f *Facts) { f.Cgroup.CompleteV2 = false }, "cgroup.devices", finding.Missing, finding.Fatal, "every container"},
		{"v2 of 5.1", func(_ *Request, f *Facts) { f.Running = "5.1.0" }, "cgroup.freezer", finding.Missing, finding.Degraded, "docker pause"},
		{"v1", func(_ *Request, f *Facts) { v1(f) }, "cgroup.devices", finding.OK, finding.Info, ""},
		{"v1 without devices", func(_ *Request, f *Facts) { v1(f); row(f, "devices").Enabled = false }, "cgroup.devices", finding.Disabled, finding.Fatal, "every container"},
		{"v1, cgroup_no_v1", func(_ *Request, f *Facts) { v1(f); f.Boot.CommandLine = "cgroup_no_v1=all" }, "cgroup.memory", finding.Disabled, finding.Degraded, "cgroup_no_v1=all"},
		{"v1 is deprecated", func(_ *Request, f *Facts) { v1(f) }, "cgroup.mode", finding.OK, finding.Info, "2029"},
		{"v1 in one mount", func(_ *Request, f *Facts) { v1(f); f.Cgroup.RootFSType = "cgroup"; f.For = host.Container },
			"cgroup.mode", finding.Missing, finding.Fatal, "one mount"},
		{"a Docker from before v2", func(_ *Request, f *Facts) {
			f.User.Docker, _ = daemon.ParseVersion("19.03.15")
			f.User.DockerText = "19.03.15"
		}, "kernel.cgroup2.docker", finding.Disabled, finding.Fatal, "does not know: that came with 20.10"},
		{"a data-root in /proc", func(_ *Request, f *Facts) { f.Storage.FSType, f.Storage.DataRoot = "proc", "/proc" },
			"storage.data-root", finding.Disabled, finding.Fatal, "holds no files"},
		{"no cgroups", func(_ *Request, f *Facts) { f.Cgroup.Facts = cgroups.Facts{} }, "cgroup.mode", finding.Missing, finding.Fatal, "every container"},
		{"nothing mounted, on a machine", func(_ *Request, f *Facts) {
			f.Cgroup.Mode, f.Cgroup.RootFSType, f.Cgroup.Mounts, f.Cgroup.Unified, f.For = cgroups.None, "", nil, nil, host.Machine
		}, "cgroup.mode", finding.OK, finding.Info, "the launcher mounts"},
		{"another version is asked for", func(r *Request, _ *Facts) { r.Cgroup = cgroups.WantV1 },
			"cgroup.mode", finding.Disabled, finding.Info, "systemd.unified_cgroup_hierarchy=0"},
		{"no swap accounting", func(_ *Request, f *Facts) { v1(f); f.Cgroup.Swap = "no" }, "cgroup.swap", finding.Disabled, finding.Degraded, "swapaccount=1"},
		{"swap accounting off", func(_ *Request, f *Facts) { f.Cgroup.Swap, f.Boot.CommandLine = "no", "swapaccount=0" }, "cgroup.swap", finding.Disabled, finding.Degraded, "take it off"},
		{"swap accounting not seen", func(_ *Request, f *Facts) { f.Cgroup.Swap = "" }, "cgroup.swap", finding.Unknown, finding.Info, ""},

		{"no network namespaces", func(_ *Request, f *Facts) { f.Namespaces["net"] = unix.EINVAL }, "kernel.namespace.net", finding.Missing, finding.Fatal, "CONFIG_NET_NS=y"},
		{"too many namespaces", func(_ *Request, f *Facts) { f.Namespaces["net"] = unix.ENOSPC }, "kernel.namespace.net", finding.Disabled, finding.Fatal, "user.max_net_namespaces"},
		{"not root", func(_ *Request, f *Facts) { f.Namespaces["net"], f.Host.UID = unix.EPERM, 1000 }, "kernel.namespace.net", finding.Unknown, finding.Info, "as root"},
		{"forbidden", func(_ *Request, f *Facts) { f.Namespaces["pid"] = unix.EPERM }, "kernel.namespace.pid", finding.Disabled, finding.Fatal, "--privileged"},
		{"no user namespaces", func(_ *Request, f *Facts) { f.Namespaces["user"] = unix.ENOSPC }, "kernel.namespace.user", finding.Disabled, finding.Info, "rootless"},
		{"and remapped", func(r *Request, f *Facts) {
			f.Namespaces["user"] = unix.ENOSPC
			r.Daemon.Args = daemon.ParseArgs([]string{"--userns-remap=default"})
		}, "kernel.namespace.user", finding.Disabled, finding.Fatal, "--userns-remap"},

		{"few keys", func(_ *Request, f *Facts) { f.Sysctl["kernel.keys.root_maxkeys"] = "200" }, "limit.kernel.keys.root_maxkeys", finding.Disabled, finding.Degraded, "sysctl -w kernel.keys.root_maxkeys=1000000"},
		{"10000 keys", func(_ *Request, f *Facts) { f.Sysctl["kernel.keys.root_maxkeys"] = "10000" }, "limit.kernel.keys.root_maxkeys", finding.Disabled, finding.Degraded, ""},
		{"10001 keys", func(_ *Request, f *Facts) { f.Sysctl["kernel.keys.root_maxkeys"] = "10001" }, "limit.kernel.keys.root_maxkeys", finding.OK, finding.Info, ""},
		{"few files", func(_ *Request, f *Facts) {
			f.Host.Limits.NoFile, f.Host.Capabilities = host.Limit{Soft: 1024, Hard: 1024}, indispensable
		}, "limit.nofile", finding.Disabled, finding.Degraded, "LimitNOFILE"},

		{"read-only", func(_ *Request, f *Facts) { f.Storage.ReadOnly, f.Storage.Trial = true, nil }, "storage.data-root", finding.Disabled, finding.Fatal, "--data-root"},
		{"in a container's own root", func(_ *Request, f *Facts) { f.Storage.FSType, f.For = "overlay", host.Container }, "storage.data-root", finding.Disabled, finding.Degraded, "VOLUME"},
		{"no d_type", func(_ *Request, f *Facts) {
			f.Storage.Trial = &storage.Trial{FSType: "xfs", Reason: "no d_type; make the xfs anew with -n ftype=1"}
		}, "storage.overlay", finding.Disabled, finding.Degraded, "ftype=1"},
		{"and so vfs", func(_ *Request, f *Facts) {
			f.Storage.Trial = &storage.Trial{FSType: "xfs", Reason: "no d_type"}
		}, "storage.driver", finding.Disabled, finding.Degraded, "last resort"},
		{"but not from 29 on", func(_ *Request, f *Facts) {
			f.Storage.Trial, f.User.Docker.Major = &storage.Trial{FSType: "xfs", Reason: "no d_type"}, 29
		}, "storage.driver", finding.Disabled, finding.Fatal, "none can be unpacked"},
		{"data of two drivers", func(_ *Request, f *Facts) { f.Storage.Prior = []string{"btrfs", "overlay2"} }, "storage.driver", finding.Disabled, finding.Fatal, "--storage-driver"},
		{"btrfs elsewhere", func(r *Request, _ *Facts) { r.Daemon.Driver = "btrfs" }, "storage.driver", finding.Disabled, finding.Fatal, "only where the data-root is on it"},
		{"btrfs on btrfs", func(r *Request, f *Facts) { r.Daemon.Driver, f.Storage.FSType = "btrfs", "btrfs" }, "storage.driver", finding.OK, finding.Info, ""},
		{"aufs today", func(r *Request, _ *Facts) { r.Daemon.Driver = "aufs" }, "storage.driver", finding.Disabled, finding.Fatal, ""},
		{"data of aufs", func(_ *Request, f *Facts) { f.Storage.Prior = []string{"aufs"} }, "storage.prior.aufs", finding.Disabled, finding.Degraded, "docker save"},
		{"data of devicemapper", func(_ *Request, f *Facts) { f.Storage.Prior = []string{"devicemapper"} }, "storage.prior.devicemapper", finding.Disabled, finding.Degraded, "thin pool"},
		{"which 24 still has", func(_ *Request, f *Facts) {
			f.Storage.Prior, f.User.Docker.Major = []string{"devicemapper"}, 24
		}, "storage.prior.devicemapper", finding.NotApplicable, finding.Info, ""},

		{"no dockerd", func(_ *Request, f *Facts) { f.User.Daemon, f.User.DaemonErr = "", "dockerd: none" }, "program.dockerd", finding.Missing, finding.Fatal, "docker.io"},
		{"old iptables", func(_ *Request, f *Facts) { f.User.Versions = map[string]string{"iptables": "1.3.8"} }, "program.iptables-version", finding.Disabled, finding.Degraded, "1.3.8"},
		{"expired certificates", func(_ *Request, f *Facts) {
			f.User.Roots = certs.Roots{Total: 2, Until: time.Date(2019, 1, 2, 0, 0, 0, 0, time.UTC)}
		}, "program.ca-certificates-valid", finding.Disabled, finding.Degraded, "2019-01-02"},
		{"a clock that stands at 1970", func(_ *Request, f *Facts) { f.User.Roots = certs.Roots{Total: 2, Early: 2} }, "program.ca-certificates-valid", finding.Disabled, finding.Degraded, "set the clock"},
		{"no certificates in it", func(_ *Request, f *Facts) { f.User.Roots = certs.Roots{} }, "program.ca-certificates-valid", finding.Disabled, finding.Degraded, "anew"},

		{"no capabilities", func(_ *Request, f *Facts) { f.Host.Capabilities = 0 }, "security.privileges", finding.Missing, finding.Fatal, "--privileged"},
		{"a person", func(_ *Request, f *Facts) { f.Host.Capabilities, f.Host.UID = 0, 1000 }, "security.privileges", finding.Unknown, finding.Info, "root"},
		{"no seccomp", func(_ *Request, f *Facts) { f.Security.Seccomp = false }, "security.seccomp", finding.Missing, finding.Degraded, "CONFIG_SECCOMP_FILTER"},
		{"AppArmor", func(_ *Request, f *Facts) { f.Host.AppArmor = true }, "security.lsm", finding.OK, finding.Info, "docker-default"},
	} {
		r, f := healthy()
		if test.change != nil {
			test.change(r, f)
		}
		report := Judge(r, f)
		var found []finding.Finding
		for _, o := range report.Findings {
			if o.ID == test.id {
				found = append(found, o)
			}
		}
		if len(found) != 1 {
			t.Errorf("%s: %d findings %s", test.name, len(found), test.id)
			continue
		}
		o := found[0]
		if o.Status != test.status || o.Severity != test.level || !strings.Contains(o.Note+" "+o.Lost+" "+o.Fix, test.words) {
			t.Errorf("%s: %+v, want %s, %s, %q", test.name, o, test.status, test.level, test.words)
		}
		if o.Bad() && (o.Note == "" && o.Lost == "" || o.Fix == "" && o.ID != "cgroup.mode") {
			t.Errorf("%s: it does not say what is lost, or what to do: %+v", test.name, o)
		}
		for _, o := range report.Findings {
			if test.change == nil && o.Bad() && o.Area != finding.Kernel {
				t.Errorf("where all is well, %+v", o)
			}
		}
	}
}

func TestBootPlaces(t *testing.T) {
	for _, test := range []struct {
		boot Boot
		want string
	}{
		{Boot{ID: "debian"}, "update-grub"},
		{Boot{ID: "linuxmint", Like: "ubuntu debian"}, "update-grub"},
		{Boot{ID: "raspbian", Like: "debian", File: "/boot/firmware/cmdline.txt"}, "/boot/firmware/cmdline.txt"},
		{Boot{ID: "rocky", Like: "rhel centos fedora"}, "grubby"},
		{Boot{ID: "alpine"}, "update-extlinux"},
		{Boot{ID: "opensuse-leap", Like: "suse opensuse"}, "grub2-mkconfig"},
		{Boot{ID: "arch"}, "grub-mkconfig"},
		{Boot{ID: "nixos"}, "boot.kernelParams"},
		{Boot{ID: "fedora", File: "/etc/kernel/cmdline"}, "kernel-install"},
		{Boot{ID: "mystery"}, "your boot loader"},
	} {
		if got := test.boot.where("add", "x=y"); !strings.HasPrefix(got, "add x=y ") || !strings.Contains(got, test.want) {
			t.Errorf("%+v: %s, want %s", test.boot, got, test.want)
		}
	}
	if id, like := readOSRelease("NAME=x\nID=\"Ubuntu\"\nID_LIKE='debian'\nnoise\n"); id != "ubuntu" || like != "debian" {
		t.Errorf("%s, %s", id, like)
	}
}

func TestSwitched(t *testing.T) {
	for line, want := range map[string]string{
		"":                      "",
		"cgroup_disable=memory": "cgroup_disable=memory",
		"cgroup_enable=memory cgroup_disable=memory":             "cgroup_disable=memory",
		"cgroup_disable=memory cgroup_enable=memory":             "cgroup_enable=memory",
		"cgroup-disable=cpu,memory":                              "cgroup-disable=cpu,memory",
		"cgroup_disable=\"memory\"":                              "cgroup_disable=\"memory\"",
		"cgroup_disable=memory2 xcgroup_disable=memory":          "",
		"x=\"a cgroup_disable=memory\" -- cgroup_disable=memory": "",
	} {
		if _, _, got := switched(line, "memory"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func FuzzCommandLine(f *testing.F) {
	f.Add("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet cgroup_enable=memory swapaccount=1", "memory")
	f.Add(`a="b c" -- d`, "")
	f.Fuzz(func(t *testing.T, line, name string) {
		on, off, last := switched(line, name)
		if (last != "") != (on || off) {
			t.Errorf("%q: %v, %v, %q", line, on, off, last)
		}
		for _, word := range commandWords(line) {
			if word == "--" || word == "" {
				t.Errorf("%q: a word %q", line, word)
			}
		}
		_ = wordOf(line, "swapaccount")
	})
}

func FuzzPackages(f *testing.F) {
	f.Add("Package: git\nVersion: 1:2.47.3-0+deb13u1\n\nPackage: docker.io\nVersion: 26.1.5+dfsg1-9+b11\n")
	f.Add("P:git\nV:2.47.3-r0\n\nV:\nP:")
	f.Fuzz(func(t *testing.T, text string) {
		versions := map[string]string{}
		packageVersions(text, versions)
		for name := range versions {
			if !matters(name) {
				t.Errorf("%q", name)
			}
		}
	})
}

func TestPackageVersions(t *testing.T) {
	versions := map[string]string{}
	packageVersions("Package: git\nStatus: x\nVersion: 1:2.47.3-0+deb13u1\n\nPackage: docker.io\nVersion: 26.1.5+dfsg1-9+b11\nPackage: vim\nVersion: 9\n", versions)
	packageVersions("C:Q1\nP:iptables\nV:1.8.11-r1\n", versions)
	if versions["git"] != "2.47.3" || versions["docker.io"] != "26.1.5+dfsg1" || versions["iptables"] != "1.8.11" || len(versions) != 3 {
		t.Errorf("%v", versions)
	}
}

func TestTree(t *testing.T) {
	root := t.TempDir()
	for link, goal := range map[string]string{"a": "/b", "loop": "loop", "out": "../../../../../../b/f", "b/up": "../../..//b"} {
		if err := os.MkdirAll(filepath.Join(root, "b"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(goal, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "b/f"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/a/f": "/b/f", "/out": "/b/f", "/b/up/f": "/b/f", "/loop": "", "/none": "", "/a/../b/f": "/b/f"} {
		if got, err := tree(root).follow(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if where, goal := tree(root).program("f", "/none:/a"); where != "/a/f" || goal != "/b/f" {
		t.Errorf("%s, %s", where, goal)
	}
}

// TestNamespaces asks this kernel, which answers as /proc/self/ns says.
func TestNamespaces(t *testing.T) {
	testenv.NeedRoot(t)
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		for name, errno := range tryNamespaces() {
			_, err := os.Lstat("/proc/self/ns/" + name)
			if (errno == 0) != (err == nil) && errno != unix.EPERM && errno != unix.ENOSPC {
				t.Errorf("%s: %v, and /proc says %v", name, errno, err)
			}
		}
	}
	if after, err := os.Readlink("/proc/self/ns/net"); err != nil || after != before {
		t.Errorf("this process moved from %s to %s, %v", before, after, err)
	}
}

// A tree without a package database has a note of its dockerd's version.
func TestHintedVersion(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("usr/bin/dockerd", "a program", 0o755)
	version, err := daemon.ParseVersion("26.1.5")
	if err != nil {
		t.Fatal(err)
	}
	for hint, want := range map[string]string{daemon.Hint(9, version): "26.1.5", daemon.Hint(10, version): "", "nonsense": ""} {
		put(daemon.VersionHint, hint, 0o644)
		r, _ := healthy()
		r.Root = root
		r.Daemon.Command.Path = "dockerd"
		f, err := Observe(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.User.DockerText != want {
			t.Errorf("%q: Docker %q, want %q", hint, f.User.DockerText, want)
		}
	}
}
