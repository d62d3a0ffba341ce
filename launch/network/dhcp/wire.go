package dhcp

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
)

// errWire is what is no DHCP message at all.
var errWire = errors.New("it is no DHCP message, or is cut short")

// Where things are in a message (RFC 2131, section 2), in bytes.
const (
	atOp       = 0
	atHType    = 1
	atHLen     = 2
	atXID      = 4
	atSeconds  = 8
	atClient   = 12
	atYours    = 16
	atHardware = 28
	atCookie   = 236
	atOptions  = 240

	opRequest = 1
	opReply   = 2

	cookie       = "\x63\x82\x53\x63" // RFC 2131, section 3
	hardwareSize = 16
	// minMessage is what a message of BOOTP has, and what some relays and servers ask for.
	minMessage = 300

	optPad = 0
	optEnd = 255
)

// wire is a message as it is sent, but for the fields that a client of today has no use for.
type wire struct {
	op       byte
	xid      uint32
	seconds  uint16     // since the client began
	client   netip.Addr // the client's address, where it has one; else not valid
	yours    netip.Addr // the address that the server lends
	hardware []byte
	options  map[uint8][]byte
}

// pack writes a message of an Ethernet client, its options sorted by their number.
func (w wire) pack() []byte {
	b := make([]byte, atOptions, maxMessage)
	b[atOp], b[atHType], b[atHLen] = w.op, 1, byte(len(w.hardware))
	binary.BigEndian.PutUint32(b[atXID:], w.xid)
	binary.BigEndian.PutUint16(b[atSeconds:], w.seconds)
	if w.client.Is4() {
		copy(b[atClient:], w.client.AsSlice())
	}
	copy(b[atHardware:atHardware+hardwareSize], w.hardware)
	copy(b[atCookie:], cookie)
	for _, kind := range slices.Sorted(maps.Keys(w.options)) {
		// What is longer than an option can be is split (RFC 3396).
		for value := w.options[kind]; ; {
			part := value[:min(len(value), 255)]
			value = value[len(part):]
			b = append(append(b, kind, byte(len(part))), part...)
			if len(value) == 0 {
				break
			}
		}
	}
	b = append(b, optEnd)
	return append(b, make([]byte, max(minMessage-len(b), 0))...)
}

// unpack reads a message. Options that are there several times are joined (RFC 3396).
func unpack(data []byte) (wire, error) {
	if len(data) < atOptions || string(data[atCookie:atOptions]) != cookie {
		return wire{}, errWire
	}
	w := wire{
		op:       data[atOp],
		xid:      binary.BigEndian.Uint32(data[atXID:]),
		seconds:  binary.BigEndian.Uint16(data[atSeconds:]),
		client:   netip.AddrFrom4([4]byte(data[atClient:])),
		yours:    netip.AddrFrom4([4]byte(data[atYours:])),
		hardware: slices.Clone(data[atHardware : atHardware+min(int(data[atHLen]), hardwareSize)]),
		options:  map[uint8][]byte{},
	}
	for rest := data[atOptions:]; len(rest) > 0; {
		kind := rest[0]
		switch {
		case kind == optEnd:
			return w, nil
		case kind == optPad:
			rest = rest[1:]
			continue
		case len(rest) < 2 || len(rest) < 2+int(rest[1]):
			return wire{}, errWire
		}
		size := int(rest[1])
		w.options[kind] = append(w.options[kind], rest[2:2+size]...)
		rest = rest[2+size:]
	}
	return wire{}, errWire // without an end, which was cut off
}
