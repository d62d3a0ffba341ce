package launch

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// prepared are the facts of a container in which everything is as it should be: a plan of them has nothing to do.
func prepared() Facts {
	controllers := []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}
	f := Facts{
		Host: host.Facts{
			Habitat: host.Container, PID: 1, Capabilities: host.Full(40), Bounding: host.Full(40), LastCapability: 40,
			InitialUserNamespace: true, LoadableModules: true, BridgeNetfilter: true, LoopbackUp: true, IPForward: true, OOMScoreAdj: -500,
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
		Programs: preflight.Found{}, Executable: "/usr/bin/dockerlaunch",
		Network: network.Facts{IPv6: true, Resolv: resolv.Config{Nameservers: []netip.Addr{netip.MustParseAddr("192.0.2.53")}}},
		Daemon:  DaemonFacts{Path: "/usr/bin/dockerd", DataRoot: files.Present, DataRootFS: "ext4", DataRootWritable: true},
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
	f.IPTables.Goal, f.ModuleIndex, f.Modules = "/usr/sbin/xtables-nft-multi", true, map[string]bool{}
	for _, w := range WantedModules(FirewallIPTablesNft) {
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
	p := planned(t, Config{Daemon: []string{"dockerd"}, Exec: true}, prepared())
	for _, s := range p.Steps {
		// Limits are set always, since the Go runtime would put them back; and processes may come into the root cgroup
		// at any time.
		always := []string{"kernel", "limits", "data-root lock", "files left empty"}
		if s.Verdict != Keep && s.Verdict != Skip && !slices.Contains(always, s.Name) && !strings.HasPrefix(s.Name, "cgroup: ") {
			t.Errorf("%s: %s (%s)", s.Name, s.Verdict, s.Note)
		}
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
	want := Command{Path: "/usr/bin/dockerd", Args: []string{
		"--default-ulimit=nofile=1024:524288", "--log-opt=max-size=25m", "--log-opt=max-file=2",
	}}
	for _, a := range p.Command.Added {
		want.Added = append(want.Added, Addition{a.Arg, a.Reason})
	}
	if diff := cmp.Diff(want, p.Command); diff != "" || len(want.Added) != 3 {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestPlanIsPure(t *testing.T) {
	c := Config{Daemon: []string{"docker", "-d", "-g", "/x"}, Environ: environ()}
	first, second := planned(t, c, prepared()), planned(t, c, prepared())
	if diff := cmp.Diff(first.Steps, second.Steps, cmpopts.IgnoreUnexported(Listen{}, LockDataRoot{}, JudgeKernel{})); diff != "" {
		t.Errorf("the same input gives two plans:\n%s", diff)
	}
	if diff := cmp.Diff(first.Command, second.Command); diff != "" {
		t.Errorf("the same input gives two commands:\n%s", diff)
	}
	facts := prepared()
	facts.Cgroups.Unified.Controllers = nil
	// What is wrong twice is one step all the same.
	c.Daemon = []string{"dockerd", "--no-such", "--no-such", "--mtu=x", "--mtu", "y", "--mtu", "z", "word", "word"}
	facts.Daemon.Config = readConfig(t, `{"log-opts": {}, "x": 1, "x": 2, "x": 3}`)
	names := map[string]bool{}
	for _, s := range planned(t, c, facts).Steps {
		if names[s.Name] {
			t.Errorf("the step %q is there twice", s.Name)
		}
		names[s.Name] = true
	}
}

func TestPlanLeavesAPersonsHostAlone(t *testing.T) {
	f := prepared()
	f.Host.Habitat = host.Host
	clear(f.Standing)
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
			env: []string{"PATH=" + host.DefaultPath, "HOME=/root"}, // "/" is the kernel's own word
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			if c.change != nil {
				c.change(&f)
			}
			c.config.Exec = true // what a supervisor adds is another test's
			p := planned(t, c.config, f)
			args := slices.DeleteFunc(slices.Clone(p.Command.Args), func(arg string) bool { return strings.HasPrefix(arg, "--log-opt=max-") })
			if !slices.Equal(args, c.args) {
				t.Errorf("arguments are %q, want %q", args, c.args)
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

// TestNetworkDefaults: on a person's host dockerd keeps its own, and only packets smaller than Docker's count.
func TestNetworkDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		habitat host.Habitat
		mtu     int
		flags   string
	}{
		"container, usual packets":    {host.Container, 1500, ""},
		"container, large packets":    {host.Container, 9000, ""},
		"container, small packets":    {host.Container, 1499, "mtu"},
		"machine, small packets":      {host.Machine, 1499, "mtu"},
		"a host with small packets":   {host.Host, 1499, ""},
		"container, no packets known": {host.Container, 0, ""},
	} {
		f := prepared()
		f.Host.Habitat, f.Network.MTU = c.habitat, c.mtu
		p := planned(t, Config{}, f)
		if got := len(flags(p, "mtu")) > 0; got != (c.flags == "mtu") {
			t.Errorf("%s: %q", name, p.Command.Args)
		}
		if got := len(flags(p, "log-opt")); (got == 2) != (c.habitat != host.Host) {
			t.Errorf("%s: logs are bounded by %d options", name, got)
		}
	}
	// Resolvers on a loopback address: those of a container are another network namespace's, a machine's are its own.
	for habitat, want := range map[host.Habitat]int{host.Container: 1, host.Machine: 0, host.Host: 0} {
		f := prepared()
		f.Host.Habitat = habitat
		f.Network.Resolv = resolv.Config{Nameservers: []netip.Addr{netip.MustParseAddr("127.0.0.11")}, Outer: []resolv.Server{{Addr: netip.MustParseAddr("192.0.2.53")}}}
		if got := flags(planned(t, Config{}, f), "dns"); len(got) != want {
			t.Errorf("%s: --dns %q", habitat, got)
		}
	}
}
