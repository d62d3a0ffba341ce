package bootline

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

func TestParseIP(t *testing.T) {
	for word, want := range map[string]IP{
		"dhcp":                {Method: DHCP},
		"on":                  {Method: DHCP},
		"any":                 {Method: DHCP},
		"off":                 {Method: Off},
		"none":                {Method: Off},
		"":                    {Method: Off},
		"eth0:dhcp":           {Method: DHCP, Device: "eth0"},
		"enp0s3:off":          {Method: Off, Device: "enp0s3"},
		":::::eth1:dhcp":      {Method: DHCP, Device: "eth1"},
		"::::box.lan:eth1:on": {Method: DHCP, Device: "eth1", Hostname: "box", Domain: "lan"},
		"::::box::":           {Method: DHCP, Hostname: "box"},
		"0.0.0.0::::::dhcp":   {Method: DHCP},
		"dhcp,1,abc":          {Method: DHCP, ClientID: []byte("\x01abc")},
		"eth0:dhcp,0x0,a,b":   {Method: DHCP, Device: "eth0", ClientID: []byte("\x00a,b")},
		"192.0.2.5":           {Method: Static, Address: netip.MustParsePrefix("192.0.2.5/24")},
		"10.1.2.3":            {Method: Static, Address: netip.MustParsePrefix("10.1.2.3/8")},
		"172.16.0.9::":        {Method: Static, Address: netip.MustParsePrefix("172.16.0.9/16")},
		"192.0.2.5::192.0.2.1:255.255.255.128:box.example.org:eth0:none:192.0.2.53:198.51.100.53:192.0.2.123": {
			Method: Static, Address: netip.MustParsePrefix("192.0.2.5/25"), Gateway: addr("192.0.2.1"), Hostname: "box", Domain: "example.org",
			Device: "eth0", DNS: []netip.Addr{addr("192.0.2.53"), addr("198.51.100.53")}, NTP: addr("192.0.2.123"),
		},
		"192.0.2.5:192.0.2.9:::::off::198.51.100.53": {
			Method: Static, Address: netip.MustParsePrefix("192.0.2.5/24"), Server: addr("192.0.2.9"), DNS: []netip.Addr{addr("198.51.100.53")},
		},
		// The kernel asks nobody where the address is given.
		"192.0.2.5:::26::eth0:dhcp": {Method: Static, Address: netip.MustParsePrefix("192.0.2.5/26"), Device: "eth0"},
		"[2001:db8::5]::[fe80::1]:64:box:eth0:none:[2001:db8::53]:192.0.2.53": {
			Method: Static, Address: netip.MustParsePrefix("2001:db8::5/64"), Gateway: addr("fe80::1"), Hostname: "box", Device: "eth0",
			DNS: []netip.Addr{addr("2001:db8::53"), addr("192.0.2.53")},
		},
		"[2001:db8::5]": {Method: Static, Address: netip.MustParsePrefix("2001:db8::5/64")},
	} {
		want.Word = word
		got, err := ParseIP(word)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || err != nil {
			t.Errorf("ip=%s: %v (-want +got):\n%s", word, err, diff)
		}
	}
}

func TestParseIPErrors(t *testing.T) {
	for word, want := range map[string]struct {
		field string
		err   error
	}{
		"192.0.2":                        {"client", ErrAddress},
		"192.0.2.256":                    {"client", ErrAddress},
		"eth0":                           {"client", ErrAddress},
		"eth0:dchp":                      {"client", ErrAddress},
		"2001:db8::5":                    {"client", ErrAddress},
		"[192.0.2.5]":                    {"client", ErrAddress},
		"[2001:db8::5":                   {"client", ErrBracket},
		"[2001:db8::5]x":                 {"client", ErrBracket},
		"192.0.2.5:[::1":                 {"server", ErrBracket},
		"[fe80::1%eth0]":                 {"client", ErrAddress},
		"[::ffff:192.0.2.1]":             {"client", ErrAddress},
		"192.0.2.5:x":                    {"server", ErrAddress},
		"192.0.2.5::x":                   {"gw", ErrAddress},
		"192.0.2.5::[2001:db8::1]":       {"gw", ErrFamily},
		"192.0.2.5:::255.0.255.0":        {"netmask", ErrNetmask},
		"192.0.2.5:::33":                 {"netmask", ErrNetmask},
		"192.0.2.5:::0":                  {"netmask", ErrNetmask},
		"192.0.2.5:::0.0.0.0":            {"netmask", ErrNetmask},
		"[2001:db8::5]:::255.255.255.0":  {"netmask", ErrNetmask},
		"[2001:db8::5]:::129":            {"netmask", ErrNetmask},
		"240.0.0.1":                      {"netmask", ErrNoNetmask},
		"127.0.0.1":                      {"client", ErrUnusable},
		"224.0.0.1":                      {"client", ErrUnusable},
		"255.255.255.255":                {"client", ErrUnusable},
		"::::a b":                        {"hostname", ErrHostname},
		"::::.x":                         {"hostname", ErrHostname},
		"::::" + strings.Repeat("a", 65): {"hostname", ErrHostname},
		":::::a/b":                       {"device", ErrDevice},
		":::::..":                        {"device", ErrDevice},
		":::::sixteen-letters-x":         {"device", ErrDevice},
		"::::::dhcq":                     {"autoconf", ErrAutoconf},
		"bootp":                          {"autoconf", ErrUnsupported},
		"eth0:rarp":                      {"autoconf", ErrUnsupported},
		"::::::both":                     {"autoconf", ErrUnsupported},
		"eth0:auto6":                     {"autoconf", ErrUnsupported},
		"dhcp,256,x":                     {"autoconf", ErrClientID},
		"dhcp,1":                         {"autoconf", ErrClientID},
		"on,1,x":                         {"autoconf", ErrClientID},
		":::::::x":                       {"dns0", ErrAddress},
		"::::::::x":                      {"dns1", ErrAddress},
		":::::::::x":                     {"ntp0", ErrAddress},
		"::::::::::x":                    {"", ErrFields},
		strings.Repeat(":", 100000):      {"", ErrFields},
	} {
		_, err := ParseIP(word)
		var ipErr *IPError
		if !errors.As(err, &ipErr) || !errors.Is(err, want.err) || ipErr.Field != want.field {
			t.Errorf("ip=%.40s: %v; want %s: %v", word, err, want.field, want.err)
			continue
		}
		if !strings.Contains(err.Error(), "ip="+word) {
			t.Errorf("the message does not name the word: %v", err)
		}
	}
}

func TestIPs(t *testing.T) {
	ips, err := Parse("ip=eth0:dhcp ip=nonsense quiet ip=192.0.2.5:::24::eth1 ip=eth2:rarp").IPs()
	if len(ips) != 2 || ips[0].Device != "eth0" || ips[1].Device != "eth1" {
		t.Errorf("the good words gave %+v", ips)
	}
	if err == nil || !strings.Contains(err.Error(), "ip=nonsense") || !strings.Contains(err.Error(), "ip=eth2:rarp") {
		t.Errorf("the errors are %v", err)
	}
	if ips, err := Parse("quiet").IPs(); ips != nil || err != nil {
		t.Errorf("without a word: %v, %v", ips, err)
	}
}

func FuzzParseIP(f *testing.F) {
	for _, seed := range []string{"dhcp", "eth0:dhcp", "[2001:db8::5]::[fe80::1]:64:box:eth0:none:[2001:db8::53]", "192.0.2.5::192.0.2.1:255.255.255.0:a.b:eth0:off:1.1.1.1:2.2.2.2:3.3.3.3", "dhcp,1,x", "[", "[]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		ip, err := ParseIP(word)
		if err != nil {
			var ipErr *IPError
			if !errors.As(err, &ipErr) || ipErr.Err == nil {
				t.Fatalf("%q: %#v", word, err)
			}
			return
		}
		switch ip.Method {
		case Static:
			if !ip.Address.IsValid() || ip.Address.Bits() == 0 {
				t.Fatalf("%q: static, with the address %v", word, ip.Address)
			}
		case DHCP, Off:
			if ip.Address.IsValid() {
				t.Fatalf("%q: %s, with the address %v", word, ip.Method, ip.Address)
			}
		default:
			t.Fatalf("%q has the method %q", word, ip.Method)
		}
	})
}
