package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// neighbour is another network namespace, at the other end of cables to this one.
type neighbour struct {
	t  *testing.T
	ns netns.NsHandle
}

func newNeighbour(t *testing.T) *neighbour {
	n := &neighbour{t: t}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	must(t, err)
	n.ns, err = netns.New()
	must(t, err)
	must(t, netns.Set(here))
	must(t, here.Close())
	t.Cleanup(func() { must(t, n.ns.Close()) })
	return n
}

// do does something in the neighbour's namespace.
func (n *neighbour) do(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread is not unlocked: it ends with the goroutine, and its namespace with it.
		runtime.LockOSThread()
		if err := netns.Set(n.ns); err != nil {
			n.t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// cable makes an interface here whose other end is the neighbour's and has an address there.
func (n *neighbour) cable(name, address string) {
	n.t.Helper()
	other := name + "-far"
	must(n.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: other}))
	far, err := netlink.LinkByName(other)
	must(n.t, err)
	must(n.t, netlink.LinkSetNsFd(far, int(n.ns)))
	n.do(func() {
		far, err := netlink.LinkByName(other)
		if err == nil {
			err = netlink.LinkSetUp(far)
		}
		if err == nil {
			var a *netlink.Addr
			if a, err = netlink.ParseAddr(address); err == nil {
				err = netlink.AddrAdd(far, a)
			}
		}
		if err != nil {
			n.t.Error(err)
		}
	})
}

// server is a DHCP server whose behaviour a test changes while it runs.
type server struct {
	mu      sync.Mutex
	address string
	lease   time.Duration
	silent  bool
	refuse  bool // requests of those who have an address
	// renewals counts requests that came from the client's own address.
	renewals int
}

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) handle(conn net.PacketConn, peer net.Addr, in *dhcpv4.DHCPv4) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		return
	}
	kind := dhcpv4.MessageTypeOffer
	if in.MessageType() == dhcpv4.MessageTypeRequest {
		kind = dhcpv4.MessageTypeAck
		if !in.ClientIPAddr.IsUnspecified() {
			if peer.(*net.UDPAddr).IP.Equal(in.ClientIPAddr) {
				s.renewals++
			}
			if s.refuse {
				kind = dhcpv4.MessageTypeNak
			}
		}
	}
	out, err := dhcpv4.NewReplyFromRequest(in, dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(net.IPv4(192, 0, 2, 1)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1))))
	if err != nil {
		return
	}
	if kind != dhcpv4.MessageTypeNak {
		out.YourIPAddr = net.ParseIP(s.address)
		out.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		out.UpdateOption(dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)))
		out.UpdateOption(dhcpv4.OptDNS(net.IPv4(192, 0, 2, 53)))
		out.UpdateOption(dhcpv4.OptHostName("lent"))
		out.UpdateOption(dhcpv4.OptDomainName("example.org"))
		out.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{5, 120}))
		out.UpdateOption(dhcpv4.OptIPAddressLeaseTime(s.lease))
	} else {
		peer = &net.UDPAddr{IP: net.IPv4bcast, Port: 68}
	}
	// One that cannot be sent now is asked for again.
	_, _ = conn.WriteTo(out.ToBytes(), peer)
}

func (n *neighbour) serve(device string, s *server) {
	n.t.Helper()
	var srv *server4.Server
	n.do(func() {
		var err error
		if srv, err = server4.NewServer(device, &net.UDPAddr{IP: net.IPv4zero, Port: 67}, s.handle); err != nil {
			n.t.Error(err)
		}
	})
	if n.t.Failed() {
		n.t.FailNow()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve() // ends with an error when it is closed
	}()
	n.t.Cleanup(func() {
		_ = srv.Close() // Serve closes it as well
		<-done
	})
}

// keeper is a running Run, and what it told.
type keeper struct {
	t      *testing.T
	events chan Event
	names  chan string
	panics chan any
}

func keep(t *testing.T, c Config) *keeper {
	k := &keeper{t, make(chan Event, 1000), make(chan string, 100), make(chan any, 100)}
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("the test is over")
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, c, Callbacks{
			Event: func(e Event) { k.events <- e },
			Hostname: func(name string) error {
				k.names <- name
				if len(k.names) == 1 && strings.HasPrefix(t.Name(), "TestPanic") {
					panic("a name that cannot be borne")
				}
				return nil
			},
			Panic: func(v any, stack []byte) { k.panics <- v },
		})
	}()
	t.Cleanup(func() {
		cancel(reason)
		select {
		case err := <-done:
			if !errors.Is(err, reason) {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end with its context")
		}
	})
	return k
}

// expect waits for an event.
func (k *keeper) expect(kind Kind, text string) Event {
	k.t.Helper()
	var seen []string
	limit := time.After(60 * time.Second)
	for {
		select {
		case e := <-k.events:
			if e.Kind == kind && strings.Contains(e.Text, text) {
				return e
			}
			seen = append(seen, fmt.Sprintf("%s: %s", e.Kind, e.Text))
		case <-limit:
			k.t.Fatalf("no %q with %q came, but\n  %s", kind, text, strings.Join(seen, "\n  "))
		}
	}
}

// has tells whether an interface has an address.
func has(t *testing.T, device, address string) bool {
	t.Helper()
	f, err := Observe()
	must(t, err)
	return slices.ContainsFunc(f.Addresses, func(a rtnl.Address) bool {
		return linkName(f.Links, a.Index) == device && a.Prefix.String() == address
	})
}

// answers tells whether a UDP packet can be sent to an address, which takes a route.
func routed(to string) error {
	c, err := net.Dial("udp", net.JoinHostPort(to, "9"))
	if err == nil {
		err = c.Close()
	}
	return err
}

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

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
