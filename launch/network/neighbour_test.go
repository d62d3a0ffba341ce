package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
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

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
