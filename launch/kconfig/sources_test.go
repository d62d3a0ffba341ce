package kconfig

import (
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// TestOldLists goes through the options that lists of Docker's first years name (for Exherbo and Gentoo, and in the first
// documentation), each at a release where it matters and one where it does not, with what is expected written out.
func TestOldLists(t *testing.T) {
	v1, v2, legacy := Conditions{Cgroup: CgroupV1}, Conditions{Cgroup: CgroupV2}, Conditions{Firewall: FirewallLegacy}
	with := func(c Conditions, change func(*Conditions)) Conditions { change(&c); return c }
	old := func(version string) Conditions { return Conditions{Docker: version} }
	ext4 := Conditions{DataRootFS: "ext4"}
	for _, test := range []struct {
		name    string
		release string     // where it matters
		when    Conditions // under which it does
		off     string     // what else has to be off, so that nothing stands in
		status  finding.Status
		weight  finding.Severity
		lost    string // part of what is lost
		other   string // a release where it does not matter
		otherIf Conditions
	}{
		{"NAMESPACES", "6.12.0", v2, "", finding.Missing, fatal, "containers", "", v2},
		{"NET_NS", "3.10.0", v1, "", finding.Missing, fatal, "network namespaces", "", v1},
		{"PID_NS", "4.19.0", v1, "", finding.Missing, fatal, "PID namespaces", "", v1},
		{"IPC_NS", "4.19.0", v1, "", finding.Missing, fatal, "IPC namespaces", "", v1},
		{"UTS_NS", "4.19.0", v1, "", finding.Missing, fatal, "host names", "", v1},
		{"USER_NS", "6.1.0", v2, "", finding.Missing, degraded, "--userns-remap", "", v2},
		{"UIDGID_STRICT_TYPE_CHECKS", "3.13.0", v1, "USER_NS", finding.Missing, info, "nothing today", "3.14.0", v1},
		{"DEVPTS_MULTIPLE_INSTANCES", "4.6.0", v1, "", finding.Missing, fatal, "docker run -t", "4.7.0", v1},
		{"CGROUPS", "6.12.0", v2, "", finding.Missing, fatal, "containers", "", v2},
		{"CGROUP_DEVICE", "6.12.0", v1, "", finding.Missing, fatal, "containers", "6.12.0", v2},
		{"CGROUP_CPUACCT", "5.4.0", v1, "", finding.Missing, degraded, "docker stats", "5.4.0", v2},
		{"CGROUP_FREEZER", "5.4.0", v1, "", finding.Missing, degraded, "docker pause", "5.4.0", v2},
		{"CGROUP_SCHED", "5.4.0", v2, "", finding.Missing, degraded, "--cpus", "", v2},
		{"CGROUP_PERF", "5.4.0", v2, "", finding.Missing, info, "perf", "2.6.38", v1},
		{"MEMCG", "6.12.0", v2, "", finding.Missing, degraded, "--memory", "3.5.0", v1},
		{"MEMCG_SWAP", "5.7.0", v1, "", finding.Missing, degraded, "--memory-swap", "5.8.0", v1},
		{"RESOURCE_COUNTERS", "3.18.0", v1, "MEMCG", finding.Missing, degraded, "memory controller", "3.19.0", v1},
		{"MM_OWNER", "3.15.0", v1, "MEMCG", finding.Missing, info, "nothing itself", "3.16.0", v1},
		{"NETFILTER_ADVANCED", "6.1.0", legacy, "NETFILTER_XT_MATCH_ADDRTYPE", finding.Missing, info, "NETFILTER_XT_MATCH_ADDRTYPE", "6.1.0", Conditions{Firewall: FirewallNone}},
		{"VETH", "6.12.0", v2, "", finding.Missing, fatal, "bridge networking", "6.12.0", with(v2, func(c *Conditions) { c.NoBridge = true })},
		{"BRIDGE", "6.12.0", v2, "", finding.Missing, fatal, "docker0", "6.12.0", with(v2, func(c *Conditions) { c.NoBridge = true })},
		{"BRIDGE_NETFILTER", "6.12.0", v2, "", finding.Missing, degraded, "--icc=false", "6.12.0", with(v2, func(c *Conditions) { c.NoBridge = true })},
		{"BRIDGE_NETFILTER", "6.12.0", with(v2, func(c *Conditions) { c.NoUserlandProxy = true }), "", finding.Missing, fatal, "does not start", "", v2},
		{"BRIDGE_IGMP_SNOOPING", "6.12.0", v2, "", finding.Missing, info, "multicast", "2.6.33", v1},
		{"STP", "6.12.0", v2, "BRIDGE", finding.Missing, info, "nothing itself", "6.12.0", with(v2, func(c *Conditions) { c.NoBridge = true })},
		{"LLC", "6.12.0", v2, "BRIDGE", finding.Missing, info, "nothing itself", "6.12.0", with(v2, func(c *Conditions) { c.NoBridge = true })},
		{"VLAN_8021Q", "6.12.0", v2, "", finding.Missing, info, "VLAN", "", v2},
		{"MACVLAN", "6.12.0", v2, "", finding.Missing, info, "macvlan", "", v2},
		{"NF_NAT", "6.12.0", v2, "", finding.Missing, fatal, "address translation", "6.12.0", Conditions{Firewall: FirewallNone}},
		{"NF_NAT_NEEDED", "5.1.0", v1, "NF_NAT", finding.Missing, info, "nothing itself", "5.2.0", v1},
		{"NF_NAT_IPV4", "5.0.0", legacy, "IP_NF_NAT NFT_CHAIN_NAT_IPV4", finding.Missing, fatal, "address translation", "5.1.0", legacy},
		{"NF_NAT_IPV4", "3.10.0", legacy, "IP_NF_NAT NFT_CHAIN_NAT_IPV4", finding.Missing, fatal, "address translation", "3.6.0", legacy},
		{"NF_NAT_IPV6", "4.14.0", legacy, "IP6_NF_NAT NFT_CHAIN_NAT_IPV6", finding.Missing, degraded, "IPv6", "5.1.0", legacy},
		{"NF_NAT_FTP", "6.1.0", v2, "", finding.Missing, info, "FTP", "", v2},
		{"NF_NAT_IRC", "6.1.0", v2, "", finding.Missing, info, "DCC", "", v2},
		{"NF_NAT_SIP", "6.1.0", v2, "", finding.Missing, info, "SIP", "", v2},
		{"NETFILTER_XT_MATCH_ADDRTYPE", "6.1.0", legacy, "", finding.Missing, fatal, "addrtype", "2.6.38", legacy},
		{"NETFILTER_XT_MATCH_CONNTRACK", "6.1.0", legacy, "", finding.Missing, fatal, "conntrack", "6.1.0", Conditions{Firewall: FirewallNFTables}},
		{"IP_NF_TARGET_MASQUERADE", "5.1.0", legacy, "", finding.Missing, fatal, "beyond their host", "5.2.0", legacy},
		{"IP6_NF_TARGET_MASQUERADE", "5.1.0", legacy, "", finding.Missing, degraded, "IPv6", "5.2.0", legacy},
		{"OVERLAY_FS", "6.1.0", old("26.1.5"), "", finding.Missing, degraded, "vfs", "6.1.0", Conditions{StorageDriver: "vfs"}},
		{"OVERLAY_FS", "6.1.0", old("29.0.1"), "", finding.Missing, fatal, "snapshotter", "6.1.0", Conditions{StorageDriver: "btrfs"}},
		{"AUFS_FS", "3.13.0", old("1.7.1"), "OVERLAY_FS", finding.Missing, info, "aufs driver", "6.1.0", old("24.0.0")},
		{"BLK_DEV_DM", "3.13.0", old("1.7.1"), "OVERLAY_FS", finding.Missing, info, "devicemapper", "6.1.0", old("25.0.0")},
		{"DM_THIN_PROVISIONING", "3.13.0", old("1.7.1"), "OVERLAY_FS", finding.Missing, info, "devicemapper", "6.1.0", old("25.0.0")},
		{"DM_BUFIO", "3.13.0", old("1.7.1"), "OVERLAY_FS DM_THIN_PROVISIONING", finding.Missing, info, "nothing itself", "6.1.0", old("25.0.0")},
		{"DM_BIO_PRISON", "3.13.0", old("1.7.1"), "OVERLAY_FS DM_THIN_PROVISIONING", finding.Missing, info, "nothing itself", "6.1.0", old("25.0.0")},
		{"DM_PERSISTENT_DATA", "3.13.0", old("1.7.1"), "OVERLAY_FS DM_THIN_PROVISIONING", finding.Missing, info, "nothing itself", "6.1.0", old("25.0.0")},
		{"BTRFS_FS", "6.1.0", Conditions{DataRootFS: "btrfs"}, "", finding.Missing, degraded, "btrfs", "6.1.0", ext4},
		{"ZFS", "6.1.0", v2, "OVERLAY_FS", finding.Missing, info, "zfs", "6.1.0", v2},
		{"EXT4_FS_POSIX_ACL", "6.1.0", ext4, "", finding.Missing, degraded, "access lists", "6.1.0", Conditions{DataRootFS: "xfs"}},
		{"EXT4_FS_SECURITY", "6.1.0", ext4, "", finding.Missing, degraded, "capabilities", "6.1.0", Conditions{DataRootFS: "xfs"}},
		{"CHECKPOINT_RESTORE", "6.1.0", v2, "", finding.Missing, info, "checkpoint", "2.6.38", v1},
		{"PROC_FS", "6.1.0", v2, "", finding.Missing, fatal, "/proc", "", v2},
		{"SYSFS", "6.1.0", v2, "", finding.Missing, fatal, "/sys", "", v2},
		{"TMPFS", "6.1.0", v2, "", finding.Missing, fatal, "/run", "", v2},
		{"MODULES", "6.1.0", v2, "", finding.Missing, info, "modules", "", v2},
	} {
		set := map[string]string{test.name: "n"}
		for name := range strings.FieldsSeq(test.off) {
			set[name] = "n"
		}
		f := verdictOn(t, all(test.release, set), test.when, nil, "CONFIG_"+test.name)
		if f.Status != test.status || f.Severity != test.weight || !strings.Contains(f.Lost, test.lost) {
			t.Errorf("%s off in %s: %+v", test.name, test.release, f)
		}
		if f := verdictOn(t, all(test.release, map[string]string{test.name: "y"}), test.when, nil, "CONFIG_"+test.name); f.Status != finding.OK {
			t.Errorf("%s on in %s: %+v", test.name, test.release, f)
		}
		if test.other == "" {
			continue
		}
		f = verdictOn(t, all(test.other, map[string]string{test.name: ""}), test.otherIf, nil, "CONFIG_"+test.name)
		if f.Status != finding.NotApplicable || f.Note == "" || f.Lost != "" {
			t.Errorf("%s off in %s, where it does not matter: %+v", test.name, test.other, f)
		}
	}
}
