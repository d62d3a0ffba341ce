package kconfig

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// checkConfig are the options that moby's contrib/check-config.sh has asked for in any of its versions.
const checkConfig = `NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CGROUPS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_SCHED CPUSETS MEMCG KEYS
	VETH BRIDGE BRIDGE_NETFILTER IP_NF_FILTER IP_NF_MANGLE IP_NF_TARGET_MASQUERADE IP6_NF_FILTER IP6_NF_MANGLE IP6_NF_TARGET_MASQUERADE
	NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_CONNTRACK NETFILTER_XT_MATCH_IPVS NETFILTER_XT_MARK IP_NF_RAW IP_NF_NAT NF_NAT
	IP6_NF_RAW IP6_NF_NAT POSIX_MQUEUE DEVPTS_MULTIPLE_INSTANCES NF_NAT_IPV4 NF_NAT_NEEDED CGROUP_BPF USER_NS SECCOMP SECCOMP_FILTER
	CGROUP_PIDS MEMCG_SWAP MEMCG_SWAP_ENABLED LEGACY_VSYSCALL_NATIVE LEGACY_VSYSCALL_EMULATE LEGACY_VSYSCALL_NONE MEMCG_KMEM
	RESOURCE_COUNTERS NETPRIO_CGROUP CGROUP_NET_PRIO IOSCHED_CFQ CFQ_GROUP_IOSCHED BLK_CGROUP BLK_DEV_THROTTLING CGROUP_PERF CGROUP_HUGETLB
	NET_CLS_CGROUP CFS_BANDWIDTH FAIR_GROUP_SCHED RT_GROUP_SCHED IP_NF_TARGET_REDIRECT IP_VS IP_VS_NFCT IP_VS_PROTO_TCP IP_VS_PROTO_UDP
	IP_VS_RR SECURITY_SELINUX SECURITY_APPARMOR EXT3_FS EXT3_FS_XATTR EXT3_FS_POSIX_ACL EXT3_FS_SECURITY EXT4_FS EXT4_FS_POSIX_ACL
	EXT4_FS_SECURITY EXT4_USE_FOR_EXT2 VXLAN BRIDGE_VLAN_FILTERING CRYPTO CRYPTO_AEAD CRYPTO_GCM CRYPTO_SEQIV CRYPTO_GHASH XFRM XFRM_USER
	XFRM_ALGO INET_ESP NETFILTER_XT_MATCH_BPF INET_XFRM_MODE_TRANSPORT IPVLAN MACVLAN DUMMY NF_NAT_FTP NF_CONNTRACK_FTP NF_NAT_TFTP
	NF_CONNTRACK_TFTP BTRFS_FS BTRFS_FS_POSIX_ACL OVERLAY_FS AUFS_FS BLK_DEV_DM DM_THIN_PROVISIONING NF_TABLES NFT_CT NFT_FIB NFT_FIB_IPV4
	NFT_FIB_IPV6 NFT_MASQ NFT_NAT IP_SCTP IP_SET IP_SET_HASH_NET NETFILTER_XT_SET`

// others are options that the table leans on without asking for them.
const others = "IKCONFIG SMP SWAP SECURITY PERF_EVENTS HUGETLBFS IOSCHED_BFQ NET_SCHED NF_CONNTRACK_IRC NF_CONNTRACK_SIP EXT2_FS PAGE_COUNTER"

func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	names := Names()
	for _, name := range names {
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
	known := func(name string) bool { return seen[name] || slices.Contains(strings.Fields(others), name) }
	for _, name := range strings.Fields(checkConfig) {
		if !seen[name] {
			t.Errorf("check-config.sh asks for %s, the table does not know it", name)
		}
	}
	for _, name := range names {
		o := find(name)
		var bounds []string
		for _, item := range strings.Fields(o.alt + " " + o.needs + " " + o.instead) {
			n, bound, _ := strings.Cut(item, "=")
			n = strings.TrimRight(n, "<>")
			if !known(n) {
				t.Errorf("%s: nothing is known of %s", name, n)
			}
			if n == name {
				t.Errorf("%s leans on itself", name)
			}
			bounds = append(bounds, bound)
		}
		for _, b := range bounds {
			if r, ok := ParseRelease(b); b != "" && (!ok || r.before(2_6_18)) {
				t.Errorf("%s: the bound %q is no release", name, b)
			}
		}
		for _, b := range []series{o.since, o.until, o.asked} {
			if r := b.release(); b != 0 && (r.before(2_6_18) || r.Major > 7 || r.Minor > 30 || r.Patch > 39) {
				t.Errorf("%s: the bound %d is no release", name, b)
			}
		}
		if r := o.since.release(); r.after(o.until) || r.after(o.asked) {
			t.Errorf("%s: comes with %s, goes with %s, asked for until %s", name, o.since, o.until, o.asked)
		}
		if o.lost == "" || o.worse != 0 && o.worst <= o.severity {
			t.Errorf("%s: a field is empty", name)
		}
		if o.kind == tristate && o.module == "" && name != "CRYPTO_AEAD" {
			t.Errorf("%s: which module is it?", name)
		}
		for _, text := range []string{o.lost, o.fix, o.note} {
			if strings.ContainsAny(text, "\n\t") || strings.HasSuffix(text, ".") || strings.Contains(text, "  ") {
				t.Errorf("%s: %q", name, text)
			}
		}
		if Group(name) != o.group.String() {
			t.Errorf("%s: group %s", name, Group(name))
		}
	}
	for bit := cond(1); bit < condEnd; bit <<= 1 {
		if bit.word() == "" {
			t.Errorf("condition %b has no words", bit)
		}
	}
}

// all is a complete configuration of a release in which everything the table wants is on, and set over it.
func all(release string, set map[string]string) *Config {
	c := &Config{Text: release, Arch: "x86", Complete: true, values: map[string]string{}}
	c.Release, _ = ParseRelease(release)
	for _, name := range append(Names(), strings.Fields(others)...) {
		if o := find(name); o == nil || o.marks&(unwanted|outside) == 0 && !c.Release.before(o.since) && !c.Release.after(o.until) {
			c.values[name] = "y"
		}
	}
	for name, value := range set {
		if c.values[name] = value; value == "" {
			delete(c.values, name)
		}
	}
	return c
}

// verdictOn is the finding about one option.
func verdictOn(t *testing.T, c *Config, conditions Conditions, modules Modules, id string) finding.Finding {
	t.Helper()
	for _, f := range Judge(c, conditions, modules) {
		if f.ID == "kernel."+id {
			return f
		}
	}
	t.Fatalf("no finding about %s", id)
	return finding.Finding{}
}

// everything is a daemon's conditions under which as much as possible is asked for.
func everything(o *option) Conditions {
	c := Conditions{Cgroup: CgroupV1, Firewall: FirewallLegacy, Docker: "29.0.0", UserNS: true, Rootless: true, Swarm: true, Arch: "x86"}
	if o.when&ifV2 != 0 {
		c.Cgroup = CgroupV2
	}
	switch {
	case o.when&(ifNFT|ifAnyNFT) != 0:
		c.Firewall = FirewallNFT
	case o.when&ifNFTables != 0:
		c.Firewall = FirewallNFTables
	}
	for bit, fs := range map[cond]string{ifExt4: "ext4", ifExt3: "ext3", ifXFS: "xfs", ifBtrfs: "btrfs", ifTmpfs: "tmpfs"} {
		if o.when&bit != 0 {
			c.DataRootFS = fs
		}
	}
	for bit, v := range map[cond]string{ifDocker22: "20.10.24", ifDocker23: "23.0.6", ifDocker24: "24.0.9", ifIPSet: "28.0.0"} {
		if o.when&bit != 0 {
			c.Docker = v
		}
	}
	return c
}

// TestEveryOption looks at each row on and off, in the first and the last release that it is asked for in, and in those
// before and after.
func TestEveryOption(t *testing.T) {
	for _, name := range Names() {
		o := find(name)
		conditions := everything(o)
		last := o.until
		if o.asked != 0 {
			last = o.asked
		}
		inside := []string{"2.6.27", "6.18.1"}
		if o.since != 0 {
			inside[0] = o.since.String()
		}
		if last != 0 {
			inside[1] = last.String()
		}
		for _, release := range inside {
			off := map[string]string{name: "n"}
			r, _ := ParseRelease(release)
			for _, alt := range inRelease(o.alt, r) {
				off[alt] = "n"
			}
			on := map[string]string{name: "y"}
			badWhen, fineWhen := off, on
			if o.marks&unwanted != 0 {
				badWhen, fineWhen = on, off
			}
			if f := verdictOn(t, all(release, fineWhen), conditions, nil, "CONFIG_"+name); f.Status != finding.OK || f.Lost != "" || f.Fix != "" {
				t.Errorf("%s as it should be in %s: %+v", name, release, f)
			}
			f := verdictOn(t, all(release, badWhen), conditions, nil, "CONFIG_"+name)
			if !f.Bad() || f.Lost == "" || f.Fix == "" && o.marks&outside == 0 {
				t.Errorf("%s not as it should be in %s: %+v", name, release, f)
			}
			absent := map[string]string{}
			for n := range off {
				absent[n] = ""
			}
			if f := verdictOn(t, all(release, absent), conditions, nil, "CONFIG_"+name); o.marks&unwanted == 0 && f.Status != finding.Missing {
				t.Errorf("%s absent in %s: %+v", name, release, f)
			}
			fragment := all(release, absent)
			fragment.Complete = false
			if f := verdictOn(t, fragment, conditions, nil, "CONFIG_"+name); f.Status != finding.Unknown {
				t.Errorf("%s absent in a fragment of %s: %+v", name, release, f)
			}
		}
		outside := func(release string, set map[string]string) finding.Status {
			return verdictOn(t, all(release, set), conditions, nil, "CONFIG_"+name).Status
		}
		if last != 0 {
			r := last.release()
			after := Release{r.Major, r.Minor + 1, 0}
			if r.Major == 2 {
				after = Release{2, 6, r.Patch + 1}
			}
			if got := outside(after.String(), map[string]string{name: ""}); got != finding.NotApplicable {
				t.Errorf("%s in %s, where it is gone: %s", name, after, got)
			}
			if got := outside(after.String(), map[string]string{name: "y"}); o.marks&unwanted == 0 && got != finding.OK {
				t.Errorf("%s on all the same in %s: %s", name, after, got)
			}
		}
		if r := o.since.release(); o.since != 0 && o.marks&predate == 0 && o.marks&unwanted == 0 {
			before := Release{r.Major, r.Minor - 1, 0}
			if r.Major == 2 {
				before = Release{2, 6, r.Patch - 1}
			} else if r.Minor == 0 {
				before = map[int]Release{3: {2, 6, 39}, 4: {3, 19, 0}, 5: {4, 20, 0}, 6: {5, 19, 0}}[r.Major]
			}
			if got := outside(before.String(), map[string]string{name: ""}); got != finding.NotApplicable {
				t.Errorf("%s in %s, which does not have it yet: %s", name, before, got)
			}
		}
	}
}
