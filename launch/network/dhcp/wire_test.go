package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// theirs reads a message with github.com/insomniacslk/dhcp, for comparison.
func theirs(t *testing.T, w wire, data []byte) {
	t.Helper()
	raw, err := dhcpv4.FromBytes(data)
	if err != nil {
		t.Fatalf("it is no message to dhcpv4: %v\n%x", err, data)
	}
	client, _ := netip.AddrFromSlice(raw.ClientIPAddr.To4())
	yours, _ := netip.AddrFromSlice(raw.YourIPAddr.To4())
	if byte(raw.OpCode) != w.op || binary.BigEndian.Uint32(raw.TransactionID[:]) != w.xid || raw.NumSeconds != w.seconds ||
		client != w.client || yours != w.yours || !bytes.Equal(raw.ClientHWAddr, w.hardware) || len(raw.Options) != len(w.options) {
		t.Fatalf("%+v\nis to dhcpv4\n%+v", w, raw)
	}
	for kind, value := range w.options {
		if !bytes.Equal(raw.Options[kind], value) {
			t.Fatalf("option %d is %x, and to dhcpv4 %x", kind, value, raw.Options[kind])
		}
	}
}

func TestPack(t *testing.T) {
	none := netip.IPv4Unspecified()
	for name, w := range map[string]wire{
		"nothing": {op: opRequest, client: none, yours: none},
		"a client's": {
			op: opRequest, xid: 0x12345678, seconds: 300, client: netip.MustParseAddr("192.0.2.5"), yours: none, hardware: hardware,
			options: map[uint8][]byte{optKind: {3}, optHostname: []byte("box"), 80: {}},
		},
		"a long option": {op: opRequest, client: none, yours: none, options: map[uint8][]byte{optClientID: bytes.Repeat([]byte("abc"), 200), optDomain: bytes.Repeat([]byte{7}, 255)}},
	} {
		t.Run(name, func(t *testing.T) {
			data := w.pack()
			if len(data) < minMessage {
				t.Errorf("%d bytes are fewer than BOOTP has", len(data))
			}
			theirs(t, w, data)
			if got, err := unpack(data); err != nil || !bytes.Equal(got.pack(), data) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func FuzzUnpackWire(f *testing.F) {
	f.Add(reply(&dhcpv4.DHCPv4{ClientHWAddr: hardware}, Offer, "192.0.2.5", time.Minute).ToBytes())
	f.Add(wire{op: opRequest, hardware: hardware, options: map[uint8][]byte{optClientID: make([]byte, 300)}}.pack())
	f.Add(append(wire{hardware: make([]byte, 16)}.pack()[:240], 0, 0, 12, 3, 'a', 'b', 'c', 12, 1, 'd', 255))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := unpack(data)
		if len(data) == atOptions {
			return // no option and no end: dhcpv4 takes it, and to a client it says nothing
		}
		if _, theirErr := dhcpv4.FromBytes(data); (err == nil) != (theirErr == nil) {
			t.Fatalf("%v, and to dhcpv4 %v", err, theirErr)
		}
		if err == nil {
			theirs(t, w, data)
		}
	})
}
