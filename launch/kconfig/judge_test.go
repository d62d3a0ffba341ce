package kconfig

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// TestWhatServesAsWell is about options that go by another name, or came to a kernel before or left it after its time.
func TestWhatServesAsWell(t *testing.T) {
	legacy := Conditions{Firewall: FirewallLegacy}
	off := func(names string) map[string]string {
		set := map[string]string{}
		for name := range strings.FieldsSeq(names) {
			set[name] = ""
		}
		return set
	}
	plus := func(set map[string]string, name, value string) map[string]string { set[name] = value; return set }
	for _, test := range []struct {
		name, release string
		set           map[string]string
		conditions    Conditions
		id            string
		want          finding.Status
	}{
		{"RHEL 7 has the table nat before its time", "3.10.0", plus(off("NF_NAT_IPV4"), "IP_NF_NAT", "m"), legacy, "NF_NAT_IPV4", finding.NotApplicable},
		{"and it counts", "3.10.0", plus(off(""), "IP_NF_NAT", "m"), legacy, "IP_NF_NAT", finding.OK},
		{"RHEL 8 merged it before its time", "4.18.0", off("NF_NAT_IPV4 NF_NAT_IPV6"), legacy, "NF_NAT_IPV4", finding.NotApplicable},
		{"before 3.17 NF_NAT_IPV4 makes the table nat", "3.10.0", off("IP_NF_NAT"), legacy, "IP_NF_NAT", finding.NotApplicable},
		{"from 3.17 on it does not", "4.4.0", off("IP_NF_NAT"), legacy, "IP_NF_NAT", finding.Missing},
		{"before 3.7 NF_NAT does", "3.6.0", off("IP_NF_NAT"), legacy, "IP_NF_NAT", finding.NotApplicable},
		{"masquerading under its new name", "6.1.0", off("IP_NF_TARGET_MASQUERADE"), legacy, "NETFILTER_XT_TARGET_MASQUERADE", finding.OK},
		{"and under its old one", "6.1.0", off("NETFILTER_XT_TARGET_MASQUERADE"), legacy, "NETFILTER_XT_TARGET_MASQUERADE", finding.NotApplicable},
		{"and under none", "6.1.0", off("NETFILTER_XT_TARGET_MASQUERADE IP_NF_TARGET_MASQUERADE"), legacy, "NETFILTER_XT_TARGET_MASQUERADE", finding.Missing},
		{"nat for nft alone", "6.17.0", off("IP_NF_NAT NETFILTER_XT_NAT"), Conditions{Firewall: FirewallNFT}, "NETFILTER_XT_NAT", finding.Missing},
		{"legacy tables from 6.17 on", "6.17.0", off("NETFILTER_XTABLES_LEGACY IP_NF_IPTABLES_LEGACY"), legacy, "NETFILTER_XTABLES_LEGACY", finding.Missing},
		{"and before", "6.16.0", off("NETFILTER_XTABLES_LEGACY"), legacy, "NETFILTER_XTABLES_LEGACY", finding.NotApplicable},
		{"GHASH is a library from 7.1 on", "7.1.0", off("CRYPTO_GHASH"), Conditions{}, "CRYPTO_GHASH", finding.NotApplicable},
		{"one LSM is enough", "6.1.0", off("SECURITY_APPARMOR"), Conditions{}, "SECURITY_APPARMOR", finding.NotApplicable},
		{"weights by BFQ", "6.1.0", off("BLK_CGROUP_IOCOST"), Conditions{Cgroup: CgroupV2}, "BLK_CGROUP_IOCOST", finding.NotApplicable},
		{"overlay is newer than the kernel", "3.13.0", nil, Conditions{Docker: "1.7.1"}, "OVERLAY_FS", finding.Missing},
		{"nftables too", "3.10.0", nil, Conditions{Firewall: FirewallNFT}, "NF_TABLES", finding.Missing},
		{"raw is asked for from Docker 28 on", "6.1.0", off("IP_NF_RAW"), Conditions{Firewall: FirewallLegacy, Docker: "28.0.0"}, "IP_NF_RAW", finding.Missing},
		{"and not before", "6.1.0", off("IP_NF_RAW"), Conditions{Firewall: FirewallLegacy, Docker: "26.1.5"}, "IP_NF_RAW", finding.NotApplicable},
		{"hybrid asks as v1", "6.12.0", off("MEMCG_V1"), Conditions{Cgroup: CgroupHybrid}, "MEMCG_V1", finding.Missing},
		{"vsyscalls are off", "6.1.0", plus(off("LEGACY_VSYSCALL_XONLY LEGACY_VSYSCALL_EMULATE"), "LEGACY_VSYSCALL_NONE", "y"), Conditions{}, "LEGACY_VSYSCALL_NONE", finding.Disabled},
		{"no vsyscalls on ARM", "6.1.0", off("LEGACY_VSYSCALL_XONLY"), Conditions{Arch: "arm64"}, "LEGACY_VSYSCALL_XONLY", finding.NotApplicable},
	} {
		c := all(test.release, test.set)
		if test.conditions.Arch != "" {
			c.Arch = ""
		}
		if f := verdictOn(t, c, test.conditions, nil, "CONFIG_"+test.id); f.Status != test.want {
			t.Errorf("%s: %+v", test.name, f)
		}
	}
}

func TestSeverityDependsOnTheDaemon(t *testing.T) {
	c := all("6.12.0", map[string]string{"BRIDGE_NETFILTER": "n"})
	for _, test := range []struct {
		when Conditions
		want finding.Severity
	}{
		{Conditions{}, degraded}, {Conditions{NoUserlandProxy: true}, fatal}, {Conditions{NoICC: true}, fatal},
		{Conditions{NoUserlandProxy: true, Docker: "26.1.5"}, degraded}, {Conditions{NoICC: true, Docker: "26.1.5"}, fatal},
		{Conditions{NoUserlandProxy: true, Container: true}, degraded}, // there dockerd warns and goes on
	} {
		if f := verdictOn(t, c, test.when, nil, "CONFIG_BRIDGE_NETFILTER"); f.Severity != test.want {
			t.Errorf("%+v: %+v", test.when, f)
		}
	}
}

func TestModules(t *testing.T) {
	states := func(s map[string]ModuleState) Modules { return func(name string) ModuleState { return s[name] } }
	set := map[string]string{"VETH": "m", "IP_NF_TARGET_MASQUERADE": "m", "NETFILTER_XT_TARGET_MASQUERADE": "m", "SYSVIPC": "n",
		"IP_NF_NAT": "m", "NETFILTER_XT_NAT": "n"}
	for _, test := range []struct {
		name    string
		modules Modules
		id      string
		want    finding.Status
		note    string
	}{
		{"nothing is known", nil, "VETH", finding.OK, "not known"},
		{"unknown", states(nil), "VETH", finding.OK, "not known"},
		{"loadable", states(map[string]ModuleState{"veth": ModuleLoadable}), "VETH", finding.OK, "module veth"},
		{"loaded", states(map[string]ModuleState{"veth": ModuleLoaded}), "VETH", finding.OK, "module veth"},
		{"not installed", states(map[string]ModuleState{"veth": ModuleAbsent}), "VETH", finding.Missing, "neither loaded nor installed"},
		{"one of two names", states(map[string]ModuleState{"ipt_MASQUERADE": ModuleAbsent, "xt_MASQUERADE": ModuleLoadable}),
			"IP_NF_TARGET_MASQUERADE", finding.OK, "xt_MASQUERADE"},
		{"what serves as well is not installed either", states(map[string]ModuleState{"ipt_MASQUERADE": ModuleAbsent, "xt_MASQUERADE": ModuleAbsent}),
			"NETFILTER_XT_TARGET_MASQUERADE", finding.Missing, "neither"},
		{"what stands in is not installed", states(map[string]ModuleState{"iptable_nat": ModuleAbsent}), "NETFILTER_XT_NAT", finding.Missing, "selects it"},
		{"what stands in is installed", states(map[string]ModuleState{"iptable_nat": ModuleLoadable}), "NETFILTER_XT_NAT", finding.NotApplicable, "IP_NF_NAT"},
		{"an option without module", states(nil), "SYSVIPC", finding.Missing, ""},
	} {
		f := verdictOn(t, all("6.1.0", set), Conditions{Firewall: FirewallLegacy}, test.modules, "CONFIG_"+test.id)
		if f.Status != test.want || !strings.Contains(f.Note, test.note) {
			t.Errorf("%s: %+v", test.name, f)
		}
		if f.Status == finding.Missing && !strings.Contains(f.Fix, "CONFIG_"+test.id+"=") {
			t.Errorf("%s: what to do is %q", test.name, f.Fix)
		}
	}
}

func TestReleases(t *testing.T) {
	v1, v2 := Conditions{Cgroup: CgroupV1}, Conditions{Cgroup: CgroupV2}
	for _, test := range []struct {
		release    string
		conditions Conditions
		fatal      string
		degraded   string
		info       string
	}{
		{"2.6.18", v1, "release bug.lxc bug.moby-407", "", ""},
		{"2.6.32.61", v1, "release bug.moby-407", "bug.launchpad-720095", ""},
		{"3.2.0", v1, "release bug.moby-407", "", ""},
		{"3.5.7", v1, "release bug.moby-407", "", ""},
		{"3.7.0", v1, "release bug.moby-407", "", ""},
		{"3.8.0", v1, "release", "bug.moby-2960", ""},
		{"3.9.11", v1, "release", "bug.moby-2960", ""},
		{"3.10.0", v1, "", "bug.moby-2960", ""},
		{"3.10.0-327.el7.x86_64", v1, "", "overlay2", "bug.moby-2960"},
		{"3.10.0-1160.119.1.el7.x86_64", v1, "", "", "bug.moby-2960"},
		{"3.12.24", v1, "", "bug.moby-2960", ""},
		{"3.12.25", v1, "", "", ""},
		{"3.14.12", v1, "", "", ""},
		{"3.15.4", v1, "", "bug.moby-2960", ""},
		{"3.15.5", v1, "", "", ""},
		{"3.16.0", v1, "", "", ""},
		{"3.18.0", v1, "", "overlay2", ""},
		{"4.0.0", v1, "", "", ""},
		{"4.14.0", v2, "cgroup2", "", ""},
		{"4.15.0", v2, "", "cgroup2", ""},
		{"6.12.0", Conditions{Cgroup: CgroupV2, Docker: "19.03.15"}, "cgroup2.docker", "", ""},
		{"6.12.0", Conditions{Cgroup: CgroupV2, Docker: "20.10.24"}, "", "", ""},
		{"6.12.0", Conditions{Cgroup: CgroupV1, Docker: "17.03.0-ce"}, "", "", ""},
		{"5.1.0", v1, "", "", ""},
		{"5.2.0", v2, "", "bug.moby-39475", ""},
		{"5.2.21", Conditions{StorageDriver: "btrfs"}, "", "", ""},
		{"5.3.0", v2, "", "", ""},
		{"6.16.0", v2, "", "", ""},
		{"6.17.0", v2, "", "", "bug.bpf-revision"},
		{"7.1.0", v2, "", "", "bug.bpf-revision"},
		{"7.1.0", v1, "", "", ""},
		{"7.2.0", v2, "", "", ""},
	} {
		c := all(test.release, map[string]string{"CGROUP_BPF": "y"})
		if strings.Contains(test.release, "el7") {
			c.values["OVERLAY_FS"] = "m"
		}
		j := newJudgement(c, test.conditions, nil)
		findings := j.releases()
		if f := findings[0]; f.ID != "kernel.release" {
			t.Errorf("%s: first comes %+v", test.release, f)
		}
		for severity, want := range map[finding.Severity]string{fatal: test.fatal, degraded: test.degraded, info: test.info} {
			if got := strings.Join(losses(findings, severity), " "); got != want {
				t.Errorf("%s: %s are %q, want %q", test.release, severity, got, want)
			}
		}
		for _, f := range findings {
			if f.Bad() && (f.Fix == "" || !strings.Contains(f.Note, test.release)) {
				t.Errorf("%s: %+v", test.release, f)
			}
		}
	}
}

func TestAboutTheConfig(t *testing.T) {
	for _, test := range []struct {
		name   string
		config *Config
		when   Conditions
		status finding.Status
		note   string
	}{
		{"fine", all("6.1.192", nil), Conditions{Running: "6.1.0-56-cloud-amd64"}, finding.OK, ""},
		{"of another kernel", all("6.1.192", nil), Conditions{Running: "6.12.117+deb13-amd64"}, finding.Unknown, "not of the running 6.12.117"},
		{"of another old kernel", all("2.6.32", nil), Conditions{Running: "2.6.33"}, finding.Unknown, "not of the running"},
		{"of no kernel", all("", nil), Conditions{}, finding.OK, "does not say of which kernel"},
		{"none", nil, Conditions{}, finding.Unknown, "fragment"},
	} {
		f := Judge(test.config, test.when, nil)[0]
		if f.ID != "kernel.config" || f.Status != test.status || !strings.Contains(f.Note, test.note) {
			t.Errorf("%s: %+v", test.name, f)
		}
	}
	// A configuration without a release is judged by the running kernel, and by none as one of today.
	c := all("", map[string]string{"NF_NAT_IPV4": "", "IP_NF_NAT": "", "NFT_CHAIN_NAT_IPV4": ""})
	if f := verdictOn(t, c, Conditions{Firewall: FirewallLegacy, Running: "4.9.0"}, nil, "CONFIG_NF_NAT_IPV4"); f.Status != finding.Missing {
		t.Errorf("with the running kernel's release: %+v", f)
	}
	if f := verdictOn(t, c, Conditions{Firewall: FirewallLegacy}, nil, "CONFIG_NF_NAT_IPV4"); f.Status != finding.NotApplicable {
		t.Errorf("without any release: %+v", f)
	}
	if f := verdictOn(t, c, Conditions{}, nil, "release"); f.Status != finding.Unknown {
		t.Errorf("the release: %+v", f)
	}
}

// TestRuntime probes a captured system: what it shows is on, what it shows to be off is off, the rest is unknown.
func TestRuntime(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tree := fstest.MapFS{
		"proc/self/ns/uts": file(""), "proc/self/ns/ipc": file(""), "proc/self/ns/pid": file(""), "proc/self/ns/net": file(""),
		"proc/self/cgroup": file("0::/\n"), "proc/filesystems": file("nodev\tsysfs\nnodev\ttmpfs\nnodev\tmqueue\n\text4\nnodev\toverlay\n"),
		"proc/cgroups": file("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t1\n"), "sys/fs/cgroup/cgroup.controllers": file("cpuset cpu io pids\n"),
		"proc/modules": file(""), "proc/keys": file(""), "proc/net/unix": file(""), "proc/net/tcp": file(""), "proc/net/netfilter/nf_log": file(""),
		"proc/sys/net/bridge/bridge-nf-call-iptables": file("1\n"), "proc/sys/fs/epoll/max_user_watches": file("1\n"),
	}
	modules := func(name string) ModuleState {
		switch name {
		case "veth":
			return ModuleLoadable
		case "nf_nat":
			return ModuleAbsent
		}
		return ModuleUnknown
	}
	c := Runtime(tree, "6.12.43")
	findings := map[string]finding.Finding{}
	for _, f := range Judge(c, Conditions{Firewall: FirewallLegacy}, modules) {
		findings[strings.TrimPrefix(f.ID, "kernel.CONFIG_")] = f
	}
	for name, want := range map[string]finding.Status{
		"NET_NS": finding.OK, "OVERLAY_FS": finding.OK, "POSIX_MQUEUE": finding.OK, "CGROUP_PIDS": finding.OK, "MEMCG": finding.OK, "CGROUP_SCHED": finding.OK,
		"BLK_CGROUP": finding.OK, "BRIDGE_NETFILTER": finding.OK, "FUTEX": finding.OK, "MULTIUSER": finding.OK, "TMPFS": finding.OK,
		"USER_NS": finding.Missing, "TIME_NS": finding.Missing, // no file of theirs in /proc/self/ns
		"VETH": finding.OK, "NF_NAT": finding.Missing, // by their modules
		"CGROUP_BPF": finding.Unknown, "NETFILTER_XT_MATCH_ADDRTYPE": finding.Unknown, "SECCOMP_FILTER": finding.Unknown,
		"kernel.config": finding.Unknown,
	} {
		if f := findings[name]; f.Status != want {
			t.Errorf("%s: %+v, want %s", name, f, want)
		}
	}
	if note := findings["kernel.config"].Note; !strings.Contains(note, "probed") {
		t.Errorf("it is not said that nothing was read: %q", note)
	}
	// Without /proc nothing can be said to be off.
	for _, f := range Judge(Runtime(fstest.MapFS{}, ""), Conditions{}, nil) {
		if f.Bad() {
			t.Errorf("without /proc: %+v", f)
		}
	}
}

// TestWhatIsAssumed is about conditions that the caller leaves open.
func TestWhatIsAssumed(t *testing.T) {
	without := func(release string, names ...string) *Config {
		set := map[string]string{}
		for _, name := range names {
			set[name] = "n"
		}
		return all(release, set)
	}
	for _, test := range []struct {
		name     string
		config   *Config
		cgroup   CgroupMode
		firewall Firewall
	}{
		{"today", without("6.12.0"), CgroupV2, FirewallNFT},
		{"v2 lacks what Docker uses", without("5.1.0"), CgroupV1, FirewallNFT},
		{"v2 cannot control devices", without("6.1.0", "CGROUP_BPF"), CgroupV1, FirewallNFT},
		{"iptables-nft is too new", without("4.17.0"), CgroupV1, FirewallLegacy},
		{"only legacy works", without("6.1.0", "NFT_COMPAT"), CgroupV2, FirewallLegacy},
		{"only nft works", without("4.17.0", "IP_NF_FILTER"), CgroupV1, FirewallNFT},
		{"neither works, nft lacks less", without("6.1.0", "NFT_COMPAT", "IP_NF_FILTER", "IP_NF_RAW"), CgroupV2, FirewallNFT},
		{"neither works, legacy lacks less", without("6.1.0", "NFT_COMPAT", "NF_TABLES", "IP_NF_FILTER"), CgroupV2, FirewallLegacy},
	} {
		j := newJudgement(test.config, Conditions{}, nil)
		if j.Cgroup != test.cgroup || j.Firewall != test.firewall {
			t.Errorf("%s: %s and %s, want %s and %s", test.name, j.Cgroup, j.Firewall, test.cgroup, test.firewall)
		}
	}
	if j := newJudgement(&Config{}, Conditions{}, nil); j.Cgroup != CgroupV2 {
		t.Errorf("a fragment: %s", j.Cgroup)
	}
}

// TestFragmentWithAnotherName: an option that a fragment turns off is not missing while one that serves as well is open.
func TestFragmentWithAnotherName(t *testing.T) {
	c := all("6.1.0", map[string]string{"NETFILTER_XT_TARGET_MASQUERADE": "n", "IP_NF_TARGET_MASQUERADE": ""})
	c.Complete = false
	f := verdictOn(t, c, Conditions{Firewall: FirewallLegacy}, nil, "CONFIG_NETFILTER_XT_TARGET_MASQUERADE")
	if f.Status != finding.Unknown {
		t.Errorf("the other name is open: %+v", f)
	}
	// A fragment is of no kernel whose modules could be looked at.
	absent := func(string) ModuleState { return ModuleAbsent }
	if f := verdictOn(t, &Config{}, Conditions{}, absent, "CONFIG_VETH"); f.Status != finding.Unknown {
		t.Errorf("with modules of another kernel: %+v", f)
	}
	c.values["IP_NF_TARGET_MASQUERADE"] = "n"
	f = verdictOn(t, c, Conditions{Firewall: FirewallLegacy}, nil, "CONFIG_NETFILTER_XT_TARGET_MASQUERADE")
	if f.Status != finding.Missing {
		t.Errorf("both names are off: %+v", f)
	}
}
