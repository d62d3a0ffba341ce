package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// facts makes Facts out of words: "eth0=172.17.0.2/16" is an address with the route that the kernel adds to it, "10.0.0.0/8" a
// route through a gateway on eth0, "dns=192.0.2.1" a name server, "ext=192.0.2.1" one behind 127.0.0.11.
func facts(words string) Facts {
	f := Facts{Links: []rtnl.Link{
		{Index: 1, Name: "lo"}, {Index: 2, Name: "eth0", MTU: 1500}, {Index: 3, Name: "docker0", Kind: "bridge"},
		{Index: 4, Name: "br-0123456789ab", Kind: "bridge"}, {Index: 5, Name: "br-lan", Kind: "bridge"},
	}}
	for _, word := range strings.Fields(words) {
		name, text, ok := strings.Cut(word, "=")
		switch {
		case !ok:
			f.Routes = append(f.Routes, rtnl.Route{
				Destination: netip.MustParsePrefix(name), Gateway: netip.MustParseAddr("198.51.100.1"), Index: 2, Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN,
			})
		case name == "dns":
			f.Resolv.Nameservers = append(f.Resolv.Nameservers, netip.MustParseAddr(text))
		case name == "ext":
			f.Resolv.Outer = append(f.Resolv.Outer, resolv.Server{Addr: netip.MustParseAddr(text), Host: true})
		default:
			i := slices.IndexFunc(f.Links, func(l rtnl.Link) bool { return l.Name == name })
			prefix := netip.MustParsePrefix(text)
			f.Addresses = append(f.Addresses, rtnl.Address{Index: f.Links[i].Index, Prefix: prefix})
			f.Routes = append(f.Routes,
				rtnl.Route{Destination: prefix.Masked(), Index: f.Links[i].Index, Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN},
				rtnl.Route{Destination: netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()), Index: f.Links[i].Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL})
		}
	}
	return f
}

func TestChoosePools(t *testing.T) {
	for words, want := range map[string]struct {
		bip, pools, why string
	}{
		"": {},
		"eth0=10.0.2.15/24 0.0.0.0/0 dns=10.0.2.3":                              {},
		"eth0=192.168.1.7/24 0.0.0.0/0 dns=192.168.1.1":                         {}, // dockerd keeps off it by itself
		"0.0.0.0/1 128.0.0.0/1 eth0=10.0.2.15/24":                               {},
		"eth0=2001:db8::2/64 ::/0":                                              {},
		"docker0=172.17.0.1/16 br-0123456789ab=172.18.0.1/16 eth0=10.0.2.15/24": {}, // a Docker that ran here before
		// The first Docker in Docker, the second, and the third.
		"eth0=172.17.0.2/16 0.0.0.0/0": {"172.18.0.1/16",
			"base=172.19.0.0/16,size=16 base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 base=192.168.0.0/16,size=20", "172.17.0.0/16 (on eth0)"},
		"eth0=172.18.0.2/16 0.0.0.0/0 ext=172.17.0.1": {"172.19.0.1/16",
			"base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 base=192.168.0.0/16,size=20", "172.17.0.1/32 (a name server)"},
		// The third without a word of the first, and one on a network that a user made.
		"eth0=172.18.0.2/16 0.0.0.0/0 dns=127.0.0.11": {"172.19.0.1/16",
			"base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 base=192.168.0.0/16,size=20", "the Docker around this one, up to 172.18.0.0/16"},
		"eth0=192.168.16.2/20 0.0.0.0/0": {"192.168.32.1/20",
			"base=192.168.48.0/20,size=20 base=192.168.64.0/18,size=20 base=192.168.128.0/17,size=20", "192.168.16.0/20"},
		"eth0=192.168.240.2/20 0.0.0.0/0": {"172.17.0.1/16", // the last one: there is nothing behind it
			"base=172.18.0.0/16,size=16 base=172.19.0.0/16,size=16 base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 " +
				"base=192.168.0.0/17,size=20 base=192.168.128.0/18,size=20 base=192.168.192.0/19,size=20 base=192.168.224.0/20,size=20", "192.168.240.0/20"},
		"eth0=172.21.0.2/16 10.9.0.0/16 172.17.5.0/24": {"172.22.0.1/16",
			"base=172.23.0.0/16,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 base=192.168.0.0/16,size=20", "172.17.5.0/24 (a route through eth0)"},
		// Started again in the same place: the bridge stays, and so do the pools.
		"eth0=172.17.0.2/16 docker0=172.18.0.1/16": {"",
			"base=172.19.0.0/16,size=16 base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 base=192.168.0.0/16,size=20", "172.17.0.0/16 (on eth0)"},
		// A site's routes, which dockerd does not look at.
		"eth0=10.0.2.15/24 172.16.0.0/12": {"192.168.0.1/20",
			"base=192.168.16.0/20,size=20 base=192.168.32.0/19,size=20 base=192.168.64.0/18,size=20 base=192.168.128.0/17,size=20", "172.16.0.0/12 (a route through eth0)"},
		"eth0=10.0.2.15/24 192.168.0.0/16": {"172.17.0.1/16",
			"base=172.18.0.0/16,size=16 base=172.19.0.0/16,size=16 base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16", "192.168.0.0/16"},
		"br-lan=172.17.0.1/16": {"172.18.0.1/16",
			"base=172.19.0.0/16,size=16 base=172.20.0.0/14,size=16 base=172.24.0.0/14,size=16 base=172.28.0.0/14,size=16 base=192.168.0.0/16,size=20", "br-lan"},
	} {
		got := ChoosePools(facts(words))
		bip := ""
		if got.BIP.IsValid() {
			bip = got.BIP.String()
		}
		var pools []string
		for _, p := range got.Defaults {
			pools = append(pools, p.String())
		}
		if bip != want.bip || strings.Join(pools, " ") != want.pools || !strings.Contains(got.Why, want.why) || (got.Why == "") != (want.pools == "") || got.Warning != "" {
			t.Errorf("%s\n  bip   %s, want %s\n  pools %s\n  want  %s\n  why   %s %s", words, bip, want.bip, strings.Join(pools, " "), want.pools, got.Why, got.Warning)
		}
	}
}

func TestChoosePoolsWhereDockersAreTaken(t *testing.T) {
	// 172.16.0.0/16 is a part of what is routed as well.
	got := ChoosePools(facts("eth0=10.0.2.15/24 172.16.0.0/12 192.168.0.0/16"))
	if got.BIP.String() != "10.192.0.1/20" || len(got.Defaults) == 0 || got.Warning != "" {
		t.Errorf("%+v", got)
	}
}

func TestChoosePoolsUnderAVPN(t *testing.T) {
	got := ChoosePools(facts("eth0=172.17.0.2/16 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16"))
	if got.BIP.String() != "172.18.0.1/16" || got.Warning == "" {
		t.Errorf("%+v", got)
	}
	got = ChoosePools(facts("eth0=10.0.0.1/8 br-lan=172.16.0.1/12 eth0=192.168.0.1/16"))
	if got.BIP.IsValid() || len(got.Defaults) > 0 || got.Warning == "" {
		t.Errorf("nothing is free: %+v", got)
	}
}

// FuzzChoosePools makes addresses and routes of any numbers: what is chosen must be free.
func FuzzChoosePools(f *testing.F) {
	f.Add([]byte{172, 17, 0, 2, 16, 0})
	f.Add([]byte{172, 18, 0, 2, 16, 0, 172, 17, 0, 0, 16, 1, 192, 168, 0, 0, 18, 1, 10, 0, 0, 0, 8, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var in Facts
		in.Links = []rtnl.Link{{Index: 2, Name: "eth0"}}
		for ; len(data) >= 6 && len(in.Routes) < 200; data = data[6:] {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte(data)), int(data[4])%33)
			if data[5]%2 == 0 {
				in.Addresses = append(in.Addresses, rtnl.Address{Index: 2, Prefix: prefix})
			} else {
				in.Routes = append(in.Routes, rtnl.Route{Destination: prefix.Masked(), Gateway: netip.MustParseAddr("192.0.2.1"), Type: unix.RTN_UNICAST})
			}
		}
		got := ChoosePools(in)
		if got.BIP.IsValid() != (len(got.Defaults) > 0) && !got.BIP.IsValid() || got.Why == "" && got.BIP.IsValid() {
			t.Fatalf("half a choice: %+v", got)
		}
		if len(got.Defaults) > maxPools {
			t.Fatalf("%d pools", len(got.Defaults))
		}
		for i, p := range got.Defaults {
			if p.Base.Masked() != p.Base || p.Size < p.Base.Bits() || !p.Base.Addr().IsPrivate() || p.Base.Overlaps(got.BIP) {
				t.Fatalf("the pool %s is no pool (bip %s)", p, got.BIP)
			}
			for _, q := range got.Defaults[:i] {
				if p.Base.Overlaps(q.Base) {
					t.Fatalf("%s and %s overlap", p, q)
				}
			}
			for _, u := range occupied(in, got.Warning != "") {
				if u.prefix.Overlaps(p.Base) || u.prefix.Overlaps(got.BIP.Masked()) {
					t.Fatalf("%s is in use, and %s and %s were chosen", u, p, got.BIP)
				}
			}
		}
	})
}

func TestDefaultMTU(t *testing.T) {
	links := []rtnl.Link{{Index: 1, Name: "lo", MTU: 65536}, {Index: 2, Name: "eth0", MTU: 1450}, {Index: 3, Name: "eth1", MTU: 9000}}
	route := func(to string, index int, metric uint32) rtnl.Route {
		return rtnl.Route{Destination: netip.MustParsePrefix(to), Index: index, Metric: metric, Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN}
	}
	several := route("0.0.0.0/0", 0, 0)
	several.Hops = []int{3, 2}
	small := route("0.0.0.0/0", 2, 0)
	small.MTU = 1300
	nowhere := route("0.0.0.0/0", 1, 0)
	nowhere.Type = unix.RTN_UNREACHABLE
	other := route("0.0.0.0/0", 3, 0)
	other.Table = 100
	for name, c := range map[string]struct {
		routes []rtnl.Route
		mtu    int
		device string
	}{
		"none":                        {nil, 0, ""},
		"no default route":            {[]rtnl.Route{route("10.0.0.0/8", 2, 0)}, 0, ""},
		"one":                         {[]rtnl.Route{route("0.0.0.0/0", 2, 0)}, 1450, "eth0"},
		"the lowest metric":           {[]rtnl.Route{route("0.0.0.0/0", 2, 100), route("0.0.0.0/0", 3, 50)}, 9000, "eth1"},
		"IPv4 before IPv6":            {[]rtnl.Route{route("::/0", 2, 0), route("0.0.0.0/0", 3, 9)}, 9000, "eth1"},
		"only IPv6":                   {[]rtnl.Route{route("::/0", 2, 0)}, 1450, "eth0"},
		"in several directions":       {[]rtnl.Route{several}, 1450, "eth0"},
		"the route's own":             {[]rtnl.Route{small}, 1300, "eth0"},
		"unreachable":                 {[]rtnl.Route{nowhere, route("0.0.0.0/0", 2, 5)}, 1450, "eth0"},
		"of another table":            {[]rtnl.Route{other, route("0.0.0.0/0", 2, 5)}, 1450, "eth0"},
		"an interface that has gone":  {[]rtnl.Route{route("0.0.0.0/0", 7, 0)}, 0, ""},
		"gone, and one that is there": {[]rtnl.Route{route("0.0.0.0/0", 7, 0), route("0.0.0.0/0", 2, 5)}, 1450, "eth0"},
	} {
		if mtu, device := DefaultMTU(c.routes, links); mtu != c.mtu || device != c.device {
			t.Errorf("%s: %d on %q, want %d on %q", name, mtu, device, c.mtu, c.device)
		}
	}
}

func TestNetworksOf(t *testing.T) {
	all := networksOf(dockerPools())
	if len(all) != 31 || all[0].String() != "172.17.0.0/16" || all[14].String() != "172.31.0.0/16" || all[30].String() != "192.168.240.0/20" {
		t.Errorf("%d networks: %v", len(all), all)
	}
}
