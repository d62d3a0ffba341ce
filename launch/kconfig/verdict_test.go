package kconfig

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// losses are the IDs, without "kernel.", of what is lost and as bad as severity.
func losses(findings []finding.Finding, severity finding.Severity) []string {
	var ids []string
	for _, f := range findings {
		if f.Bad() && f.Severity == severity {
			ids = append(ids, strings.TrimPrefix(strings.TrimPrefix(f.ID, "kernel."), "CONFIG_"))
		}
	}
	return ids
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		file       string
		conditions Conditions
		want       finding.Conclusion
		fatal      string // what is lost, "" for whatever it is
		degraded   string
	}{
		{"6.17-nft-only.config", Conditions{Firewall: FirewallNFT}, finding.WillRun, "", ""},
		{"6.17-nft-only.config", Conditions{}, finding.WillRun, "", ""},
		{"6.17-nft-only.config", Conditions{Firewall: FirewallNFTables}, finding.WillRun, "", ""},
		{"6.17-nft-only.config", Conditions{Firewall: FirewallNone}, finding.WillRun, "", ""},
		{"6.17-nft-only.config", Conditions{Firewall: FirewallLegacy, NoIPv6: true}, finding.WillFail,
			"IP_NF_IPTABLES NETFILTER_XTABLES_LEGACY IP_NF_IPTABLES_LEGACY IP_NF_FILTER IP_NF_NAT IP_NF_RAW", ""},
		{"6.17-nft-only.config", Conditions{Firewall: FirewallLegacy, NoIPv6: true, Docker: "27.0.0"}, finding.WillFail,
			"IP_NF_IPTABLES NETFILTER_XTABLES_LEGACY IP_NF_IPTABLES_LEGACY IP_NF_FILTER IP_NF_NAT", ""},
		{"6.17-nft-only.config", Conditions{Cgroup: CgroupV1}, finding.WithLoss, "", "CPUSETS_V1 MEMCG_V1"},
		{"6.17-nft-only.config", Conditions{Cgroup: CgroupHybrid}, finding.WithLoss, "", "CPUSETS_V1 MEMCG_V1"},
		{"6.18-no-cgroup-v1.config", Conditions{Cgroup: CgroupV2}, finding.WillRun, "", ""},
		{"6.18-no-cgroup-v1.config", Conditions{}, finding.WillRun, "", ""},
		{"6.18-no-cgroup-v1.config", Conditions{Firewall: FirewallLegacy}, finding.WillRun, "", ""},
		{"6.18-no-cgroup-v1.config", Conditions{Cgroup: CgroupV1}, finding.WillFail, "CGROUP_DEVICE", "CGROUP_CPUACCT CGROUP_FREEZER CPUSETS_V1 MEMCG_V1"},
		{"6.12-no-veth.config", Conditions{}, finding.WillFail, "VETH", ""},
		{"6.12-no-veth.config", Conditions{NoBridge: true}, finding.WillRun, "", ""},
		{"3.5.config", Conditions{Docker: "1.11.0"}, finding.WillFail, "release bug.moby-407", "OVERLAY_FS"},
		{"2.6.32.config", Conditions{Docker: "1.7.1", StorageDriver: "devicemapper"}, finding.WillFail, "release bug.moby-407", "bug.launchpad-720095"},
	} {
		c, err := Read(filepath.Join("testdata", test.file))
		if err != nil {
			t.Fatal(err)
		}
		findings := Judge(c, test.conditions, nil)
		if got := finding.Verdict(findings); got != test.want {
			t.Errorf("%s, %+v: %s, want %s", test.file, test.conditions, got, test.want)
		}
		if got := losses(findings, fatal); test.fatal != "" && strings.Join(got, " ") != test.fatal || test.want == finding.WillRun && got != nil {
			t.Errorf("%s, %+v: fatal are %v, want %s", test.file, test.conditions, got, test.fatal)
		}
		if got := losses(findings, degraded); test.degraded != "" && strings.Join(got, " ") != test.degraded || test.want == finding.WillRun && got != nil {
			t.Errorf("%s, %+v: degraded are %v, want %s", test.file, test.conditions, got, test.degraded)
		}
	}
}

func TestVerdictsSayWhy(t *testing.T) {
	for file, words := range map[string][]string{
		"6.12-no-veth.config":  {"bridge networking", "--bridge=none", "CONFIG_VETH=m"},
		"3.5.config":           {"#407", "3.8 or later", "3.10"},
		"2.6.32.config":        {"#407", "720095", "3.10", "PR_SET_CHILD_SUBREAPER"},
		"6.17-nft-only.config": {"iptables-legacy", "or use iptables-nft", "PREEMPT_RT"},
	} {
		c, err := Read(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, f := range Judge(c, Conditions{Firewall: FirewallLegacy}, nil) {
			if f.Bad() {
				text.WriteString(f.Lost + "\n" + f.Fix + "\n" + f.Note + "\n")
			}
		}
		for _, word := range words {
			if !strings.Contains(text.String(), word) {
				t.Errorf("%s: nothing says %q", file, word)
			}
		}
	}
}

// TestFragments is about files that leave out what is as it would be anyway: nothing that they do not name is missing.
func TestFragments(t *testing.T) {
	for file, missing := range map[string][]string{
		"docker.fragment": nil, // of IP_NF_TARGET_MASQUERADE there is another name that it may have
		"savedefconfig":   {"VETH"},
	} {
		c, err := Read(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if c.Complete {
			t.Errorf("%s: taken for complete", file)
		}
		findings := Judge(c, Conditions{Firewall: FirewallLegacy}, nil)
		if got := losses(findings, fatal); !slices.Equal(got, missing) {
			t.Errorf("%s: lost is %v, want %v", file, got, missing)
		}
		if got := losses(findings, degraded); got != nil {
			t.Errorf("%s: lost is %v", file, got)
		}
		unknown := 0
		for _, f := range findings {
			if f.Status == finding.Unknown {
				unknown++
			}
		}
		if unknown < 50 {
			t.Errorf("%s: only %d findings are unknown", file, unknown)
		}
		want := finding.WithLoss
		if missing != nil {
			want = finding.WillFail
		}
		if got := finding.Verdict(findings); got != want {
			t.Errorf("%s: %s", file, got)
		}
		if f := findings[0]; f.ID != "kernel.config" || f.Status != finding.Unknown || !strings.Contains(f.Note, "fragment") {
			t.Errorf("%s: %+v", file, f)
		}
	}
}

// debianConfig is the configuration of one of Debian's kernels.
func debianConfig(t testing.TB, k vm.Kernel) *Config {
	t.Helper()
	root := filepath.Dir(k.Image)
	c, _, err := Find(root, k.Release)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDebian(t *testing.T) {
	for _, name := range []string{"6.1", "6.12", "6.12-full", "sid"} {
		k := vm.KernelNamed(t, name)
		c := debianConfig(t, k)
		if !c.Complete || c.Garbage != 0 || c.Arch != "x86" || !strings.HasPrefix(k.Release, strings.Join(strings.Split(c.Text, ".")[:2], ".")) {
			t.Errorf("%s: %s, %s, complete %v, %d lines of garbage", name, c.Text, c.Arch, c.Complete, c.Garbage)
		}
		modules := installed(t, k.Modules)
		for _, conditions := range []Conditions{
			{Running: k.Release}, {Firewall: FirewallLegacy}, {Firewall: FirewallNFT}, {Firewall: FirewallNFTables}, {Swarm: true, DataRootFS: "ext4"},
		} {
			findings := Judge(c, conditions, modules)
			if got := finding.Verdict(findings); got != finding.WillRun {
				t.Errorf("%s, %+v: %s: %v %v", name, conditions, got, losses(findings, fatal), losses(findings, degraded))
			}
			if findings[0].Status != finding.OK {
				t.Errorf("%s: %+v", name, findings[0])
			}
		}
		findings := Judge(c, Conditions{Cgroup: CgroupV1}, modules)
		want := []string{"CPUSETS_V1", "MEMCG_V1"}
		if name == "6.1" {
			want = nil
		}
		if got := losses(findings, degraded); !slices.Equal(got, want) {
			t.Errorf("%s on cgroup v1: %v, want %v", name, got, want)
		}
		// What the table calls modules is what they are called.
		for _, o := range Names() {
			if row := find(o); c.Value(o) == "m" && row.module != "" {
				if state, _ := modules.state(row.module); state == ModuleAbsent {
					t.Errorf("%s: %s builds a module, and it is not called %s", name, o, row.module)
				}
			}
		}
	}
}

// installed are the modules that depmod's index names.
func installed(t *testing.T, dir string) Modules {
	t.Helper()
	states := map[string]ModuleState{}
	for file, state := range map[string]ModuleState{"modules.dep": ModuleLoadable, "modules.builtin": ModuleLoaded} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			path, _, _ := strings.Cut(strings.TrimSpace(line), ":")
			name, _, _ := strings.Cut(filepath.Base(path), ".ko")
			states[strings.ReplaceAll(name, "-", "_")] = state
		}
	}
	return func(name string) ModuleState {
		if s, ok := states[name]; ok {
			return s
		}
		return ModuleAbsent
	}
}

func TestThisMachine(t *testing.T) {
	c, err := Read("/proc/config.gz")
	if err != nil {
		t.Logf("this machine's kernel does not show its configuration, so there is nothing to look at: %v", err)
		return
	}
	if !c.Complete || c.Garbage != 0 || !c.Release.Known() {
		t.Errorf("%s: complete %v, %d lines of garbage", c.Text, c.Complete, c.Garbage)
	}
}
