package kconfig

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

func TestExplain(t *testing.T) {
	for name, words := range map[string][]string{
		"CONFIG_VETH":          {"CONFIG_VETH (bridge networks)", "always, unless dockerd runs with --bridge=none", "2.6.24 and later", "bridge networking", "fatal", "module: veth", "generally necessary"},
		"nf_nat_ipv4":          {"3.7 to 5.0", "took its place: CONFIG_NF_NAT", "CONFIG_NF_CONNTRACK_IPV4 (up to 4.18)", "3bf195ae6037"},
		" config_Overlay_fs ":  {"CONFIG_OVERLAY_FS", "fatal from Docker 29 on", "-s vfs"},
		"AUFS_FS":              {"none of the mainline", "up to Docker 23", "btrfs"},
		"LEGACY_VSYSCALL_NONE": {"lost where it is on", "to be off", "vsyscall=emulate"},
		"STP":                  {"BRIDGE selects it", "no question of its own"},
		"IP_NF_NAT":            {"CONFIG_NF_NAT_IPV4 (up to 3.16)", "CONFIG_NETFILTER_XTABLES_LEGACY (from 6.17 on)"},
		"EXT3_FS":              {"up to 6.17", "up to kernel 4.2"},
		"BRIDGE_NETFILTER":     {"br_netfilter", "--icc=false", "DOCKER_IGNORE_BR_NETFILTER_ERROR"},
		"CGROUP_DEVICE":        {"on cgroup v1", "CONFIG_CGROUP_BPF"},
		"MEMCG_SWAP":           {"3.6 to 6.0", "up to kernel 5.7"},
		"OVERLAYFS_FS":         {"patched ones"},
		"IOSCHED_CFQ":          {"up to 4.20"},
		"PROC_FS":              {"asked for: always", "in kernels: all"},
	} {
		text, err := Explain(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%s: nothing says %q:\n%s", name, word, text)
			}
		}
	}
	for _, name := range Names() {
		if text, err := Explain(strings.ToLower(name)); err != nil || strings.Count(text, "\n") < 4 {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func TestExplainUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"VET": "VETH", "CONFIG_BRIGDE": "BRIDGE", "overlay": "OVERLAY_FS", "nf_nat_ipv5": "NF_NAT_IPV4", "XYZZY_PLUGH": "", "": "",
		strings.Repeat("A", 1<<20): "",
	} {
		_, err := Explain(name)
		var unknown *UnknownOptionError
		if !errors.As(err, &unknown) || len(err.Error()) > 300 {
			t.Errorf("%s: %v", clip(name), err)
			continue
		}
		if want == "" && len(unknown.Nearest) > 0 || want != "" && !slices.Contains(unknown.Nearest, want) {
			t.Errorf("%s: nearest are %v, want %q", clip(name), unknown.Nearest, want)
		}
	}
}

// merge lays a fragment over a configuration, as make olddefconfig would.
func merge(t *testing.T, c *Config, text string) *Config {
	t.Helper()
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("the fragment does not parse: %v\n%s", err, text)
	}
	if f.Garbage+f.Duplicates > 0 {
		t.Errorf("the fragment has %d lines of garbage, sets %d options twice:\n%s", f.Garbage, f.Duplicates, text)
	}
	merged := *c
	merged.values = map[string]string{}
	for _, values := range []map[string]string{c.values, f.values} {
		for name, value := range values {
			merged.values[name] = value
		}
	}
	return &merged
}

func TestFragmentMends(t *testing.T) {
	for _, test := range []struct {
		file       string
		conditions Conditions
		within     []string
	}{
		{"6.12-no-veth.config", Conditions{}, []string{"CONFIG_VETH=m"}},
		{"6.17-nft-only.config", Conditions{Firewall: FirewallLegacy}, []string{"CONFIG_NETFILTER_XTABLES_LEGACY=y", "CONFIG_IP_NF_IPTABLES_LEGACY=m", "CONFIG_IP_NF_NAT=m"}},
		{"6.17-nft-only.config", Conditions{Cgroup: CgroupV1}, []string{"CONFIG_MEMCG_V1=y", "CONFIG_CPUSETS_V1=y"}},
		{"6.18-no-cgroup-v1.config", Conditions{Cgroup: CgroupV1}, []string{"CONFIG_CGROUP_DEVICE=y"}},
		{"3.5.config", Conditions{Docker: "1.11.0"}, []string{"OVERLAY_FS came with kernel 3.18"}},
		{"savedefconfig", Conditions{}, []string{"CONFIG_VETH=m"}},
	} {
		c, err := Read(filepath.Join("testdata", test.file))
		if err != nil {
			t.Fatal(err)
		}
		text := Fragment(c, Judge(c, test.conditions, nil))
		for _, want := range test.within {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the fragment has no %s:\n%s", test.file, want, text)
			}
		}
		for _, f := range Judge(merge(t, c, text), test.conditions, nil) {
			if f.Status == finding.Missing && strings.HasPrefix(f.ID, "kernel.CONFIG_") && !strings.Contains(f.Note, "older than") &&
				find(f.ID[len("kernel.CONFIG_"):]).marks&(outside|helper) == 0 {
				t.Errorf("%s: missing all the same: %+v", test.file, f)
			}
		}
	}
}

func TestFragmentForms(t *testing.T) {
	c := all("6.1.0", nil)
	c.values["MODULES"] = "n"
	c.values["VETH"] = "n"
	if text := Fragment(c, Judge(c, Conditions{}, nil)); !strings.Contains(text, "CONFIG_VETH=y\n") {
		t.Errorf("a kernel without modules:\n%s", text)
	}
	c.values["MODULES"] = "y"
	c.values["VETH"] = "m"
	absent := func(name string) ModuleState {
		if name == "veth" {
			return ModuleAbsent
		}
		return ModuleLoaded
	}
	if text := Fragment(c, Judge(c, Conditions{}, absent)); !strings.Contains(text, "CONFIG_VETH=y\n") {
		t.Errorf("a module that is not installed:\n%s", text)
	}
	if text := Fragment(nil, []finding.Finding{{ID: "kernel.CONFIG_NO_SUCH", Status: finding.Missing, Severity: fatal}, {ID: "storage.x", Status: finding.Missing, Severity: fatal}}); text != "" {
		t.Errorf("what is not the kernel's: %q", text)
	}
	if text := Fragment(nil, []finding.Finding{{ID: "kernel.CONFIG_CGROUP_BPF", Status: finding.Missing, Severity: fatal}}); !strings.Contains(text, "CONFIG_BPF_SYSCALL=y\nCONFIG_CGROUP_BPF=y\n") {
		t.Errorf("what it needs: %q", text)
	}
}

// TestFragmentOfDebian: worst first, and every kernel of Debian's is mended for cgroup v1.
func TestFragmentOfDebian(t *testing.T) {
	c := debianConfig(t, vm.KernelNamed(t, "6.12"))
	conditions := Conditions{Cgroup: CgroupV1}
	text := Fragment(c, Judge(c, conditions, nil))
	if got := losses(Judge(merge(t, c, text), conditions, nil), degraded); got != nil {
		t.Errorf("missing all the same: %v in\n%s", got, text)
	}
}
