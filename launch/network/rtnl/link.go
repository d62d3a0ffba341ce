package rtnl

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Link is a network interface.
type Link struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Kind is what the interface is where it is no device: bridge, veth, vlan, tun and so on.
	Kind string `json:"kind,omitempty"`
	// Ethernet tells whether it speaks Ethernet; loopback and tunnels do not.
	Ethernet bool         `json:"ethernet,omitempty"`
	Loopback bool         `json:"loopback,omitempty"`
	MTU      int          `json:"mtu"`
	Address  HardwareAddr `json:"address,omitempty"`
	// Master is the index of the bridge or bond that it is a port of.
	Master int  `json:"master,omitempty"`
	Up     bool `json:"up"`
	// Carrier tells whether something is at the other end; it is only known of a link that is up.
	Carrier bool `json:"carrier"`
}

// Links lists the interfaces of this network namespace.
func Links() ([]Link, error) {
	const op = "list the network interfaces"
	messages, err := dump(op, unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return nil, err
	}
	return list(op, messages, parseLink)
}

func parseLink(data []byte) (l Link, ok bool, err error) {
	if len(data) < unix.SizeofIfInfomsg {
		return l, false, ErrFormat
	}
	// struct ifinfomsg: family, padding, type (2), index (4), flags (4), change (4)
	kind, flags := binary.NativeEndian.Uint16(data[2:]), binary.NativeEndian.Uint32(data[8:])
	l = Link{
		Index:    int(int32(binary.NativeEndian.Uint32(data[4:]))),
		Ethernet: kind == unix.ARPHRD_ETHER,
		Loopback: flags&unix.IFF_LOOPBACK != 0,
		Up:       flags&unix.IFF_UP != 0,
		Carrier:  flags&unix.IFF_LOWER_UP != 0,
	}
	var nested error
	err = attributes(data[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(value)
		case unix.IFLA_MTU:
			l.MTU = int(number(value))
		case unix.IFLA_ADDRESS:
			l.Address = append(HardwareAddr(nil), value...)
		case unix.IFLA_MASTER:
			l.Master = int(number(value))
		case unix.IFLA_LINKINFO:
			nested = attributes(value, func(kind uint16, value []byte) {
				if kind == unix.IFLA_INFO_KIND {
					l.Kind = text(value)
				}
			})
		}
	})
	if err == nil {
		err = nested
	}
	return l, err == nil, err
}

// header makes a struct ifinfomsg.
func linkHeader(index int, flags, change uint32) builder {
	b := make(builder, 4, 64)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// SetUp brings an interface up.
func SetUp(index int) error {
	return do(fmt.Sprintf("bring up interface %d", index), unix.RTM_NEWLINK, 0, linkHeader(index, unix.IFF_UP, unix.IFF_UP))
}

// SetMTU sets the largest packet, in bytes, that goes through an interface.
func SetMTU(index, mtu int) error {
	b := linkHeader(index, 0, 0)
	b.uint32(unix.IFLA_MTU, uint32(mtu))
	return do(fmt.Sprintf("set the MTU of interface %d to %d", index, mtu), unix.RTM_NEWLINK, 0, b)
}

// AddBridge makes a bridge; an MTU of 0 leaves it to the kernel. That something has the name already is unix.EEXIST.
func AddBridge(name string, mtu int) error {
	b := linkHeader(0, 0, 0)
	b.text(unix.IFLA_IFNAME, name)
	if mtu != 0 {
		b.uint32(unix.IFLA_MTU, uint32(mtu))
	}
	var info builder
	info.text(unix.IFLA_INFO_KIND, "bridge")
	b.attr(unix.IFLA_LINKINFO, info)
	return do("make bridge "+name, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, b)
}
