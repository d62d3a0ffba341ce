package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/network/dhcp"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// Of several default routes the one with the lowest metric counts. Each interface has metrics of its own, because the kernel
// replaces a route with one to the same destination that has the same metric; those of addresses that a person gave come first.
const (
	staticMetric = 512
	dhcpMetric   = 1024
)

// protoDHCP is RTPROT_DHCP of rtnetlink.h, which marks routes for who lists them.
const protoDHCP = 16

// settings are an address and what belongs to it.
type settings struct {
	address rtnl.Address
	routes  []rtnl.Route
	mtu     int
}

// leased makes settings out of a lease that ends at a time, or never where that is zero.
func leased(index int, l dhcp.Lease, until, now time.Time) settings {
	s := settings{address: rtnl.Address{Index: index, Prefix: l.Address}, mtu: l.MTU}
	if !until.IsZero() {
		// The kernel takes the address away even when nobody is there any more to do it. One second longer, so that we come first.
		s.address.Valid = max(until.Sub(now), 0) + time.Second
	}
	// Routes that lead to gateways of others come behind those: the kernel refuses a gateway that it cannot reach.
	for _, direct := range []bool{true, false} {
		for _, r := range l.Routes {
			if r.Gateway.IsValid() != direct {
				s.routes = append(s.routes, rtnl.Route{
					Destination: r.Destination, Gateway: r.Gateway, Index: index, Metric: dhcpMetric + uint32(index), Protocol: protoDHCP,
					OnLink: r.Gateway.IsValid() && !reaches(l, r.Gateway),
				})
			}
		}
	}
	return s
}

// reaches tells whether an address is in the lease's own network, or one that it says is on the link. Clouds lend a /32 and a
// gateway outside of it.
func reaches(l dhcp.Lease, gateway netip.Addr) bool {
	return l.Address.Contains(gateway) || slices.ContainsFunc(l.Routes, func(r dhcp.Route) bool {
		return !r.Gateway.IsValid() && r.Destination.Contains(gateway)
	})
}

// fixed makes settings out of a static address.
func fixed(index int, i Interface) settings {
	s := settings{address: rtnl.Address{Index: index, Prefix: i.Address}}
	if i.Gateway.IsValid() {
		anywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if i.Gateway.Is6() {
			anywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		s.routes = []rtnl.Route{{
			Destination: anywhere, Gateway: i.Gateway, Index: index, Metric: staticMetric + uint32(index), Protocol: unix.RTPROT_STATIC,
			OnLink: i.Gateway.Is4() && !i.Address.Contains(i.Gateway),
		}}
	}
	return s
}

// apply gives an interface the settings, in the place of those that it had, if any. It does as much as it can.
func (s settings) apply(had *settings, link rtnl.Link) error {
	var problems []error
	if had != nil && had.address.Prefix != s.address.Prefix {
		// First the old address, then the new one: of two in one network the kernel makes the second depend on the first.
		problems, had = append(problems, had.remove()), nil
	}
	if s.mtu > 0 && s.mtu != link.MTU {
		problems = append(problems, rtnl.SetMTU(s.address.Index, s.mtu))
	}
	if err := rtnl.ReplaceAddress(s.address); err != nil {
		return errors.Join(append(problems, err)...) // no route works without it
	}
	for _, r := range s.routes {
		problems = append(problems, rtnl.ReplaceRoute(r))
	}
	if had != nil {
		for _, r := range had.routes {
			same := func(o rtnl.Route) bool {
				return o.Destination == r.Destination && o.Gateway == r.Gateway && o.Metric == r.Metric
			}
			if !slices.ContainsFunc(s.routes, same) {
				problems = append(problems, gone(rtnl.DeleteRoute(r)))
			}
		}
	}
	return errors.Join(problems...)
}

// contains tells whether a route is among others.
func contains(all []rtnl.Route, r rtnl.Route) bool {
	return slices.ContainsFunc(all, func(o rtnl.Route) bool {
		return o.Destination == r.Destination && o.Gateway == r.Gateway && o.Metric == r.Metric && o.Index == r.Index
	})
}

// stand tells whether address and routes are there.
func (s settings) stand(addresses []rtnl.Address, table []rtnl.Route) bool {
	has := func(a rtnl.Address) bool { return a.Index == s.address.Index && a.Prefix == s.address.Prefix }
	return slices.ContainsFunc(addresses, has) &&
		!slices.ContainsFunc(s.routes, func(r rtnl.Route) bool { return !contains(table, r) })
}

// remove takes the settings back.
func (s settings) remove() error {
	var problems []error
	for _, r := range slices.Backward(s.routes) {
		problems = append(problems, gone(rtnl.DeleteRoute(r)))
	}
	return errors.Join(append(problems, gone(rtnl.DeleteAddress(s.address)))...)
}

// gone passes over that something is not there any more, with the interface or by itself.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func (s settings) String() string {
	text := s.address.Prefix.String()
	for _, r := range s.routes {
		if r.Default() {
			text += fmt.Sprintf(", gateway %s", r.Gateway)
		}
	}
	return text
}
