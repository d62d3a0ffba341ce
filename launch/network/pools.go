package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// Pool is a range of addresses that Docker cuts networks out of (--default-address-pool base=BASE,size=SIZE).
type Pool struct {
	Base netip.Prefix `json:"base"`
	// Size is the length of the prefix of each network.
	Size int `json:"size"`
}

// String writes the pool as dockerd's flag takes it.
func (p Pool) String() string { return fmt.Sprintf("base=%s,size=%d", p.Base, p.Size) }

// Pools is a choice of addresses for Docker's networks. The zero value is Docker's own choice.
type Pools struct {
	// BIP is the address of the default bridge (--bip).
	BIP netip.Prefix `json:"bip,omitzero"`
	// Defaults are the pools for other networks (--default-address-pool), none of which has the default bridge's in it.
	Defaults []Pool `json:"defaults,omitempty"`
	// Why tells what Docker's own choice collides with; "" where it does not.
	Why string `json:"why,omitempty"`
	// Warning tells what is not right with the choice, where nothing better could be found.
	Warning string `json:"warning,omitempty"`
}

// dockerPools are Docker's own, in the order in which it takes them (moby daemon/libnetwork/ipamutils); the default bridge
// is the first that is free.
func dockerPools() []Pool {
	return []Pool{
		{prefix4(172, 17, 16), 16}, {prefix4(172, 18, 16), 16}, {prefix4(172, 19, 16), 16},
		{prefix4(172, 20, 14), 16}, {prefix4(172, 24, 14), 16}, {prefix4(172, 28, 14), 16}, {prefix4(192, 168, 16), 20},
	}
}

// reservePools are taken where all of Docker's are in use, in the sizes of Docker's last: the rest of RFC 1918, from the end that
// sites use last.
func reservePools() []Pool {
	return []Pool{{prefix4(172, 16, 16), 20}, {prefix4(10, 192, 10), 20}, {prefix4(10, 128, 10), 20}, {prefix4(10, 0, 9), 20}}
}

func prefix4(a, b byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b}), bits)
}

// maxPools bounds the list that dockerd is given; a table of thousands of routes could make it very long.
const maxPools = 16

// ChoosePools looks whether the networks that Docker would make by itself collide with anything that can be reached from
// here, and chooses others if so.
//
// dockerd itself, when it takes a network from its pools, leaves out those of addresses of our own and of name servers, and
// nothing else (moby daemon/libnetwork/netutils, InferReservedNetworks): what lies behind a router is hidden by its bridges. In Docker
// in Docker that is the networks of the Dockers around this one, which no route tells of: the third finds the second's network on its
// interface, takes the first's for its bridge, and with it hides whatever is published there. So whoever finds itself in one of
// Docker's networks leaves out all that come before it in Docker's order as well.
func ChoosePools(f Facts) Pools {
	taken := occupied(f, false)
	outer := outerPools(f)
	why := collisions(taken)
	if len(why) == 0 && len(outer) > 0 {
		why = []string{"those of the Docker around this one, up to " + outer[len(outer)-1].String()}
	}
	if len(why) == 0 {
		return Pools{}
	}
	result := Pools{Why: "Docker's own networks would collide with " + strings.Join(why, ", ")}
	pools := free(dockerPools(), append(prefixes(taken), outer...))
	if len(pools) == 0 {
		pools = free(dockerPools(), prefixes(taken))
	}
	if len(pools) == 0 {
		pools = free(reservePools(), prefixes(taken))
	}
	if len(pools) == 0 {
		// Routes to all private addresses at once, as of a VPN, hardly mean that all are in use.
		pools = free(append(dockerPools(), reservePools()...), prefixes(occupied(f, true)))
		result.Warning = "there are routes to all private networks: a part of what they lead to is hidden by Docker's networks"
	}
	if len(pools) == 0 {
		result.Warning = "no private network is free, so that Docker is left to choose: give --bip and --default-address-pool"
		return result
	}
	result.BIP, result.Defaults = takeBridge(pools)
	if keepsBridge(f) {
		result.BIP = netip.Prefix{} // dockerd keeps the address of a bridge that is there, and does not start with another bip
	}
	return result
}

// collisions names what Docker's choice collides with. Where only pools behind the default bridge's are concerned, and dockerd sees
// to it by itself, there is nothing to be done: else every machine in 192.168.0.0/16 would get flags that change nothing.
func collisions(taken []use) []string {
	pools := dockerPools()
	var why []string
	for _, t := range taken {
		i := slices.IndexFunc(pools, func(p Pool) bool { return p.Base.Overlaps(t.prefix) })
		if i == 0 || i > 0 && !t.known {
			why = append(why, t.String())
		}
	}
	if len(why) > 4 {
		why = append(why[:4], fmt.Sprintf("%d more", len(why)-4))
	}
	return why
}

// takeBridge takes the first network out of the pools for the default bridge.
func takeBridge(pools []Pool) (bip netip.Prefix, rest []Pool) {
	first := netip.PrefixFrom(pools[0].Base.Addr(), pools[0].Size)
	rest = append(subtract(pools[0], []netip.Prefix{first}), pools[1:]...)
	return netip.PrefixFrom(first.Addr().Next(), first.Bits()), rest[:min(len(rest), maxPools)]
}

// use is a network that is in use, and by what.
type use struct {
	prefix netip.Prefix
	what   string
	// known tells that dockerd keeps off it by itself.
	known bool
}

func (u use) String() string { return u.prefix.String() + " (" + u.what + ")" }

func prefixes(uses []use) []netip.Prefix {
	var all []netip.Prefix
	for _, u := range uses {
		all = append(all, u.prefix)
	}
	return all
}

// occupied lists the IPv4 networks that are reached from here, but for those that Docker made itself when it ran here
// before. Where narrow is set, routes to networks larger than Docker's through a gateway do not count.
func occupied(f Facts, narrow bool) []use {
	own := dockersOwn(f.Links)
	var uses []use
	add := func(prefix netip.Prefix, what string, known bool) {
		if prefix = prefix.Masked(); !slices.ContainsFunc(uses, func(u use) bool { return u.prefix == prefix }) {
			uses = append(uses, use{prefix, what, known})
		}
	}
	for _, a := range f.Addresses {
		if a.Prefix.Addr().Is4() && !own[a.Index] {
			add(a.Prefix, "on "+linkName(f.Links, a.Index), true)
		}
	}
	for _, r := range f.Routes {
		if !r.Destination.Addr().Is4() || r.Type != unix.RTN_UNICAST || own[r.Index] && len(r.Hops) == 0 {
			continue
		}
		// Two halves of everything are how VPNs write a default route.
		if r.Destination.Bits() <= 1 || narrow && r.Gateway.IsValid() && r.Destination.Bits() < 16 {
			continue
		}
		add(r.Destination, "a route through "+linkName(f.Links, r.Index), !r.Gateway.IsValid() && len(r.Hops) == 0)
	}
	server := func(addr netip.Addr, known bool) {
		if addr.Is4() && !addr.IsLoopback() && !addr.IsUnspecified() {
			add(netip.PrefixFrom(addr, 32), "a name server", known)
		}
	}
	for _, addr := range f.Resolv.Nameservers {
		server(addr, true)
	}
	for _, s := range f.Resolv.Outer {
		server(s.Addr, false)
	}
	return uses
}

// dockersOwn tells which interfaces are bridges of a Docker that ran in this network namespace before.
func dockersOwn(links []rtnl.Link) map[int]bool {
	own := map[int]bool{}
	for _, l := range links {
		network, ok := strings.CutPrefix(l.Name, "br-")
		if l.Kind == "bridge" && (l.Name == "docker0" || l.Name == "docker_gwbridge" || ok && len(network) == 12) {
			own[l.Index] = true
		}
	}
	return own
}

// keepsBridge tells whether docker0 is there with an address.
func keepsBridge(f Facts) bool {
	i := slices.IndexFunc(f.Links, func(l rtnl.Link) bool { return l.Name == "docker0" })
	return i >= 0 && slices.ContainsFunc(f.Addresses, func(a rtnl.Address) bool { return a.Index == f.Links[i].Index && a.Prefix.Addr().Is4() })
}

// outerPools lists the networks that the Dockers around this one have taken: all in front of the last one that an address
// of ours is in.
func outerPools(f Facts) []netip.Prefix {
	own := dockersOwn(f.Links)
	last := -1
	networks := networksOf(dockerPools())
	for i, network := range networks {
		if slices.ContainsFunc(f.Addresses, func(a rtnl.Address) bool {
			return !own[a.Index] && a.Prefix.Addr().Is4() && a.Prefix.Masked() == network
		}) {
			last = i
		}
	}
	return networks[:last+1]
}

func networksOf(pools []Pool) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range pools {
		for a, n := p.Base.Addr(), 1<<(p.Size-p.Base.Bits()); n > 0; n-- {
			all = append(all, netip.PrefixFrom(a, p.Size))
			a = rtnl.Broadcast(netip.PrefixFrom(a, p.Size)).Next()
		}
	}
	return all
}

func linkName(links []rtnl.Link, index int) string {
	for _, l := range links {
		if l.Index == index {
			return l.Name
		}
	}
	return fmt.Sprintf("interface %d", index)
}

// free returns what is left of pools.
func free(pools []Pool, taken []netip.Prefix) []Pool {
	var left []Pool
	for _, p := range pools {
		left = append(left, subtract(p, taken)...)
		if len(left) > maxPools {
			return left[:maxPools+1] // one more, out of which the bridge is taken
		}
	}
	return left
}

// subtract cuts a pool into the largest ranges that nothing taken overlaps.
func subtract(p Pool, taken []netip.Prefix) []Pool {
	overlapping := slices.DeleteFunc(slices.Clone(taken), func(t netip.Prefix) bool { return !p.Base.Overlaps(t) })
	switch {
	case len(overlapping) == 0:
		return []Pool{p}
	case p.Base.Bits() >= p.Size, slices.ContainsFunc(overlapping, func(t netip.Prefix) bool { return t.Bits() <= p.Base.Bits() }):
		return nil
	}
	low := netip.PrefixFrom(p.Base.Addr(), p.Base.Bits()+1)
	high := netip.PrefixFrom(rtnl.Broadcast(low).Next(), p.Base.Bits()+1)
	return append(subtract(Pool{low, p.Size}, overlapping), subtract(Pool{high, p.Size}, overlapping)...)
}
