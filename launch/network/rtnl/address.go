package rtnl

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Forever is the lifetime of an address that does not end.
const Forever = time.Duration(math.MaxUint32) * time.Second

// Address is an address of an interface.
type Address struct {
	Index int `json:"index"`
	// Prefix is the address with the length of its network's prefix.
	Prefix netip.Prefix `json:"prefix"`
	// Valid is how long the kernel keeps it; 0 and Forever are for ever.
	Valid time.Duration `json:"valid_ns,omitempty"`
	// LinkLocal tells that it is good on its link only.
	LinkLocal bool `json:"link_local,omitempty"`
}

// Addresses lists the addresses, of IPv4 and IPv6, of all interfaces.
func Addresses() ([]Address, error) {
	const op = "list the addresses"
	messages, err := dump(op, unix.RTM_GETADDR, unix.RTM_NEWADDR, make([]byte, unix.SizeofIfAddrmsg))
	if err != nil {
		return nil, err
	}
	return list(op, messages, parseAddress)
}

func parseAddress(data []byte) (a Address, ok bool, err error) {
	if len(data) < unix.SizeofIfAddrmsg {
		return a, false, ErrFormat
	}
	// struct ifaddrmsg: family, length of the prefix, flags, scope, index (4)
	fam, bits := data[0], int(data[1])
	if fam != unix.AF_INET && fam != unix.AF_INET6 {
		return a, false, nil
	}
	a.Index, a.LinkLocal = int(binary.NativeEndian.Uint32(data[4:])), data[3] == unix.RT_SCOPE_LINK
	var local, address netip.Addr
	err = attributes(data[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL: // on a link between two, IFA_ADDRESS is the other end's
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_CACHEINFO:
			if len(value) >= 8 {
				if a.Valid = time.Duration(binary.NativeEndian.Uint32(value[4:])) * time.Second; a.Valid == Forever {
					a.Valid = 0
				}
			}
		}
	})
	if !local.IsValid() {
		local = address
	}
	if err == nil && local.IsValid() {
		a.Prefix = netip.PrefixFrom(local, bits)
	}
	return a, a.Prefix.IsValid(), err
}

func addressHeader(a Address) builder {
	b := builder{family(a.Prefix.Addr()), byte(a.Prefix.Bits()), 0, unix.RT_SCOPE_UNIVERSE}
	b = binary.NativeEndian.AppendUint32(b, uint32(a.Index))
	b.addr(unix.IFA_LOCAL, a.Prefix.Addr())
	b.addr(unix.IFA_ADDRESS, a.Prefix.Addr())
	return b
}

// ReplaceAddress gives an interface an address, or sets a new lifetime on one that it has.
func ReplaceAddress(a Address) error {
	b := addressHeader(a)
	if a.Prefix.Addr().Is4() && a.Prefix.Bits() < 31 {
		b.addr(unix.IFA_BROADCAST, Broadcast(a.Prefix))
	}
	if a.Valid != 0 && a.Valid < Forever {
		// struct ifa_cacheinfo: preferred, valid, created, updated; a part of a second counts as one
		seconds := uint32((a.Valid + time.Second - 1) / time.Second)
		info := binary.NativeEndian.AppendUint32(nil, seconds)
		info = binary.NativeEndian.AppendUint32(info, seconds)
		b.attr(unix.IFA_CACHEINFO, append(info, make([]byte, 8)...))
	}
	return do(fmt.Sprintf("add address %s to interface %d", a.Prefix, a.Index), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, b)
}

// DeleteAddress takes an address off an interface. That it is not there is unix.EADDRNOTAVAIL.
func DeleteAddress(a Address) error {
	return do(fmt.Sprintf("remove address %s from interface %d", a.Prefix, a.Index), unix.RTM_DELADDR, 0, addressHeader(a))
}

// Broadcast is the last address of an IPv4 network.
func Broadcast(p netip.Prefix) netip.Addr {
	raw := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		raw[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(raw)
}
