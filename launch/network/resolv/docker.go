package resolv

import "net/netip"

// Source is where the resolvers for containers come from.
type Source string

const (
	// Daemon: dockerd's own choice from resolv.conf is right, and nothing is to be given.
	Daemon Source = "resolv.conf"
	// Outer: they are those that the outer Docker's resolver asks.
	Outer Source = "outer"
	// Gateway: the outer network's gateway is a guess, the only one there is.
	Gateway Source = "gateway"
	// None: there is none.
	None Source = "none"
)

// Choice is what dockerd is to be given.
type Choice struct {
	Source Source `json:"source"`
	// Servers are for dockerd's --dns, and empty where nothing is to be given.
	Servers []netip.Addr `json:"servers,omitempty"`
	// Why tells the reason in a sentence, for the plan.
	Why string `json:"why"`
}

// ForDocker chooses the resolvers that the containers of a dockerd can reach, which starts where resolv.conf is c and the
// gateways of the default routes are those given.
//
// A container has a network namespace of its own, where 127.0.0.11, 127.0.0.53 and all other loopback addresses are nobody. dockerd
// leaves them out of what it hands to containers, and where nothing is left takes public resolvers instead (8.8.8.8 and others,
// moby daemon/libnetwork/internal/resolvconf): queries for internal names then go to strangers, and where only internal
// resolvers may be asked none is answered.
//
// Docker in Docker meets this always: on a network that a user made, resolv.conf names 127.0.0.11 only. The servers that
// Docker since 25 notes as ExtServers are what is asked behind it; those that are no loopback addresses themselves can be reached
// from anywhere behind the host, by the same way as everything else. Lost is that names of the outer network's other
// containers, which only 127.0.0.11 knows, are not resolved in inner ones. Where none is noted, the gateway of the default route is
// what kind and k3d fall back to as well (they lead its port 53 to 127.0.0.11 by DNAT rules): hosts' bridges often have a resolver,
// and nothing else is known.
func ForDocker(c Config, gateways []netip.Addr) Choice {
	for _, addr := range c.Nameservers {
		if reachable(addr) {
			return Choice{Source: Daemon, Why: "resolv.conf names resolvers that containers can reach"}
		}
	}
	var servers []netip.Addr
	for _, s := range c.Outer {
		if reachable(s.Addr) {
			servers = append(servers, s.Addr)
		}
	}
	what := "resolv.conf names no resolver"
	if len(c.Nameservers) > 0 {
		what = "resolv.conf names only " + c.Nameservers[0].String() + ", which inner containers cannot reach"
	}
	if len(servers) > 0 {
		return Choice{Outer, servers, what + "; these are the ones that it asks"}
	}
	if len(c.Nameservers) == 0 {
		return Choice{Source: None, Why: what}
	}
	for _, addr := range gateways {
		if addr.IsValid() && !addr.IsUnspecified() && addr.Zone() == "" && !addr.IsLinkLocalUnicast() {
			return Choice{Gateway, []netip.Addr{addr}, what + ", and does not tell whom it asks; the gateway is a guess"}
		}
	}
	return Choice{Source: None, Why: what + ", and there is no gateway to try"}
}

// reachable tells whether an address means the same in another network namespace.
func reachable(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsValid() && !addr.IsLoopback() && !addr.IsUnspecified() && addr.Zone() == "" && !addr.IsLinkLocalUnicast()
}
