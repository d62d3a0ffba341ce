package dhcp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

var equal = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestReadLease(t *testing.T) {
	address := netip.MustParseAddr("10.0.2.15")
	anywhere := netip.MustParsePrefix("0.0.0.0/0")
	gateway := netip.MustParseAddr("10.0.2.2")
	for name, c := range map[string]struct {
		options map[uint8][]byte
		want    Lease
	}{
		"nothing": {nil, Lease{Address: netip.MustParsePrefix("10.0.2.15/8")}},
		"everything": {
			map[uint8][]byte{
				optSubnetMask: {255, 255, 255, 0}, optRouters: {10, 0, 2, 2, 10, 0, 2, 9}, optNameservers: {10, 0, 2, 3, 9, 9, 9, 9}, optHostname: []byte("box\x00"),
				optDomain: []byte("example.org."), optMTU: {5, 120}, optLeaseTime: {0, 0, 14, 16}, optServer: {10, 0, 2, 2},
			},
			Lease{
				Address: netip.MustParsePrefix("10.0.2.15/24"), Server: gateway, Routes: []Route{{anywhere, gateway}},
				Nameservers: []netip.Addr{netip.MustParseAddr("10.0.2.3"), netip.MustParseAddr("9.9.9.9")}, Hostname: "box", Domain: "example.org",
				MTU: 1400, Time: time.Hour, T1: 30 * time.Minute, T2: 3150 * time.Second,
			},
		},
		"classless routes alone count": {
			map[uint8][]byte{optRouters: {10, 0, 2, 2}, optClasslessRoutes: {0, 10, 0, 2, 9, 20, 172, 16, 31, 0, 0, 0, 0, 32, 169, 254, 169, 254, 10, 0, 2, 2}},
			Lease{Address: netip.MustParsePrefix("10.0.2.15/8"), Routes: []Route{
				{anywhere, netip.MustParseAddr("10.0.2.9")}, {Destination: netip.MustParsePrefix("172.16.16.0/20")},
				{netip.MustParsePrefix("169.254.169.254/32"), gateway},
			}},
		},
		"classless routes cut short": {
			map[uint8][]byte{optRouters: {10, 0, 2, 2}, optClasslessRoutes: {24, 10, 0, 2, 9}},
			Lease{Address: netip.MustParsePrefix("10.0.2.15/8"), Routes: []Route{{anywhere, gateway}}},
		},
		"classless routes of 33 bits": {
			map[uint8][]byte{optClasslessRoutes: {33, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, Lease{Address: netip.MustParsePrefix("10.0.2.15/8")},
		},
		"times out of order": {
			map[uint8][]byte{optLeaseTime: {0, 0, 0, 80}, optT1: {0, 0, 0, 75}, optT2: {0, 0, 0, 90}},
			Lease{Address: netip.MustParsePrefix("10.0.2.15/8"), Time: 80 * time.Second, T1: 40 * time.Second, T2: 70 * time.Second},
		},
		"times of the server": {
			map[uint8][]byte{optLeaseTime: {0, 0, 0, 80}, optT1: {0, 0, 0, 10}, optT2: {0, 0, 0, 20}},
			Lease{Address: netip.MustParsePrefix("10.0.2.15/8"), Time: 80 * time.Second, T1: 10 * time.Second, T2: 20 * time.Second},
		},
		"nonsense": {
			map[uint8][]byte{
				optSubnetMask: {255, 0, 255, 0}, optRouters: {1, 2, 3}, optNameservers: {0, 0, 0, 0}, optHostname: []byte("a b\n"), optDomain: []byte("x\nnameserver 6.6.6.6"),
				optMTU: {0, 68}, optLeaseTime: {1}, optServer: {},
			},
			Lease{Address: netip.MustParsePrefix("10.0.2.15/8")},
		},
	} {
		if diff := cmp.Diff(c.want, readLease(address, c.options), equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPackets(t *testing.T) {
	for _, size := range []int{0, 1, 300, 301, 1472} {
		data := bytes.Repeat([]byte{7}, size)
		p := wrap(netip.MustParseAddr("192.0.2.5"), data)
		if checksum(p[:ipHeader], 0) != 0 || checksum(p[ipHeader:], sum(p[12:20])+protoUDP+uint32(udpHeader+size)) != 0 {
			t.Errorf("%d bytes: a checksum is wrong", size)
		}
		// As a server would send it.
		p[ipHeader+2], p[ipHeader+3] = 0, clientPort
		if got, ok := unwrap(append(p, "padding"...)); !ok || !bytes.Equal(got, data) {
			t.Errorf("%d bytes did not come back: %v, %d bytes", size, ok, len(got))
		}
	}
	good := wrap(netip.Addr{}, []byte("x"))
	good[ipHeader+3] = clientPort
	for name, change := range map[string]func(p []byte) []byte{
		"another port":   func(p []byte) []byte { p[ipHeader+3] = 67; return p },
		"cut short":      func(p []byte) []byte { return p[:len(p)-1] },
		"only a header":  func(p []byte) []byte { return p[:ipHeader] },
		"nothing":        func([]byte) []byte { return nil },
		"version 6":      func(p []byte) []byte { p[0] = 0x65; return p },
		"a long header":  func(p []byte) []byte { p[0] = 0x4f; return p },
		"a short header": func(p []byte) []byte { p[0] = 0x41; return p },
		"TCP":            func(p []byte) []byte { p[9] = 6; return p },
		"damage":         func(p []byte) []byte { p[13]++; return p },
		"a part":         func(p []byte) []byte { p[6] = 0x20; return p },
		"a long message": func(p []byte) []byte { p[ipHeader+5] = 200; return p },
	} {
		if _, ok := unwrap(change(bytes.Clone(good))); ok {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestUnpackErrors(t *testing.T) {
	request := dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootRequest, ClientHWAddr: hardware, Options: dhcpv4.Options{}}
	for name, data := range map[string][]byte{"nothing": nil, "zeros": make([]byte, 300), "a client's": request.ToBytes()} {
		if m, err := Unpack(data); err == nil {
			t.Errorf("%s gave %+v", name, m)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	in := &dhcpv4.DHCPv4{ClientHWAddr: hardware}
	f.Add(reply(in, Offer, "192.0.2.5", time.Minute).ToBytes())
	full := reply(in, Ack, "192.0.2.5", time.Minute)
	full.Options[optClasslessRoutes] = []byte{24, 10, 0, 2, 10, 0, 2, 9, 0, 1, 2, 3, 4}
	full.Options[optRouters], full.Options[optHostname], full.Options[optMTU] = []byte{1, 2, 3, 4}, []byte("a.b"), []byte{5, 220}
	f.Add(full.ToBytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Unpack(data)
		if err != nil {
			return
		}
		l := m.Lease
		if err := l.Check(); err == nil && (l.T1 <= 0 || l.T1 > l.T2 || l.T2 >= l.Time) {
			t.Fatalf("times %v, %v, %v", l.T1, l.T2, l.Time)
		}
		for _, r := range l.Routes {
			if !r.Destination.IsValid() {
				t.Fatalf("a route without destination: %+v", r)
			}
		}
		for _, name := range []string{l.Hostname, l.Domain} {
			if bytes.ContainsAny([]byte(name), " \n\x00/") {
				t.Fatalf("the name %q", name)
			}
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	p := wrap(netip.Addr{}, []byte("x"))
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		if data, ok := unwrap(p); ok && len(data) > len(p)-ipHeader-udpHeader {
			t.Fatalf("%d bytes out of %d", len(data), len(p))
		}
	})
}
