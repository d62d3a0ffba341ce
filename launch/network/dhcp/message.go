// Package dhcp is a DHCPv4 client (RFC 2131, RFC 2132, RFC 3442). What it does when is decided by Machine, which is pure: it
// is told the time and the server's messages, and answers what to send and what has become of the lease. Run drives it with
// a real socket. Messages are packed and unpacked by github.com/insomniacslk/dhcp/dhcpv4; that module's client, nclient4, would
// cost the launcher 290 KB more, above all for the UDP of package net.
package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Kind is the type of a DHCP message (RFC 2132, 9.6).
type Kind uint8

// The messages that a client sends or understands.
const (
	Discover Kind = 1
	Offer    Kind = 2
	Request  Kind = 3
	Ack      Kind = 5
	Nak      Kind = 6
)

// The options that are used here (RFC 2132, RFC 3442).
const (
	optSubnetMask      = 1
	optRouters         = 3
	optNameservers     = 6
	optHostname        = 12
	optDomain          = 15
	optMTU             = 26
	optRequestedIP     = 50
	optLeaseTime       = 51
	optKind            = 53
	optServer          = 54
	optParameterList   = 55
	optMaximumSize     = 57
	optT1              = 58
	optT2              = 59
	optClientID        = 61
	optClasslessRoutes = 121
)

// maxMessage is the largest message, in bytes with the headers of IP and UDP, that a server may send.
const maxMessage = 1500

// Infinite is the duration of a lease that does not end: 0xffffffff seconds (RFC 2131, 3.3).
const Infinite = time.Duration(0xffffffff) * time.Second

// What makes an answer of a server unusable.
var (
	ErrNotForUs  = errors.New("the message is for somebody else")
	ErrNoServer  = errors.New("the server does not name itself")
	ErrNoAddress = errors.New("the server offers no usable address")
	ErrNoTime    = errors.New("the server does not say how long the lease lasts")
)

// Message is a message of a server, as far as a client needs it.
type Message struct {
	Kind     Kind
	XID      uint32
	Hardware []byte
	Lease    Lease
}

// Route is a route that a lease brings. Without a valid gateway the network is on the link itself.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
}

// Lease is what a server lent.
type Lease struct {
	// Address is our address with the length of its network's prefix.
	Address netip.Prefix `json:"address"`
	Server  netip.Addr   `json:"server"`
	// Routes are those of option 121 where it is there, else a default route from option 3.
	Routes      []Route      `json:"routes,omitempty"`
	Nameservers []netip.Addr `json:"nameservers,omitempty"`
	Hostname    string       `json:"hostname,omitempty"`
	Domain      string       `json:"domain,omitempty"`
	// MTU is in bytes, and 0 where the server does not say.
	MTU int `json:"mtu,omitempty"`
	// Time is how long the lease lasts, Infinite for ever. T1 and T2 are when it is renewed and when any server is asked.
	Time time.Duration `json:"time_ns"`
	T1   time.Duration `json:"t1_ns"`
	T2   time.Duration `json:"t2_ns"`
}

// Unpack reads a server's message; problems that make it no message at all are errors, those of its lease are found by Check.
func Unpack(data []byte) (Message, error) {
	raw, err := dhcpv4.FromBytes(data)
	if err != nil {
		return Message{}, fmt.Errorf("reading a DHCP message: %w", err)
	}
	if raw.OpCode != dhcpv4.OpcodeBootReply {
		return Message{}, ErrNotForUs
	}
	m := Message{XID: binary.BigEndian.Uint32(raw.TransactionID[:]), Hardware: raw.ClientHWAddr}
	if kind := raw.Options[optKind]; len(kind) == 1 {
		m.Kind = Kind(kind[0])
	}
	address, _ := netip.AddrFromSlice(raw.YourIPAddr.To4())
	m.Lease = readLease(address, raw.Options)
	return m, nil
}

// readLease reads the options that it can; each that is malformed counts as missing, as the rest may do.
func readLease(address netip.Addr, options map[uint8][]byte) Lease {
	l := Lease{
		Server:      one(addresses(options[optServer])),
		Nameservers: addresses(options[optNameservers]),
		Hostname:    domainName(options[optHostname]),
		Domain:      domainName(options[optDomain]),
		Time:        seconds(options[optLeaseTime]),
		T1:          seconds(options[optT1]),
		T2:          seconds(options[optT2]),
	}
	if address.IsValid() {
		l.Address = netip.PrefixFrom(address, prefixLength(address, options[optSubnetMask]))
	}
	// RFC 2132 allows 68; below 576 IPv4 need not work, and such values are mistakes.
	if mtu := options[optMTU]; len(mtu) == 2 && binary.BigEndian.Uint16(mtu) >= 576 {
		l.MTU = int(binary.BigEndian.Uint16(mtu))
	}
	// Servers send both for clients that know one only; RFC 3442 has the classless ones count alone.
	routes, ok := classless(options[optClasslessRoutes])
	if !ok {
		if router := one(addresses(options[optRouters])); router.IsValid() {
			routes = []Route{{netip.PrefixFrom(netip.IPv4Unspecified(), 0), router}}
		}
	}
	l.Routes = routes
	l.times()
	return l
}

// times fills T1 and T2 in where the server's are missing or out of order (RFC 2131, 4.4.5).
func (l *Lease) times() {
	if l.T2 <= 0 || l.T2 >= l.Time {
		l.T2 = l.Time / 8 * 7
	}
	if l.T1 <= 0 || l.T1 >= l.T2 {
		l.T1 = min(l.Time/2, l.T2/8*7)
	}
}

// Check tells whether a lease can be used.
func (l Lease) Check() error {
	a := l.Address.Addr()
	switch {
	case !l.Server.IsValid():
		return ErrNoServer
	case !l.Address.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return ErrNoAddress
	case l.Time < time.Second:
		return ErrNoTime
	}
	return nil
}

func addresses(data []byte) []netip.Addr {
	if len(data)%4 != 0 {
		return nil
	}
	var all []netip.Addr
	for ; len(data) > 0; data = data[4:] {
		if a := netip.AddrFrom4([4]byte(data)); !a.IsUnspecified() && !a.IsMulticast() {
			all = append(all, a)
		}
	}
	return all
}

func one(all []netip.Addr) netip.Addr {
	if len(all) == 0 {
		return netip.Addr{}
	}
	return all[0]
}

func seconds(data []byte) time.Duration {
	if len(data) != 4 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint32(data)) * time.Second
}

// prefixLength reads a subnet mask; where there is none the class of the address tells it (RFC 1122, 3.3.6).
func prefixLength(a netip.Addr, data []byte) int {
	if len(data) == 4 {
		mask, bits := binary.BigEndian.Uint32(data), 0
		for ; mask&(1<<31) != 0; mask <<= 1 {
			bits++
		}
		if mask == 0 && bits > 0 {
			return bits
		}
	}
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	default:
		return 24
	}
}

// classless reads the routes of RFC 3442: length of the prefix, as many bytes of it as count, gateway.
func classless(data []byte) (routes []Route, ok bool) {
	for len(data) > 0 {
		bits := int(data[0])
		size := (bits + 7) / 8
		if bits > 32 || len(data) < 1+size+4 {
			return nil, false
		}
		var to [4]byte
		copy(to[:], data[1:1+size])
		r := Route{Destination: netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked()}
		if gateway := netip.AddrFrom4([4]byte(data[1+size:])); !gateway.IsUnspecified() {
			r.Gateway = gateway
		}
		routes, data = append(routes, r), data[1+size+4:]
	}
	return routes, len(routes) > 0
}

// domainName takes only what can stand in resolv.conf and go to sethostname(2) harmlessly: a server is a stranger.
func domainName(data []byte) string {
	name := strings.TrimRight(string(data), "\x00.")
	if len(name) > 253 || strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") || strings.Contains(name, "..") {
		return ""
	}
	for _, c := range []byte(name) {
		if !(c == '-' || c == '.' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return ""
		}
	}
	return name
}
