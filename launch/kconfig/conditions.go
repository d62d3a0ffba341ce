package kconfig

import (
	"slices"
	"strings"
)

// CgroupMode is which cgroup hierarchies the system has or will have.
type CgroupMode string

// The modes. With none given, what the kernel can do decides.
const (
	CgroupUnknown CgroupMode = ""
	CgroupV1      CgroupMode = "v1"
	CgroupV2      CgroupMode = "v2"
	// CgroupHybrid has the controllers on v1, so that it asks for what v1 asks for.
	CgroupHybrid CgroupMode = "hybrid"
)

// Firewall is how dockerd reaches netfilter.
type Firewall string

// The ways. With none given, the one that the kernel serves best decides.
const (
	FirewallUnknown Firewall = ""
	// FirewallLegacy is an iptables program of the legacy variant.
	FirewallLegacy Firewall = "legacy"
	// FirewallNFT is an iptables program of the nft variant.
	FirewallNFT Firewall = "nft"
	// FirewallNFTables is dockerd's own nftables backend, --firewall-backend=nftables (Docker 29 and later).
	FirewallNFTables Firewall = "nftables"
	// FirewallNone is --iptables=false.
	FirewallNone Firewall = "none"
)

// Conditions are what the need for an option depends on. The zero value is a daemon of today without options, on a system of
// which nothing is known.
type Conditions struct {
	// Running is the release of the running kernel (uname -r), or "" where the configuration is of a kernel that does not run
	// here. It stands in where the configuration does not say its release.
	Running string
	Cgroup  CgroupMode
	// Docker is the daemon's version, for example 26.1.5+dfsg1, or "" for one newer than all that is known.
	Docker   string
	Firewall Firewall
	// StorageDriver is what dockerd is told to use (-s, storage-driver), or "".
	StorageDriver string
	// DataRootFS is the type of the filesystem that the data-root is on, for example ext4, or "".
	DataRootFS string
	// Arch is the architecture where the configuration does not say it, as the kernel or Go call it.
	Arch string
	// NoBridge is dockerd's --bridge=none, NoIPv6 its --ip6tables=false, NoUserlandProxy its --userland-proxy=false, and NoICC
	// its --icc=false.
	NoBridge, NoIPv6, NoUserlandProxy, NoICC bool
	// UserNS is for a daemon with --userns-remap, Rootless for one that is not root, and Swarm for a member of a swarm.
	UserNS, Rootless, Swarm bool
	// Container is true inside a container, where dockerd does without some sysctls.
	Container bool
}

// cond is a set of conditions that all have to hold.
type cond uint32

const (
	ifV1 cond = 1 << iota
	ifV2
	ifFirewall
	ifXtables
	ifLegacy
	ifNFT
	ifNFTables
	ifAnyNFT
	ifBridge
	ifIPv6
	ifX86
	ifExt4
	ifExt3
	ifXFS
	ifBtrfs
	ifTmpfs
	ifOverlay
	ifDocker28
	ifDocker29
	ifDocker24
	ifDocker23
	ifDocker22
	ifIPSet
	ifUserNS
	ifRootless
	ifSwarm
	ifNFProxy
	condEnd
)

// text is the condition in words that continue "asked for".
func (c cond) text() string {
	if c == 0 {
		return "always"
	}
	var parts []string
	if strings.HasPrefix((c & -c).word(), "unless") {
		parts = append(parts, "always")
	}
	for bit := cond(1); bit < condEnd; bit <<= 1 {
		if c&bit != 0 {
			parts = append(parts, bit.word())
		}
	}
	return strings.Join(parts, ", ")
}

func (c cond) word() string {
	switch c {
	case ifV1:
		return "on cgroup v1"
	case ifV2:
		return "on cgroup v2"
	case ifFirewall:
		return "unless dockerd runs with --iptables=false"
	case ifXtables:
		return "where dockerd calls iptables, of either variant"
	case ifLegacy:
		return "with iptables-legacy"
	case ifNFT:
		return "with iptables-nft"
	case ifNFTables:
		return "with dockerd's nftables backend"
	case ifAnyNFT:
		return "with iptables-nft or dockerd's nftables backend"
	case ifBridge:
		return "unless dockerd runs with --bridge=none"
	case ifIPv6:
		return "unless dockerd runs with --ip6tables=false"
	case ifX86:
		return "on x86"
	case ifExt4:
		return "where the data-root is on ext4"
	case ifExt3:
		return "where the data-root is on ext3"
	case ifXFS:
		return "where the data-root is on xfs"
	case ifBtrfs:
		return "where the data-root is on btrfs"
	case ifTmpfs:
		return "where the data-root is on tmpfs"
	case ifOverlay:
		return "where images are to lie on overlayfs"
	case ifDocker28:
		return "from Docker 28 on"
	case ifDocker29:
		return "from Docker 29 on"
	case ifDocker24:
		return "up to Docker 24"
	case ifDocker23:
		return "up to Docker 23"
	case ifDocker22:
		return "up to Docker 20.10"
	case ifIPSet:
		return "with Docker 28.0.0"
	case ifUserNS:
		return "with --userns-remap or rootless"
	case ifRootless:
		return "for a rootless daemon"
	case ifSwarm:
		return "for a member of a swarm"
	case ifNFProxy:
		return "with --icc=false, or --userland-proxy=false from Docker 27.4 on"
	}
	return ""
}

// hold tells whether all of the set hold, and otherwise which does not. What is not known does not hold.
func (c *Conditions) hold(set cond) (ok bool, failing cond) {
	for bit := cond(1); bit < condEnd; bit <<= 1 {
		if set&bit != 0 && !c.one(bit) {
			return false, bit
		}
	}
	return true, 0
}

func (c *Conditions) one(bit cond) bool {
	switch bit {
	case ifV1:
		return c.Cgroup != CgroupV2
	case ifV2:
		return c.Cgroup == CgroupV2
	case ifFirewall:
		return c.Firewall != FirewallNone
	case ifXtables:
		return c.Firewall == FirewallLegacy || c.Firewall == FirewallNFT
	case ifLegacy:
		return c.Firewall == FirewallLegacy
	case ifNFT:
		return c.Firewall == FirewallNFT
	case ifNFTables:
		return c.Firewall == FirewallNFTables
	case ifAnyNFT:
		return c.Firewall == FirewallNFT || c.Firewall == FirewallNFTables
	case ifBridge:
		return !c.NoBridge
	case ifIPv6:
		return !c.NoIPv6
	case ifX86:
		return c.x86()
	case ifExt4:
		return slices.Contains([]string{"ext4", "ext3", "ext2/ext3"}, c.DataRootFS)
	case ifExt3:
		return slices.Contains([]string{"ext3", "ext2/ext3"}, c.DataRootFS)
	case ifXFS:
		return c.DataRootFS == "xfs"
	case ifBtrfs:
		return c.DataRootFS == "btrfs"
	case ifTmpfs:
		return c.DataRootFS == "tmpfs"
	case ifOverlay:
		return slices.Contains([]string{"", "overlay2", "overlay", "overlayfs"}, c.StorageDriver)
	case ifDocker28:
		return !c.dockerBefore(28, 0)
	case ifDocker29:
		return !c.dockerBefore(29, 0)
	case ifDocker24:
		return c.dockerBefore(25, 0)
	case ifDocker23:
		return c.dockerBefore(24, 0)
	case ifDocker22:
		return c.dockerBefore(23, 0)
	case ifIPSet:
		v, ok := ParseRelease(c.Docker)
		return ok && v == Release{28, 0, 0}
	case ifUserNS:
		return c.UserNS || c.Rootless
	case ifRootless:
		return c.Rootless
	case ifSwarm:
		return c.Swarm
	case ifNFProxy:
		// Without the proxy it is asked for since https://github.com/moby/moby/pull/48685.
		return (c.NoICC || c.NoUserlandProxy && !c.dockerBefore(27, 4)) && !c.Container
	}
	return false
}

func (c *Conditions) x86() bool {
	switch c.Arch {
	case "x86", "x86_64", "i386", "amd64", "386", "i486", "i586", "i686":
		return true
	}
	return false
}

// dockerBefore tells whether the daemon is older than major.minor. One of unknown version is not.
func (c *Conditions) dockerBefore(major, minor int) bool {
	v, ok := ParseRelease(c.Docker)
	return ok && v.Compare(Release{major, minor, 0}) < 0
}
