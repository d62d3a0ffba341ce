package daemon

import "strconv"

// NetworkDefaults are facts about the network around the daemon that its own networks are fitted to. The zero value asks
// for nothing.
type NetworkDefaults struct {
	// MTU is the largest packet, in bytes, that leaves this system, where that is below Docker's 1500.
	MTU int
	// BIP and Pools are addresses that collide with nothing, where Docker's own would with what PoolsWhy tells.
	BIP      string
	Pools    []string
	PoolsWhy string
	// DNS are resolvers that containers can reach, where those of resolv.conf cannot be.
	DNS []string
	// NoIPv6 tells that the kernel has no IPv6.
	NoIPv6 bool
}

// maxPools and maxDNS bound how many of each are given.
const (
	maxPools = 16
	maxDNS   = 3
)

// networkFlags are the defaults that come from the network.
func networkFlags() []Default {
	list := []Default{
		{
			Option: "mtu",
			Reason: "larger packets do not leave this system, and connections of containers would hang",
			judge: func(_ Effective, f DefaultFacts) (string, bool) {
				return strconv.Itoa(f.Network.MTU), f.Network.MTU > 0
			},
		},
		{
			// --mtu is for the default bridge alone; networks of the user's own take it from here.
			Option: "default-network-opt", Item: "bridge",
			Reason: "larger packets do not leave this system, and connections of containers on networks of their own would hang",
			Since:  Version{Major: 24}, Versioned: true,
			judge: func(_ Effective, f DefaultFacts) (string, bool) {
				return "bridge=com.docker.network.driver.mtu=" + strconv.Itoa(f.Network.MTU), f.Network.MTU > 0
			},
		},
		{
			Option: "bip",
			Reason: "Docker's own choice would hide a network that can be reached from here",
			// Who brings a bridge, or says what its containers get, has chosen.
			Unless: []string{"bridge", "fixed-cidr"},
			judge:  func(_ Effective, f DefaultFacts) (string, bool) { return f.Network.BIP, f.Network.BIP != "" },
		},
		{
			// Without IPv6 dockerd's 56 runs of ip6tables come to nothing. Every dockerd since 20.10 has the option.
			Option: "ip6tables",
			Reason: "this kernel has no IPv6",
			Since:  Version{Major: 27},
			judge: func(e Effective, f DefaultFacts) (string, bool) {
				return "false", f.Network.NoIPv6 && !f.Missing["ip6tables"] && e.FirewallBackend() == "iptables"
			},
		},
	}
	for i := range maxPools {
		list = append(list, Default{
			Option: "default-address-pool",
			Reason: "Docker's own choice would hide a network that can be reached from here",
			judge: func(_ Effective, f DefaultFacts) (string, bool) {
				return at(f.Network.Pools, i)
			},
		})
	}
	for i := range maxDNS {
		list = append(list, Default{
			Option: "dns",
			Reason: "containers cannot reach the resolvers of resolv.conf, which are on loopback addresses",
			judge:  func(_ Effective, f DefaultFacts) (string, bool) { return at(f.Network.DNS, i) },
		})
	}
	return list
}

func at(list []string, i int) (string, bool) {
	if i >= len(list) {
		return "", false
	}
	return list[i], true
}

// logFlags bound the logs of containers, which json-file keeps for ever otherwise
// (https://github.com/moby/moby/issues/40207). The values are RancherOS's.
func logFlags() []Default {
	flag := func(item, value string) Default {
		return Default{
			Option: "log-opt", Item: item,
			Reason: "without a bound the logs of containers fill the disk",
			judge: func(e Effective, f DefaultFacts) (string, bool) {
				return item + "=" + value, f.BoundLogs && e.value("log-driver", "json-file") == "json-file"
			},
		}
	}
	return []Default{flag("max-size", "25m"), flag("max-file", "2")}
}
