package launch

import (
	"path/filepath"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/modules"
)

// Variant is which of the kernel's two interfaces an iptables program speaks to.
type Variant string

const (
	// VariantUnknown is an iptables that is missing, or of a build that does not tell by its name.
	VariantUnknown Variant = ""
	VariantNft     Variant = "nft"
	VariantLegacy  Variant = "legacy"
)

// variantOf tells the variant of an iptables program by the program that its links lead to: both are one program of many
// names, xtables-nft-multi and xtables-legacy-multi. iptables-legacy is never run merely to ask, since that loads its
// modules.
func variantOf(iptables string) Variant {
	if iptables == "" {
		return VariantUnknown
	}
	target, err := filepath.EvalSymlinks(iptables)
	if err != nil {
		return VariantUnknown // it will be found missing where it is looked up
	}
	switch name := filepath.Base(target); {
	case strings.Contains(name, "nft"):
		return VariantNft
	case strings.Contains(name, "legacy"):
		return VariantLegacy
	default:
		return VariantUnknown
	}
}

// WantedModules lists the kernel modules that dockerd, and the iptables rules that it makes, use: each under the names it
// had over the years, today's first. They are loaded beforehand because iptables needs modprobe for them otherwise, and
// names the feature that is lost. The names and the kernel releases: the kernel's own net/netfilter, net/ipv4/netfilter
// and net/bridge folders at 3.10, 4.19, 5.4 and 6.12; the features: moby's libnetwork and contrib/check-config.sh.
func WantedModules(variant Variant) []modules.Want {
	wants := []modules.Want{
		{Names: []string{"overlay", "overlayfs"}, For: "overlay2 storage"},
		{Names: []string{"bridge"}, For: "bridge networks"},
		{Names: []string{"br_netfilter"}, For: "rules between containers of one bridge, and published ports without docker-proxy"},
		{Names: []string{"veth"}, For: "network in a container"},
		{Names: []string{"nf_conntrack"}, For: "published ports and network isolation"},
		// IPv4's half was a module of its own before 4.19.
		{Names: []string{"nf_nat", "nf_nat_ipv4"}, For: "published ports, and containers reaching other networks"},
		{Names: []string{"nf_conntrack_netlink"}, For: "clean-up of UDP connections to a published port"},
		{Names: []string{"xt_conntrack"}, For: "bridge networks"},
		{Names: []string{"xt_addrtype", "ipt_addrtype"}, For: "published ports"},
		// One module for both families since 5.2.
		{Names: []string{"xt_MASQUERADE", "ipt_MASQUERADE"}, For: "containers reaching other networks"},
		{Names: []string{"xt_nat"}, For: "published ports"},
		{Names: []string{"xt_mark"}, For: "published ports of Swarm services"},
		{Names: []string{"xt_set"}, For: "bridge networks of Docker 28"},
		{Names: []string{"ip_set_hash_net"}, For: "bridge networks of Docker 28"},
	}
	if variant != VariantNft {
		wants = append(wants,
			modules.Want{Names: []string{"ip_tables"}, For: "bridge networks with the legacy iptables"},
			modules.Want{Names: []string{"iptable_filter"}, For: "bridge networks with the legacy iptables"},
			modules.Want{Names: []string{"iptable_nat"}, For: "published ports with the legacy iptables"},
			modules.Want{Names: []string{"iptable_raw"}, For: "keeping neighbours off containers' addresses, from Docker 28 on"},
			modules.Want{Names: []string{"ip6_tables"}, For: "IPv6 networks with the legacy ip6tables"},
			modules.Want{Names: []string{"ip6table_filter"}, For: "IPv6 networks with the legacy ip6tables"},
			modules.Want{Names: []string{"ip6table_nat"}, For: "IPv6 networks with the legacy ip6tables"},
		)
	}
	if variant != VariantLegacy {
		wants = append(wants,
			modules.Want{Names: []string{"nf_tables"}, For: "bridge networks with the nft iptables"},
			modules.Want{Names: []string{"nft_compat"}, For: "bridge networks with the nft iptables"},
			// One module for both families since 5.1.
			modules.Want{Names: []string{"nft_chain_nat", "nft_chain_nat_ipv4"}, For: "published ports with the nft iptables"},
		)
	}
	return wants
}
