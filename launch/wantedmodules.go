package launch

import (
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// bridgeNetfilter is the module by which bridged packets pass the firewall's rules.
const bridgeNetfilter = "br_netfilter"

// Firewall is what dockerd makes its rules with.
type Firewall string

const (
	// FirewallNone: dockerd makes no rules, or nobody can tell with what.
	FirewallNone           Firewall = "none"
	FirewallIPTablesNft    Firewall = "iptables-nft"
	FirewallIPTablesLegacy Firewall = "iptables-legacy"
	FirewallNftables       Firewall = "nftables"
)

// firewallOf tells what dockerd makes its rules with; goal is where the links of iptables lead.
func firewallOf(e daemon.Effective, goal string) Firewall {
	variant := iptables.VariantOf(goal)
	switch {
	case !e.IPTables():
		return FirewallNone
	case e.FirewallBackend() == "nftables":
		return FirewallNftables
	case variant == iptables.Nft:
		return FirewallIPTablesNft
	case variant == iptables.Legacy:
		return FirewallIPTablesLegacy
	default:
		return FirewallNone
	}
}

// WantedModules lists the kernel modules that dockerd, and the rules that it makes, use: each under the names it had over
// the years, today's first, with the feature that is lost without it. They are loaded beforehand because iptables needs
// modprobe for them otherwise. The names and the kernel releases: the kernel's own net/netfilter, net/ipv4/netfilter and
// net/bridge folders at 3.10, 4.19, 5.4 and 6.12; the features: moby's libnetwork and contrib/check-config.sh. Tables of
// a variant that nobody is going to use are not wanted: once loaded they are the whole machine's.
func WantedModules(firewall Firewall) []modules.Want {
	wants := []modules.Want{
		{Names: []string{"overlay", "overlayfs"}, For: "overlay2 storage"},
		{Names: []string{"bridge"}, For: "bridge networks"},
		{Names: []string{"veth"}, For: "network in a container"},
	}
	if firewall == FirewallNone {
		return wants
	}
	wants = append(wants, []modules.Want{
		{Names: []string{bridgeNetfilter}, For: "rules between containers of one bridge, and published ports without docker-proxy"},
		{Names: []string{"nf_conntrack"}, For: "published ports and network isolation"},
		// IPv4's half was a module of its own before 4.19.
		{Names: []string{"nf_nat", "nf_nat_ipv4"}, For: "published ports, and containers reaching other networks"},
		{Names: []string{"nf_conntrack_netlink"}, For: "clean-up of UDP connections to a published port"},
	}...)
	if firewall != FirewallNftables {
		wants = append(wants,
			modules.Want{Names: []string{"xt_conntrack"}, For: "bridge networks"},
			modules.Want{Names: []string{"xt_addrtype", "ipt_addrtype"}, For: "published ports"},
			// One module for both families since 5.2.
			modules.Want{Names: []string{"xt_MASQUERADE", "ipt_MASQUERADE"}, For: "containers reaching other networks"},
			modules.Want{Names: []string{"xt_nat"}, For: "published ports"},
		)
	}
	if firewall == FirewallIPTablesLegacy {
		wants = append(wants,
			modules.Want{Names: []string{"ip_tables"}, For: "bridge networks with the legacy iptables"},
			modules.Want{Names: []string{"iptable_filter"}, For: "bridge networks with the legacy iptables"},
			modules.Want{Names: []string{"iptable_nat"}, For: "published ports with the legacy iptables"},
			modules.Want{Names: []string{"ip6_tables"}, For: "IPv6 networks with the legacy ip6tables"},
			modules.Want{Names: []string{"ip6table_filter"}, For: "IPv6 networks with the legacy ip6tables"},
			modules.Want{Names: []string{"ip6table_nat"}, For: "IPv6 networks with the legacy ip6tables"},
		)
	}
	if firewall == FirewallIPTablesNft || firewall == FirewallNftables {
		wants = append(wants,
			modules.Want{Names: []string{"nf_tables"}, For: "bridge networks"},
			// One module for both families since 5.1.
			modules.Want{Names: []string{"nft_chain_nat", "nft_chain_nat_ipv4"}, For: "published ports"},
		)
	}
	if firewall == FirewallIPTablesNft {
		wants = append(wants, modules.Want{Names: []string{"nft_compat"}, For: "bridge networks with the nft iptables"})
	}
	return wants
}
