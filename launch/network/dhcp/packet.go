package dhcp

import (
	"encoding/binary"
	"net/netip"
)

const (
	clientPort = 68
	serverPort = 67
	protoUDP   = 17
	ipHeader   = 20
	udpHeader  = 8
)

// wrap puts the headers of IP and UDP in front of a message that goes to everybody on the link.
func wrap(from netip.Addr, data []byte) []byte {
	if !from.IsValid() {
		from = netip.IPv4Unspecified()
	}
	size := ipHeader + udpHeader + len(data)
	p := make([]byte, size)
	p[0] = 0x45 // version 4, a header of five words
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	p[8] = 64 // time to live
	p[9] = protoUDP
	copy(p[12:], from.AsSlice())
	copy(p[16:], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(p[10:], checksum(p[:ipHeader], 0))

	u := p[ipHeader:]
	binary.BigEndian.PutUint16(u, clientPort)
	binary.BigEndian.PutUint16(u[2:], serverPort)
	binary.BigEndian.PutUint16(u[4:], uint16(udpHeader+len(data)))
	copy(u[udpHeader:], data)
	// The addresses, the protocol and the length count as well (RFC 768); 0 would mean that there is no checksum.
	sum := checksum(u, sum(p[12:20])+protoUDP+uint32(len(u)))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(u[6:], sum)
	return p
}

// unwrap takes the headers off a packet and tells whether it is one for a DHCP client. The checksum of UDP is not looked at:
// between virtual machines it is often left for hardware that is not there, and a message that was damaged does not have our
// number and address in it.
func unwrap(p []byte) (data []byte, ok bool) {
	if len(p) < ipHeader || p[0]>>4 != 4 {
		return nil, false
	}
	header, size := int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
	if header < ipHeader || size < header+udpHeader || size > len(p) || p[9] != protoUDP || checksum(p[:header], 0) != 0 {
		return nil, false
	}
	// A part of a packet has no header to look at, or lacks its end.
	if binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return nil, false
	}
	u := p[header:size]
	length := int(binary.BigEndian.Uint16(u[4:]))
	if binary.BigEndian.Uint16(u[2:]) != clientPort || length < udpHeader || length > len(u) {
		return nil, false
	}
	return u[udpHeader:length], true
}

// checksum is that of RFC 1071.
func checksum(data []byte, start uint32) uint16 {
	s := start + sum(data)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

func sum(data []byte) (s uint32) {
	for i := 0; i+1 < len(data); i += 2 {
		s += uint32(data[i])<<8 | uint32(data[i+1])
	}
	if len(data)%2 == 1 {
		s += uint32(data[len(data)-1]) << 8
	}
	return s
}
