package launch

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// prepared are the facts of a container in which everything is as it should be: a plan of them has nothing to do.
func prepared() Facts {
	controllers := []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}
	f := Facts{
		Host: host.Facts{
			Habitat: host.Container, PID: 1, Capabilities: host.Full(40), Bounding: host.Full(40), LastCapability: 40,
			LoadableModules: true, BridgeNetfilter: true, LoopbackUp: true, IPForward: true, OOMScoreAdj: -500,
			Limits: host.Limits{
				NoFile: host.Limit{Soft: 1048576, Hard: 1048576}, NProc: host.Limit{Soft: host.Infinity, Hard: host.Infinity},
				Core: host.Limit{Soft: host.Infinity, Hard: host.Infinity}, NROpen: 1048576,
			},
		},
		Mounts: map[string]mounts.State{}, ProcMounted: true, RootShared: true, Standing: map[string]bool{}, Files: map[string]files.State{},
		Cgroups: cgroups.Facts{
			Mode: cgroups.V2, Root: "/sys/fs/cgroup", RootFSType: "cgroup2", KernelV1: true, KernelV2: true, CompleteV2: true,
			Namespace:  "cgroup:[4026532500]",
			Membership: []cgroups.Membership{{Path: "/init"}},
			Mounts:     []cgroups.Mount{{Target: "/sys/fs/cgroup", FSType: "cgroup2", Root: "/"}},
			Unified: &cgroups.Unified{
				Target: "/sys/fs/cgroup", Controllers: controllers, SubtreeControl: controllers, Type: "domain",
			},
		},
		Programs: preflight.Found{},
		Daemon:   DaemonFacts{Path: "/usr/bin/dockerd", DataRoot: files.Present, DataRootFS: "ext4", DataRootWritable: true},
	}
	for _, m := range append(mounts.Base(), mounts.Rest()...) {
		f.Mounts[m.Target] = mounts.State{
			Target: m.Target, Path: m.Target, Kind: mounts.KindFolder, MountPoint: true, FSType: m.FSType, Root: "/", Writable: true,
		}
	}
	for _, d := range mounts.Devices("/dev") {
		f.Standing[d.Path] = true
	}
	for _, l := range mounts.Links("/dev") {
		f.Standing[l.Path] = true
	}
	f.Standing["/var/run"] = true
	f.IPTables, f.Modules = VariantNft, map[string]bool{}
	for _, w := range WantedModules(VariantNft) {
		f.Modules[w.Names[0]] = true
	}
	for _, e := range files.Expected(nil) {
		f.Files[e.Path] = files.Present
	}
	for _, d := range files.Folders() {
		f.Files[d.Path] = files.Present
	}
	for _, name := range preflight.Names(preflight.Table()) {
		f.Programs[name] = "/usr/bin/" + name
	}
	return f
}

func environ(more ...string) []string {
	return append([]string{"PATH=/usr/bin", "HOME=/root", "container=docker"}, more...)
}

func planned(t *testing.T, c Config, f Facts) *Plan {
	t.Helper()
	if c.Environ == nil {
		c.Environ = environ()
	}
	p, err := NewPlan(c, f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanOfAPreparedSystem(t *testing.T) {
	p := planned(t, Config{Daemon: []string{"dockerd"}}, prepared())
	for _, s := range p.Steps {
		// Limits are set always, since the Go runtime would put them back; and processes may come into the root cgroup
		// at any time.
		if s.Verdict != Keep && s.Verdict != Skip && s.Name != "limits" && !strings.HasPrefix(s.Name, "cgroup: ") {
			t.Errorf("%s: %s (%s)", s.Name, s.Verdict, s.Note)
		}
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
	want := Command{
		Path: "/usr/bin/dockerd", Args: []string{"--default-ulimit=nofile=1024:524288"},
		Added: []Addition{{"--default-ulimit=nofile=1024:524288", p.Command.Added[0].Reason}},
	}
	if diff := cmp.Diff(want, p.Command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestPlanIsPure(t *testing.T) {
	c := Config{Daemon: []string{"docker", "-d", "-g", "/x"}, Environ: environ()}
	first, second := planned(t, c, prepared()), planned(t, c, prepared())
	if diff := cmp.Diff(first.Steps, second.Steps); diff != "" {
		t.Errorf("the same input gives two plans:\n%s", diff)
	}
	if diff := cmp.Diff(first.Command, second.Command); diff != "" {
		t.Errorf("the same input gives two commands:\n%s", diff)
	}
	facts := prepared()
	facts.Cgroups.Unified.Controllers = nil
	names := map[string]bool{}
	for _, s := range planned(t, c, facts).Steps {
		if names[s.Name] {
			t.Errorf("the step %q is there twice", s.Name)
		}
		names[s.Name] = true
	}
}

// TestPlanSteps changes one fact at a time.
func TestPlanSteps(t *testing.T) {
	missing := mounts.State{Kind: mounts.KindMissing, Writable: true}
	for name, c := range map[string]struct {
		config  Config
		change  func(f *Facts)
		step    string
		verdict Verdict
		note    string
	}{
		"nothing at /proc": {
			change: func(f *Facts) { f.Mounts["/proc"] = missing }, step: "mount /proc", verdict: Do,
		},
		"ext4 at /proc": {
			change: func(f *Facts) {
				f.Mounts["/proc"] = mounts.State{Kind: mounts.KindFolder, MountPoint: true, FSType: "ext4", Root: "/"}
			}, step: "mount /proc", verdict: Refuse, note: "ext4",
		},
		"ext4 at /dev/mqueue costs a feature": {
			change: func(f *Facts) {
				f.Mounts["/dev/mqueue"] = mounts.State{Kind: mounts.KindFolder, MountPoint: true, FSType: "ext4", Root: "/"}
			}, step: "mount /dev/mqueue", verdict: Warn, note: "ext4",
		},
		"no /sys/fs/selinux": {
			change: func(f *Facts) { f.Mounts["/sys/fs/selinux"] = missing }, step: "mount /sys/fs/selinux", verdict: Skip,
		},
		"no CAP_SYS_ADMIN": {
			change: func(f *Facts) { f.Host.Capabilities &^= 1 << unix.CAP_SYS_ADMIN },
			step:   "privileges", verdict: Refuse, note: "CAP_SYS_ADMIN",
		},
		"no CAP_NET_ADMIN": {
			change: func(f *Facts) { f.Host.Capabilities &^= 1 << unix.CAP_NET_ADMIN },
			step:   "privileges", verdict: Refuse, note: "CAP_NET_ADMIN",
		},
		"a bounding set with a hole": {
			change: func(f *Facts) { f.Host.Bounding &^= 1 << unix.CAP_SYS_RESOURCE },
			step:   "bounding set", verdict: Warn, note: "docker run --privileged",
		},
		"/ is private in a container": {
			change: func(f *Facts) { f.RootShared = false }, step: "propagation of /", verdict: Do,
		},
		"/ is private on a person's host": {
			change: func(f *Facts) { f.RootShared, f.Host.Habitat = false, host.Host }, step: "propagation of /", verdict: Warn, note: "make-rshared",
		},
		"no /dev/null": {
			change: func(f *Facts) { f.Standing["/dev/null"] = false }, step: "device /dev/null", verdict: Do,
		},
		"no /dev/console on a machine": {
			change: func(f *Facts) { f.Standing["/dev/console"], f.Host.Habitat = false, host.Machine }, step: "device /dev/console", verdict: Do,
		},
		"no /etc/hosts": {
			change: func(f *Facts) { f.Files["/etc/hosts"] = files.Absent }, step: "file /etc/hosts", verdict: Do,
		},
		"no /etc/hosts, read-only": {
			change: func(f *Facts) { f.Files["/etc/hosts"] = files.Unwritable }, step: "file /etc/hosts", verdict: Warn, note: "read-only",
		},
		"a dangling /etc/resolv.conf": {
			change: func(f *Facts) { f.Files["/etc/resolv.conf"] = files.Dangling }, step: "file /etc/resolv.conf", verdict: Warn, note: "leads nowhere",
		},
		"lo is down": {
			change: func(f *Facts) { f.Host.LoopbackUp = false }, step: "network lo", verdict: Do,
		},
		"forwarding is dockerd's": {
			change: func(f *Facts) { f.Host.IPForward = false }, step: "network forwarding", verdict: Skip, note: "FORWARD",
		},
		"forwarding, with nftables": {
			config: Config{Daemon: []string{"dockerd", "--firewall-backend=nftables"}},
			change: func(f *Facts) { f.Host.IPForward = false }, step: "network forwarding", verdict: Do,
		},
		"limits that may be raised": {
			change: func(f *Facts) { f.Host.Limits.NoFile.Hard = 4096 }, step: "limits", verdict: Do,
		},
		"limits that may not be raised": {
			change: func(f *Facts) {
				f.Host.Limits.NoFile.Hard, f.Host.Capabilities = 4096, f.Host.Capabilities&^(1<<unix.CAP_SYS_RESOURCE)
			}, step: "limits", verdict: Warn, note: "nofile stays at 4096",
		},
		"the OOM score": {
			change: func(f *Facts) { f.Host.OOMScoreAdj = 0 }, step: "oom score", verdict: Do,
		},
		"the OOM score, unprivileged": {
			change: func(f *Facts) {
				f.Host.OOMScoreAdj, f.Host.Capabilities = 0, f.Host.Capabilities&^(1<<unix.CAP_SYS_RESOURCE)
			}, step: "oom score", verdict: Warn, note: "CAP_SYS_RESOURCE",
		},
		"a data-root to be made": {
			change: func(f *Facts) { f.Daemon.DataRoot = files.Absent }, step: "data-root /var/lib/docker", verdict: Do,
		},
		"a read-only data-root": {
			change: func(f *Facts) { f.Daemon.DataRootWritable = false }, step: "data-root /var/lib/docker", verdict: Refuse, note: "volume",
		},
		"a data-root on overlay": {
			change: func(f *Facts) { f.Daemon.DataRootFS = "overlay" }, step: "data-root /var/lib/docker", verdict: Warn, note: "volume",
		},
		"another data-root": {
			config: Config{Daemon: []string{"dockerd", "-g", "/mnt/x"}},
			change: func(f *Facts) { f.Daemon.DataRoot = files.Absent }, step: "data-root /mnt/x", verdict: Do,
		},
		"a stale PID file": {
			change: func(f *Facts) { f.Daemon.PIDFiles = []daemon.PIDFile{{Path: "/run/docker.pid", PID: 1}} },
			step:   "PID file /run/docker.pid", verdict: Do,
		},
		"the PID file of a daemon that runs": {
			change: func(f *Facts) {
				f.Daemon.PIDFiles = []daemon.PIDFile{{Path: "/run/docker.pid", PID: 9, Alive: true, Process: "dockerd"}}
			}, step: "PID file /run/docker.pid", verdict: Refuse, note: "process 9",
		},
		"the PID file of a containerd that runs": {
			change: func(f *Facts) {
				f.Daemon.PIDFiles = []daemon.PIDFile{{Path: "/run/c.pid", PID: 9, Alive: true, Process: "containerd"}}
			}, step: "PID file /run/c.pid", verdict: Keep,
		},
		"a module that is not loaded": {
			change: func(f *Facts) { f.Modules["overlay"] = false }, step: "module overlay", verdict: Do,
		},
		"a module under its old name": {
			change: func(f *Facts) { f.Modules["xt_MASQUERADE"], f.Modules["ipt_MASQUERADE"] = false, true },
			step:   "module xt_MASQUERADE", verdict: Keep, note: "ipt_MASQUERADE",
		},
		"a module of the other variant": {
			change: func(f *Facts) { f.IPTables = VariantLegacy }, step: "module iptable_nat", verdict: Do,
		},
		"a kernel without modules": {
			change: func(f *Facts) { f.Host.LoadableModules, f.Modules = false, nil }, step: "modules", verdict: Skip,
		},
		"a machine's devices": {
			change: func(f *Facts) { f.Host.Habitat = host.Machine }, step: "coldplug", verdict: Do,
		},
		"no iptables": {
			change: func(f *Facts) { delete(f.Programs, "iptables") }, step: "program iptables", verdict: Refuse, note: "--iptables=false",
		},
		"no iptables, and none wanted": {
			config: Config{Daemon: []string{"dockerd", "--iptables=false"}},
			change: func(f *Facts) { delete(f.Programs, "iptables") }, step: "program iptables", verdict: Skip,
		},
		"no iptables, and the user knows": {
			config: Config{Without: []string{"iptables"}},
			change: func(f *Facts) { delete(f.Programs, "iptables") }, step: "program iptables", verdict: Warn,
		},
		"no git": {
			change: func(f *Facts) { delete(f.Programs, "git") }, step: "program git", verdict: Warn,
		},
		"a CA bundle in the spare place": {
			change: func(f *Facts) {
				delete(f.Programs, "ca-certificates")
				f.SpareCABundle, f.Files["/etc/ssl/certs/ca-certificates.crt"] = true, files.Absent
			}, step: "file /etc/ssl/certs/ca-certificates.crt", verdict: Do,
		},
		"a CA bundle in the spare place is as good": {
			change: func(f *Facts) {
				delete(f.Programs, "ca-certificates")
				f.SpareCABundle, f.Files["/etc/ssl/certs/ca-certificates.crt"] = true, files.Absent
			}, step: "program ca-certificates", verdict: Keep,
		},
		"daemon.json that cannot be read": {
			change: func(f *Facts) {
				f.Daemon.ConfigErr = &daemon.ConfigError{Path: "/etc/docker/daemon.json", Line: 3, Err: unix.EINVAL}
			},
			step: "daemon.json", verdict: Refuse, note: "/etc/docker/daemon.json",
		},
		"daemon.json against an argument": {
			config: Config{Daemon: []string{"dockerd", "--debug"}},
			change: func(f *Facts) { f.Daemon.Config = readConfig(t, `{"debug": true}`) },
			step:   "daemon.json", verdict: Refuse, note: "--debug",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			c.change(&f)
			p := planned(t, c.config, f)
			i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == c.step })
			if i < 0 {
				t.Fatalf("there is no step %q", c.step)
			}
			s := p.Steps[i]
			if s.Verdict != c.verdict || !strings.Contains(s.Note, c.note) {
				t.Errorf("%s: %s (%s), want %s (…%s…)", s.Name, s.Verdict, s.Note, c.verdict, c.note)
			}
			if (s.Verdict == Do) != (s.Action != nil) && s.Verdict != Warn {
				t.Errorf("%s: the verdict is %s, and its action %v", s.Name, s.Verdict, s.Action)
			}
			if refused := p.Err() != nil; refused != (c.verdict == Refuse) {
				t.Errorf("the plan's error is %v", p.Err())
			}
		})
	}
}

func TestPlanLeavesAPersonsHostAlone(t *testing.T) {
	f := prepared()
	f.Host.Habitat = host.Host
	clear(f.Standing)
	f.Standing["/var/run"] = true
	for _, s := range planned(t, Config{}, f).Steps {
		if strings.HasPrefix(s.Name, "device") || strings.HasPrefix(s.Name, "link /dev") {
			t.Errorf("%s is udev's business", s.Name)
		}
	}
}

func TestPlanKeepsOutOfAContainersDevices(t *testing.T) {
	f := prepared()
	clear(f.Standing)
	for _, s := range planned(t, Config{}, f).Steps {
		if s.Name == "device /dev/console" || s.Name == "device /dev/kmsg" {
			t.Errorf("%s reaches past the container", s.Name)
		}
	}
}

func TestPlanCommand(t *testing.T) {
	const ulimit = "--default-ulimit=nofile=1024:524288"
	for name, c := range map[string]struct {
		config Config
		change func(f *Facts)
		args   []string
		env    []string
	}{
		"arguments stay behind what is added": {
			config: Config{Daemon: []string{"dockerd", "-H", "tcp://x", "--"}}, args: []string{ulimit, "-H", "tcp://x", "--"},
		},
		"no docker-proxy": {
			change: func(f *Facts) { delete(f.Programs, "docker-proxy") }, args: []string{"--userland-proxy=false", ulimit},
		},
		"no docker-proxy, and the user spoke": {
			config: Config{Daemon: []string{"dockerd", "--userland-proxy=true"}},
			change: func(f *Facts) { delete(f.Programs, "docker-proxy") }, args: []string{ulimit, "--userland-proxy=true"},
		},
		"no ip6tables, and daemon.json spoke": {
			change: func(f *Facts) {
				delete(f.Programs, "ip6tables")
				f.Daemon.Config = readConfig(t, `{"ip6tables": false, "default-ulimits": {}}`)
			}, args: []string{},
		},
		"systemd leaks in": {
			change: func(f *Facts) { f.Host.SystemdLeak = true }, args: []string{ulimit, "--exec-opt=native.cgroupdriver=cgroupfs"},
		},
		"hard limits that cannot be raised": {
			change: func(f *Facts) {
				f.Host.Limits.NoFile.Hard, f.Host.Capabilities = 20000, f.Host.Capabilities&^(1<<unix.CAP_SYS_RESOURCE)
			}, args: []string{"--default-ulimit=nofile=1024:20000"},
		},
		"a daemon of another name": {
			config: Config{Daemon: []string{"/opt/my-dockerd", "-s", "overlay"}}, args: []string{"-s", "overlay"},
		},
		"an empty environment": {
			config: Config{Environ: []string{}}, args: []string{ulimit},
			env: []string{"PATH=" + host.DefaultPath, "HOME=/root", "container=docker"},
		},
		"an empty environment on a machine": {
			config: Config{Environ: []string{"HOME=/"}}, change: func(f *Facts) { f.Host.Habitat = host.Machine }, args: []string{ulimit},
			env: []string{"PATH=" + host.DefaultPath},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			if c.change != nil {
				c.change(&f)
			}
			p := planned(t, c.config, f)
			if !slices.Equal(p.Command.Args, c.args) {
				t.Errorf("arguments are %q, want %q", p.Command.Args, c.args)
			}
			var env []string
			for _, v := range p.Command.Env {
				env = append(env, v.Name+"="+v.Value)
			}
			if !slices.Equal(env, c.env) {
				t.Errorf("environment gets %q, want %q", env, c.env)
			}
		})
	}
}

func readConfig(t *testing.T, text string) daemon.Config {
	t.Helper()
	c, err := daemon.ReadConfig(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
