package network

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/network/dhcp"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestAssign(t *testing.T) {
	links := []rtnl.Link{
		{Index: 1, Name: "lo", Loopback: true}, {Index: 2, Name: "eth0", Ethernet: true}, {Index: 3, Name: "eth1", Ethernet: true},
		{Index: 4, Name: "docker0", Ethernet: true, Kind: "bridge"}, {Index: 5, Name: "veth1", Ethernet: true, Kind: "veth"},
		{Index: 6, Name: "eth2", Ethernet: true, Master: 4}, {Index: 7, Name: "sit0", Kind: "sit"}, {Index: 8, Name: "eth3", Ethernet: true},
	}
	for words, want := range map[string]map[int]string{
		"":                                       {2: "dhcp", 3: "dhcp", 8: "dhcp"},
		"ip=dhcp":                                {2: "dhcp", 3: "dhcp", 8: "dhcp"},
		"ip=off":                                 {2: "off", 3: "off", 8: "off"},
		"ip=eth1:dhcp":                           {2: "", 3: "dhcp", 8: ""},
		"ip=192.0.2.5":                           {2: "192.0.2.5/24", 3: "", 8: ""},
		"ip=192.0.2.5 ip=dhcp":                   {2: "192.0.2.5/24 dhcp", 3: "dhcp", 8: "dhcp"},
		"ip=192.0.2.5:::::eth1 ip=dhcp":          {2: "dhcp", 3: "192.0.2.5/24", 8: "dhcp"},
		"ip=eth0:off ip=dhcp":                    {2: "off", 3: "dhcp", 8: "dhcp"},
		"ip=veth1:dhcp":                          {2: "", 3: "", 5: "dhcp", 8: ""},
		"ip=gone0:dhcp":                          {2: "", 3: "", 8: ""},
		"ip=eth0:dhcp ip=[2001:db8::5]:::::eth0": {2: "dhcp 2001:db8::5/64", 3: "", 8: ""},
	} {
		ips, err := bootline.Parse(words).IPs()
		if err != nil {
			t.Fatal(err)
		}
		got := map[int]string{}
		for index, list := range FromBootLine(ips).assign(links, Wired) {
			var texts []string
			for _, i := range list {
				if i.Method == bootline.Static {
					texts = append(texts, i.Address.String())
				} else {
					texts = append(texts, string(i.Method))
				}
			}
			got[index] = strings.Join(texts, " ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", words, diff)
		}
	}
}

func TestLeased(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	// As Google's cloud lends: an address alone, and a gateway that is on the link all the same.
	l := dhcp.Lease{Address: prefix("10.128.0.5/32"), Routes: []dhcp.Route{
		{Destination: prefix("0.0.0.0/0"), Gateway: addr("10.128.0.1")}, {Destination: prefix("10.128.0.1/32")},
	}}
	s := leased(3, l, now.Add(time.Minute), now)
	if s.address.Valid != 61*time.Second || len(s.routes) != 2 || s.routes[0].Gateway.IsValid() || s.routes[1].OnLink || s.routes[1].Metric != dhcpMetric+3 {
		t.Errorf("%+v", s)
	}
	l.Routes = l.Routes[:1]
	if s := leased(3, l, time.Time{}, now); s.address.Valid != 0 || !s.routes[0].OnLink {
		t.Errorf("a gateway outside of the network, without end: %+v", s)
	}
	l.Address = prefix("10.128.0.5/24")
	if s := leased(3, l, now.Add(-time.Minute), now); s.address.Valid != time.Second || s.routes[0].OnLink {
		t.Errorf("a lease that has ended: %+v", s)
	}
}

func TestBridgeObserve(t *testing.T) {
	b := Bridge{Name: "br0", Address: netip.MustParsePrefix("172.20.0.1/16"), MTU: 1400}
	up := rtnl.Link{Index: 9, Name: "br0", Kind: "bridge", Up: true, MTU: 1400}
	address := func(text string) rtnl.Address { return rtnl.Address{Index: 9, Prefix: netip.MustParsePrefix(text)} }
	device, veth, down, small := up, up, up, up
	device.Kind, veth.Kind, down.Up, small.MTU = "", "veth", false, 1300
	for name, c := range map[string]struct {
		facts  Facts
		stands bool
		says   string
	}{
		"nothing":            {Facts{}, false, ""},
		"all":                {Facts{Links: []rtnl.Link{up}, Addresses: []rtnl.Address{address("fe80::1/64"), address("172.20.0.1/16")}}, true, ""},
		"no address":         {Facts{Links: []rtnl.Link{up}}, false, ""},
		"down":               {Facts{Links: []rtnl.Link{down}, Addresses: []rtnl.Address{address("172.20.0.1/16")}}, false, ""},
		"another MTU":        {Facts{Links: []rtnl.Link{small}, Addresses: []rtnl.Address{address("172.20.0.1/16")}}, false, ""},
		"another address":    {Facts{Links: []rtnl.Link{up}, Addresses: []rtnl.Address{address("172.21.0.1/16")}}, false, "172.21.0.1/16"},
		"another prefix":     {Facts{Links: []rtnl.Link{up}, Addresses: []rtnl.Address{address("172.20.0.1/24")}}, false, "172.20.0.1/24"},
		"two addresses":      {Facts{Links: []rtnl.Link{up}, Addresses: []rtnl.Address{address("172.21.0.1/16"), address("172.20.0.1/16")}}, true, ""},
		"a device":           {Facts{Links: []rtnl.Link{device}}, false, "no bridge but a device"},
		"one end of a cable": {Facts{Links: []rtnl.Link{veth}}, false, "no bridge but veth"},
	} {
		stands, err := b.Observe(c.facts)
		var wrong *WrongBridgeError
		if stands != c.stands || (c.says == "") != (err == nil) || err != nil && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, %v", name, stands, err)
		}
	}
	for _, b := range []Bridge{
		{"", b.Address, 0}, {"a/b", b.Address, 0}, {"sixteen-letters-x", b.Address, 0}, {"br0", netip.Prefix{}, 0},
		{"br0", netip.MustParsePrefix("172.20.0.0/16"), 0}, {"br0", netip.MustParsePrefix("172.20.255.255/16"), 0}, {"br0", netip.MustParsePrefix("172.20.0.1/32"), 0},
		{"br0", netip.MustParsePrefix("2001:db8::1/64"), 0}, {"br0", netip.MustParsePrefix("127.0.0.1/8"), 0}, {"br0", b.Address, 60}, {"br0", b.Address, 70000},
	} {
		if _, err := b.Observe(Facts{}); err == nil {
			t.Errorf("%s is no error", b)
		}
	}
}

func TestBridge(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	ctx := context.Background()
	b := Bridge{Name: "br0", Address: netip.MustParsePrefix("172.20.0.1/16"), MTU: 1400}
	apply := func(b Bridge, want bool) {
		t.Helper()
		if kept, err := b.Apply(ctx); kept != want || err != nil {
			t.Fatalf("%s: kept %v, %v", b, kept, err)
		}
	}
	apply(b, false)
	apply(b, true)
	link, err := netlink.LinkByName("br0")
	must(t, err)
	if _, ok := link.(*netlink.Bridge); !ok || link.Attrs().MTU != 1400 || link.Attrs().RawFlags&unix.IFF_UP == 0 || !has(t, "br0", "172.20.0.1/16") {
		t.Errorf("the bridge is %+v", link)
	}
	// What is missing of one that is there is added.
	must(t, netlink.LinkSetDown(link))
	apply(b, false)
	b.MTU = 1300
	apply(b, false)
	apply(b, true)
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br1"}}))
	b.Name = "br1"
	apply(b, false)

	b.Address = netip.MustParsePrefix("172.21.0.1/16")
	if _, err := b.Apply(ctx); err == nil {
		t.Error("a bridge with another address is no error")
	}
	if has(t, "br1", "172.21.0.1/16") || !has(t, "br1", "172.20.0.1/16") {
		t.Error("the bridge that is wrong was changed")
	}
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}))
	b.Name = "v0"
	if _, err := b.Apply(ctx); err == nil || !strings.Contains(err.Error(), "no bridge but veth") {
		t.Errorf("the end of a cable in the bridge's place: %v", err)
	}
}

func TestRouterAdvertisements(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	r := RouterAdvertisements{"br0"}
	for _, c := range []struct {
		before, after string
		kept          bool
	}{{"1", "2", false}, {"2", "2", true}, {"0", "0", true}} {
		must(t, os.WriteFile(r.file(), []byte(c.before), 0))
		kept, err := r.Apply(context.Background())
		data, readErr := os.ReadFile(r.file())
		if kept != c.kept || err != nil || readErr != nil || strings.TrimSpace(string(data)) != c.after {
			t.Errorf("%s became %q: kept %v, %v, %v", c.before, data, kept, err, readErr)
		}
	}
	if kept, err := (RouterAdvertisements{"nothing"}).Apply(context.Background()); !kept || err != nil {
		t.Errorf("without the file: %v, %v", kept, err)
	}
}

func TestObserve(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	f, err := Observe()
	must(t, err)
	if len(f.Links) == 0 || f.MTU != 0 || len(f.Gateways()) != 0 || !f.IPv6 {
		t.Errorf("a fresh namespace: %+v", f)
	}
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0))
	if f, err = Observe(); err != nil || !f.IPv6 {
		t.Errorf("IPv6 is turned off for now: %+v, %v", f, err)
	}
}
