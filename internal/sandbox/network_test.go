package sandbox

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func prefixes(list ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestFreeSubnet(t *testing.T) {
	for name, c := range map[string]struct {
		used []netip.Prefix
		seed uint32
		want string
	}{
		"nothing used":       {nil, 0, "10.231.0.0/30"},
		"by seed":            {nil, 65, "10.231.1.4/30"},
		"seed wraps":         {nil, 1<<14 + 2, "10.231.0.8/30"},
		"taken":              {prefixes("10.231.0.0/30", "10.231.0.4/32"), 0, "10.231.0.8/30"},
		"wraps in the pool":  {prefixes("10.231.255.252/30"), 1<<14 - 1, "10.231.0.0/30"},
		"a whole pool taken": {prefixes("10.0.0.0/8"), 0, "198.19.0.0/30"},
		"two taken":          {prefixes("10.0.0.0/8", "198.18.0.0/15"), 1, "172.31.224.4/30"},
		"three taken":        {prefixes("10.0.0.0/8", "198.18.0.0/15", "172.16.0.0/12"), 0, "192.168.224.0/30"},
	} {
		got, err := freeSubnet(c.used, c.seed)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, c.want)
		}
	}
	if _, err := freeSubnet(prefixes("10.0.0.0/8", "128.0.0.0/1"), 7); !errors.Is(err, errNoSubnet) {
		t.Errorf("everything taken: %v", err)
	}
}

func TestVethName(t *testing.T) {
	v, err := newVeth(owner{PID: 1<<22 - 1, N: 36*36*36*36*36 - 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Name) > unix.IFNAMSIZ-1 {
		t.Errorf("%s is longer than a device's name can be", v.Name)
	}
	if v.Host == v.Inner || !v.Subnet.Contains(v.Host) || !v.Subnet.Contains(v.Inner) || v.Host == v.Subnet.Addr() {
		t.Errorf("%+v", v)
	}
}

func TestSubnetAvoidsRoutes(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	o := options(t, "sleep")
	// One in the main table, one in a table that only a rule leads to, as VPNs have it.
	for i, dst := range []string{"10.231.0.0/16", "198.18.0.0/15"} {
		_, n, err := net.ParseCIDR(dst)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: n, Table: unix.RT_TABLE_MAIN - i*100}); err != nil {
			t.Fatal(err)
		}
	}
	sb := start(t, o)
	if p := netip.MustParsePrefix("172.31.224.0/19"); !p.Contains(sb.Addr()) {
		t.Errorf("address %v", sb.Addr())
	}
}

func TestNoNetwork(t *testing.T) {
	o := options(t)
	o.Network = NetworkNone
	r := report(t, o)
	if _, there := r.Up["eth0"]; there {
		t.Errorf("devices %v", r.Up)
	}
	for name, up := range r.Up {
		if up {
			t.Errorf("%s is up", name)
		}
	}
	o.NAT = true
	if _, err := Start(context.Background(), o); err == nil {
		t.Error("NAT without a network was accepted")
	}
}

func TestMTU(t *testing.T) {
	o := options(t, "sleep")
	o.MTU = 1280
	sb := start(t, o)
	link, err := netlink.LinkByName(sb.veth.Name)
	if err != nil || link.Attrs().MTU != 1280 {
		t.Errorf("%+v, %v", link, err)
	}
}
