package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Route is an entry of a routing table.
type Route struct {
	// Destination is the network it leads to; all of a family's addresses (0.0.0.0/0, ::/0) for a default route.
	Destination netip.Prefix `json:"destination"`
	// Gateway is the next hop; not valid where the network is on the link itself.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Index is the interface. It is 0 for routes that lead nowhere (unreachable, blackhole) and those in several directions.
	Index  int    `json:"index,omitempty"`
	Metric uint32 `json:"metric,omitempty"`
	Table  uint32 `json:"table"`
	// Protocol tells who made it, RTPROT_ of rtnetlink(7).
	Protocol uint8 `json:"protocol"`
	// Type is RTN_ of rtnetlink(7): 1 leads somewhere, 2 is an address of our own.
	Type uint8 `json:"type"`
	// MTU is the largest packet, in bytes, where the route itself sets it.
	MTU int `json:"mtu,omitempty"`
	// Hops are the interfaces of a route in several directions.
	Hops []int `json:"hops,omitempty"`
	// OnLink makes the kernel believe that the gateway is on the link although no address of ours says so.
	OnLink bool `json:"on_link,omitempty"`
}

// Default tells whether the route leads to everything that no other leads to.
func (r Route) Default() bool { return r.Destination.Bits() == 0 }

// Routes lists the routes of one family, unix.AF_INET or unix.AF_INET6, of all tables.
func Routes(family uint8) ([]Route, error) {
	op := "list the routes of IPv4"
	if family == unix.AF_INET6 {
		op = "list the routes of IPv6"
	}
	header := make([]byte, unix.SizeofRtMsg)
	header[0] = family
	messages, err := dump(op, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header)
	if err != nil {
		return nil, err
	}
	// A kernel without that family answers with the other one's.
	return list(op, messages, func(data []byte) (Route, bool, error) {
		r, ok, err := parseRoute(data)
		return r, ok && r.Destination.Addr().Is4() == (family == unix.AF_INET), err
	})
}

func parseRoute(data []byte) (r Route, ok bool, err error) {
	if len(data) < unix.SizeofRtMsg {
		return r, false, ErrFormat
	}
	// struct rtmsg: family, length of the destination and of the source, tos, table, protocol, scope, type, flags (4)
	fam, bits, flags := data[0], int(data[1]), binary.NativeEndian.Uint32(data[8:])
	r = Route{Table: uint32(data[4]), Protocol: data[5], Type: data[7], OnLink: flags&unix.RTNH_F_ONLINK != 0}
	var to netip.Addr
	switch fam {
	case unix.AF_INET:
		to = netip.IPv4Unspecified()
	case unix.AF_INET6:
		to = netip.IPv6Unspecified()
	default:
		return r, false, nil
	}
	if flags&unix.RTM_F_CLONED != 0 {
		return r, false, nil // a note of the kernel about a route, and not one of its own
	}
	var nested error
	err = attributes(data[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			if a, valid := netip.AddrFromSlice(value); valid {
				to = a
			}
		case unix.RTA_GATEWAY:
			r.Gateway, _ = netip.AddrFromSlice(value)
		case unix.RTA_VIA: // a gateway of the other family: family (2), address
			if len(value) > 2 {
				r.Gateway, _ = netip.AddrFromSlice(value[2:])
			}
		case unix.RTA_OIF:
			r.Index = int(number(value))
		case unix.RTA_PRIORITY:
			r.Metric = number(value)
		case unix.RTA_TABLE:
			r.Table = number(value)
		case unix.RTA_METRICS:
			nested = attributes(value, func(kind uint16, value []byte) {
				if kind == unix.RTAX_MTU {
					r.MTU = int(number(value))
				}
			})
		case unix.RTA_MULTIPATH:
			r.Hops, nested = hops(value)
		}
	})
	if err == nil {
		err = nested
	}
	r.Destination = netip.PrefixFrom(to, bits)
	return r, err == nil && r.Destination.IsValid(), err
}

// hops reads the struct rtnexthop of a route in several directions: size (2), flags, weight, interface (4), attributes.
func hops(data []byte) ([]int, error) {
	var indexes []int
	for len(data) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(data))
		if size < unix.SizeofRtNexthop || size > len(data) {
			return nil, ErrFormat
		}
		indexes = append(indexes, int(int32(binary.NativeEndian.Uint32(data[4:]))))
		data = data[min(len(data), (size+3)&^3):]
	}
	return indexes, nil
}

func (r Route) message() builder {
	scope := byte(unix.RT_SCOPE_UNIVERSE)
	if !r.Gateway.IsValid() && r.Destination.Addr().Is4() {
		scope = unix.RT_SCOPE_LINK
	}
	var flags uint32
	if r.OnLink {
		flags = unix.RTNH_F_ONLINK
	}
	b := builder{
		family(r.Destination.Addr()), byte(r.Destination.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, r.Protocol, scope, unix.RTN_UNICAST,
	}
	b = binary.NativeEndian.AppendUint32(b, flags)
	if r.Destination.Bits() > 0 {
		b.addr(unix.RTA_DST, r.Destination.Masked().Addr())
	}
	if r.Gateway.IsValid() {
		b.addr(unix.RTA_GATEWAY, r.Gateway)
	}
	b.uint32(unix.RTA_OIF, uint32(r.Index))
	if r.Metric != 0 {
		b.uint32(unix.RTA_PRIORITY, r.Metric)
	}
	return b
}

// String writes the route as ip(8) does.
func (r Route) String() string {
	s := r.Destination.String()
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	s += fmt.Sprintf(" on interface %d", r.Index)
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	return s
}

// ReplaceRoute puts a route into the main table, in the place of one with the same destination and metric.
func ReplaceRoute(r Route) error {
	return do("add route "+r.String(), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, r.message())
}

// DeleteRoute takes a route out of the main table. That it is not there is unix.ESRCH.
func DeleteRoute(r Route) error {
	return do("remove route "+r.String(), unix.RTM_DELROUTE, 0, r.message())
}
