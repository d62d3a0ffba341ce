package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestDHCP(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	n := newNeighbour(t)
	n.cable("c0", "192.0.2.1/24")
	s := &server{address: "192.0.2.5", lease: 6 * time.Second}
	n.serve("c0-far", s)
	path := filepath.Join(t.TempDir(), "resolv.conf")
	k := keep(t, Config{Interfaces: []Interface{{Name: "c0", Method: bootline.DHCP}}, ResolvConf: path})

	k.expect(LinkUp, "c0")
	k.expect(Configured, "c0 got the address 192.0.2.5/24, gateway 192.0.2.1 from 192.0.2.1")
	if err := routed("203.0.113.1"); err != nil {
		t.Errorf("there is no default route: %v", err)
	}
	f, err := Observe()
	must(t, err)
	if f.Device != "c0" || f.MTU != 1400 || !slices.Equal(f.Gateways(), []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
		t.Errorf("the default route is through %q %v with the MTU %d", f.Device, f.Gateways(), f.MTU)
	}
	for _, a := range f.Addresses {
		if a.Prefix.String() == "192.0.2.5/24" && (a.Valid == 0 || a.Valid > 7*time.Second) {
			t.Errorf("the kernel keeps the address for %v", a.Valid)
		}
	}
	if name := <-k.names; name != "lent" {
		t.Errorf("the host's name is %q", name)
	}

	// The lease of 6 s is renewed after 3.
	k.expect(Renewed, "192.0.2.5/24")
	k.expect(Renewed, "192.0.2.5/24")
	s.set(func() {
		if s.renewals < 2 {
			t.Errorf("%d renewals came from the client's own address", s.renewals)
		}
	})
	c, err := resolv.Read(path)
	if err != nil || len(c.Nameservers) != 1 || c.Nameservers[0].String() != "192.0.2.53" || !slices.Equal(c.Search, []string{"example.org"}) {
		t.Errorf("resolv.conf is %+v, %v", c, err)
	}

	// Another address.
	s.set(func() { s.address = "192.0.2.9" })
	k.expect(Configured, "192.0.2.9/24")
	if has(t, "c0", "192.0.2.5/24") || !has(t, "c0", "192.0.2.9/24") {
		t.Error("the old address has not given way to the new one")
	}
	if err := routed("203.0.113.1"); err != nil {
		t.Errorf("the default route went with the address: %v", err)
	}

	// A refusal.
	s.set(func() { s.refuse, s.address = true, "192.0.2.7" })
	k.expect(Lost, "refused")
	k.expect(Configured, "192.0.2.7/24")
	if has(t, "c0", "192.0.2.9/24") {
		t.Error("the address that was refused is still there")
	}

	// A server that goes away, and comes back.
	s.set(func() { s.silent, s.refuse = true, false })
	k.expect(Lost, "no server renewed it in time")
	if has(t, "c0", "192.0.2.7/24") || routed("203.0.113.1") == nil {
		t.Error("the lease is over, and address or route are still there")
	}
	if c, err := resolv.Read(path); err != nil || len(c.Nameservers) != 1 {
		t.Errorf("the name servers of before are better than none: %+v, %v", c, err)
	}
	s.set(func() { s.silent = false })
	k.expect(Configured, "192.0.2.7/24")
}

func TestDHCPWithoutAnything(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	n := newNeighbour(t)
	k := keep(t, Config{Interfaces: []Interface{{Name: "late", Method: bootline.DHCP}}, ResolvConf: filepath.Join(t.TempDir(), "resolv.conf")})
	// The cable comes late, and the server later.
	n.cable("late", "192.0.2.1/24")
	k.expect(LinkUp, "late")
	s := &server{address: "192.0.2.5", lease: time.Hour}
	n.serve("late-far", s)
	k.expect(Configured, "192.0.2.5/24")

	// It is pulled out and put in again: the lease is asked for at once, and not after half an hour.
	late, err := netlink.LinkByName("late")
	must(t, err)
	must(t, netlink.LinkSetDown(late))
	waitFor(t, "the route is gone", func() bool { return routed("203.0.113.1") != nil })
	must(t, netlink.LinkSetUp(late))
	k.expect(Renewed, "192.0.2.5/24")
	waitFor(t, "the route is back", func() bool { return routed("203.0.113.1") == nil })

	// The interface goes for good, and another one of that name comes.
	must(t, netlink.LinkDel(late))
	s.set(func() { s.address = "192.0.2.6" })
	n2 := newNeighbour(t)
	n2.cable("late", "192.0.2.1/24")
	n2.serve("late-far", s)
	k.expect(Configured, "192.0.2.6/24")
}

func TestPanicIsToldAndSurvived(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	n := newNeighbour(t)
	n.cable("c0", "192.0.2.1/24")
	n.serve("c0-far", &server{address: "192.0.2.5", lease: time.Hour})
	k := keep(t, Config{Interfaces: []Interface{{Name: "c0", Method: bootline.DHCP}}, ResolvConf: filepath.Join(t.TempDir(), "resolv.conf")})
	k.expect(Configured, "192.0.2.5/24")
	if v := <-k.panics; fmt.Sprint(v) != "a name that cannot be borne" {
		t.Errorf("the panic is %v", v)
	}
	k.expect(Problem, "a mistake in the launcher itself")
	k.expect(Renewed, "192.0.2.5/24") // by a new client, of what the first one got
}

func TestStatic(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	n := newNeighbour(t)
	n.cable("c0", "192.0.2.1/24")
	ips, err := bootline.Parse("ip=192.0.2.5::192.0.2.1:255.255.255.0:box:c0:off:192.0.2.53:198.51.100.53 ip=[2001:db8::5]::[2001:db8::1]:64::c0:off:[2001:db8::53]").IPs()
	must(t, err)
	c := FromBootLine(ips)
	c.ResolvConf = filepath.Join(t.TempDir(), "resolv.conf")
	k := keep(t, c)
	k.expect(Configured, "c0 has the address 192.0.2.5/24, gateway 192.0.2.1")
	k.expect(Configured, "c0 has the address 2001:db8::5/64, gateway 2001:db8::1")
	if !has(t, "c0", "192.0.2.5/24") || !has(t, "c0", "2001:db8::5/64") {
		t.Error("an address is missing")
	}
	waitFor(t, "a default route", func() bool { return routed("203.0.113.1") == nil })
	waitFor(t, "resolv.conf", func() bool {
		conf, err := resolv.Read(c.ResolvConf)
		return err == nil && len(conf.Nameservers) == 3
	})
	if data, err := os.ReadFile("/proc/sys/net/ipv6/conf/c0/accept_ra"); err != nil || strings.TrimSpace(string(data)) != "2" {
		t.Errorf("accept_ra is %q, %v", data, err)
	}
	// Down and up again, by somebody.
	c0, err := netlink.LinkByName("c0")
	must(t, err)
	must(t, netlink.LinkSetDown(c0))
	waitFor(t, "the route is gone", func() bool { return routed("203.0.113.1") != nil })
	must(t, netlink.LinkSetUp(c0))
	waitFor(t, "the route is back", func() bool { return routed("203.0.113.1") == nil })
	waitFor(t, "the address of IPv6, which the kernel took away, is back", func() bool { return has(t, "c0", "2001:db8::5/64") })
}

func TestStaticThatCannotBe(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	n := newNeighbour(t)
	n.cable("c0", "192.0.2.1/24")
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/c0/disable_ipv6", []byte("1"), 0))
	path := filepath.Join(t.TempDir(), "resolv.conf")
	must(t, os.WriteFile(path, []byte("nameserver 10.9.9.9\n"), 0o644))
	k := keep(t, Config{ResolvConf: path, Interfaces: []Interface{{
		Name: "c0", Method: bootline.Static, Address: netip.MustParsePrefix("2001:db8::5/64"), DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")},
	}}})
	k.expect(Problem, "add address 2001:db8::5/64")
	if e := k.expect(Problem, path); !errors.Is(e.Err, resolv.ErrForeign) {
		t.Errorf("a user's resolv.conf: %v", e.Err)
	}
	// What stood in the way is taken away; it is tried again without being told.
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/c0/disable_ipv6", []byte("0"), 0))
	k.expect(Configured, "2001:db8::5/64")
}
