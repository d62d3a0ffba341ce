package bootline

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Method is how an interface gets its address.
type Method string

const (
	// DHCP asks a server for an IPv4 address.
	DHCP Method = "dhcp"
	// Static takes the address that the word gives.
	Static Method = "static"
	// Off leaves the interface without an address of ours.
	Off Method = "off"
)

// IP is one ip= of the command line (Documentation/admin-guide/nfs/nfsroot.rst, net/ipv4/ipconfig.c). Fields that were
// empty have their zero value.
type IP struct {
	// Word is what stands behind "ip=", for messages.
	Word   string `json:"word"`
	Method Method `json:"method"`
	// Device is the interface; "" leaves the choice.
	Device string `json:"device,omitempty"`
	// Address is the client's address and its network's prefix, for Static.
	Address netip.Prefix `json:"address,omitzero"`
	// Server is the NFS server's address, which is of no use here.
	Server  netip.Addr `json:"server,omitzero"`
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Hostname and Domain are the two sides of the first dot in the host's name.
	Hostname string `json:"hostname,omitempty"`
	Domain   string `json:"domain,omitempty"`
	// DNS are the name servers, at most two.
	DNS []netip.Addr `json:"dns,omitempty"`
	NTP netip.Addr   `json:"ntp,omitzero"`
	// ClientID is the DHCP client identifier, its first byte being the type (dhcp,TYPE,VALUE).
	ClientID []byte `json:"client_id,omitempty"`
}

// IPError is an ip= that cannot be followed. The word is left out of what IPs returns.
type IPError struct {
	Word string
	// Field is the name that the kernel's documentation gives the field, without -ip: client, server, gw, netmask,
	// hostname, device, autoconf, dns0, dns1, ntp0; "" is the word as a whole.
	Field string
	Value string
	Err   error
}

func (e *IPError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("kernel command line: ip=%s: %v", e.Word, e.Err)
	}
	return fmt.Sprintf("kernel command line: ip=%s: %s is %q: %v", e.Word, e.Field, e.Value, e.Err)
}

func (e *IPError) Unwrap() error { return e.Err }

// What can be wrong with an ip=.
var (
	ErrAddress     = errors.New("this is no IP address; one of IPv6 stands in brackets")
	ErrFamily      = errors.New("it is of another family than the client's address")
	ErrNetmask     = errors.New("this is neither a netmask nor the length of a prefix")
	ErrNoNetmask   = errors.New("the address is of no class that tells the netmask, so that it has to be given")
	ErrAutoconf    = errors.New("the ways are dhcp, on, any, off and none")
	ErrUnsupported = errors.New("this way is not spoken here, only dhcp is")
	ErrDevice      = errors.New("this cannot be the name of an interface")
	ErrHostname    = errors.New("this cannot be the name of a host")
	ErrBracket     = errors.New("a bracket is not closed, or more than an address stands in it")
	ErrFields      = errors.New("there are more fields than client:server:gw:netmask:hostname:device:autoconf:dns0:dns1:ntp0")
	ErrUnusable    = errors.New("an interface cannot have this address")
	ErrClientID    = errors.New("a client identifier is dhcp,TYPE,VALUE with a type of 0 to 255 and at most 253 bytes")
)

// fieldNames are the fields in their order.
var fieldNames = [...]string{"client", "server", "gw", "netmask", "hostname", "device", "autoconf", "dns0", "dns1", "ntp0"}

// IPs returns every ip= of the line, in order, one for each interface. The kernel itself knows only one; several words,
// and ip=DEVICE:METHOD, are as initramfs programs have them (dracut.cmdline(7)). The error joins an *IPError for each word that
// cannot be followed; the others are returned all the same.
func (l Line) IPs() ([]IP, error) {
	var ips []IP
	var problems []error
	for _, word := range l.All("ip") {
		ip, err := ParseIP(word)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		ips = append(ips, ip)
	}
	return ips, errors.Join(problems...)
}

// ParseIP reads what stands behind "ip=". The error is an *IPError.
func ParseIP(word string) (IP, error) {
	ip := IP{Word: word}
	fields, err := split(word)
	if err != nil {
		return ip, err
	}
	switch {
	case word == "":
		ip.Method = Off // as the kernel has it: nothing is configured
		return ip, nil
	case len(fields) == 1 && isMethod(fields[0]):
		return ip, ip.autoconf(fields[0])
	case len(fields) == 2 && isMethod(fields[1]):
		if err := ip.device(fields[0]); err != nil {
			return ip, err
		}
		return ip, ip.autoconf(fields[1])
	}
	return ip, ip.fields(fields)
}

// split cuts a word at its colons, but for those in brackets.
func split(word string) ([]string, error) {
	var fields []string
	for rest, more := word, true; more; {
		field := rest
		if strings.HasPrefix(rest, "[") {
			end := strings.IndexByte(rest, ']')
			if end < 0 || end+1 < len(rest) && rest[end+1] != ':' {
				return nil, &IPError{Word: word, Field: name(len(fields)), Value: rest, Err: ErrBracket}
			}
			field = rest[:end+1]
			rest = rest[end+1:]
			more = rest != ""
			rest = strings.TrimPrefix(rest, ":")
		} else {
			field, rest, more = strings.Cut(rest, ":")
		}
		if fields = append(fields, field); len(fields) > len(fieldNames) {
			return nil, &IPError{Word: word, Err: ErrFields}
		}
	}
	return fields, nil
}

func name(field int) string {
	if field < len(fieldNames) {
		return fieldNames[field]
	}
	return ""
}

// fields reads the long form.
func (ip *IP) fields(fields []string) error {
	get := func(i int) string {
		if i < len(fields) {
			return fields[i]
		}
		return ""
	}
	client, err := ip.address(0, get(0))
	if err != nil {
		return err
	}
	if ip.Server, err = ip.address(1, get(1)); err != nil {
		return err
	}
	if ip.Gateway, err = ip.address(2, get(2)); err != nil {
		return err
	}
	if err := ip.hostname(get(4)); err != nil {
		return err
	}
	if err := ip.device(get(5)); err != nil {
		return err
	}
	if err := ip.autoconf(get(6)); err != nil {
		return err
	}
	for i := 7; i <= 8; i++ {
		server, err := ip.address(i, get(i))
		if err != nil {
			return err
		}
		if server.IsValid() {
			ip.DNS = append(ip.DNS, server)
		}
	}
	if ip.NTP, err = ip.address(9, get(9)); err != nil {
		return err
	}
	if !client.IsValid() {
		return nil // a netmask alone says nothing: a server's answer has one of its own
	}
	return ip.static(client, get(3))
}

// static completes an address with its netmask. The kernel too asks nobody where the address is given, whatever stands in
// the field autoconf.
func (ip *IP) static(client netip.Addr, netmask string) error {
	ip.Method, ip.ClientID = Static, nil
	fail := func(field int, value string, err error) error {
		return &IPError{ip.Word, name(field), value, err}
	}
	if client.IsUnspecified() || client.IsMulticast() || client.IsLoopback() || client == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fail(0, client.String(), ErrUnusable)
	}
	if ip.Gateway.IsValid() && ip.Gateway.Is4() != client.Is4() {
		return fail(2, ip.Gateway.String(), ErrFamily)
	}
	bits, err := prefixLength(client, netmask)
	if err != nil {
		return fail(3, netmask, err)
	}
	ip.Address = netip.PrefixFrom(client, bits)
	return nil
}

// address reads the address of a field; 0.0.0.0 counts as empty, as in the kernel.
func (ip *IP) address(field int, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	inside, bracket := strings.CutPrefix(text, "[")
	inside = strings.TrimSuffix(inside, "]")
	addr, err := netip.ParseAddr(inside)
	if err != nil || addr.Is6() != bracket || addr.Zone() != "" || addr.Is4In6() {
		return netip.Addr{}, &IPError{ip.Word, name(field), text, ErrAddress}
	}
	if addr.IsUnspecified() {
		return netip.Addr{}, nil
	}
	return addr, nil
}

// prefixLength reads a netmask, dotted or as a number. Without one the class of an IPv4 address tells it, as in the
// kernel; networks of IPv6 have 64 bits.
func prefixLength(client netip.Addr, netmask string) (int, error) {
	if netmask == "" {
		if client.Is6() {
			return 64, nil
		}
		switch first := client.As4()[0]; {
		case first < 128:
			return 8, nil
		case first < 192:
			return 16, nil
		case first < 224:
			return 24, nil
		default:
			return 0, ErrNoNetmask
		}
	}
	if mask, err := netip.ParseAddr(netmask); err == nil && mask.Is4() && client.Is4() {
		bits := 0
		raw := mask.As4()
		value := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
		for ; value&(1<<31) != 0; value <<= 1 {
			bits++
		}
		if value != 0 || bits == 0 {
			return 0, ErrNetmask
		}
		return bits, nil
	}
	bits, err := strconv.ParseUint(netmask, 10, 8)
	if err != nil || bits == 0 || int(bits) > client.BitLen() {
		return 0, ErrNetmask
	}
	return int(bits), nil
}

func (ip *IP) hostname(text string) error {
	host, domain, _ := strings.Cut(text, ".")
	for _, r := range text {
		if !(r == '-' || r == '.' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return &IPError{ip.Word, "hostname", text, ErrHostname}
		}
	}
	// 64 is the kernel's __NEW_UTS_LEN.
	if len(host) > 64 || len(domain) > 253 || text != "" && host == "" {
		return &IPError{ip.Word, "hostname", text, ErrHostname}
	}
	ip.Hostname, ip.Domain = host, domain
	return nil
}

// device checks a name as dev_valid_name in net/core/dev.c does.
func (ip *IP) device(text string) error {
	if text == "." || text == ".." || len(text) > 15 || strings.ContainsAny(text, "/:[]") || strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r == 0x7f
	}) {
		return &IPError{ip.Word, "device", text, ErrDevice}
	}
	ip.Device = text
	return nil
}

// isMethod tells whether a text is one for the field autoconf, so that it can stand alone.
func isMethod(text string) bool {
	text, _, _ = strings.Cut(text, ",")
	switch text {
	case "dhcp", "on", "any", "off", "none", "bootp", "rarp", "both", "dhcp6", "auto6", "ibft", "link6", "link-local", "either6", "auto", "single-dhcp":
		return true
	}
	return false
}

func (ip *IP) autoconf(text string) error {
	fail := func(err error) error { return &IPError{ip.Word, "autoconf", text, err} }
	way, id, hasID := strings.Cut(text, ",")
	switch {
	case way == "", way == "on", way == "any", way == "dhcp":
		ip.Method = DHCP
	case way == "off", way == "none":
		ip.Method = Off
	case isMethod(way):
		return fail(ErrUnsupported)
	default:
		return fail(ErrAutoconf)
	}
	if !hasID {
		return nil
	}
	kind, value, _ := strings.Cut(id, ",")
	n, err := strconv.ParseUint(kind, 0, 8)
	if way != "dhcp" || err != nil || value == "" || len(value) > 253 {
		return fail(ErrClientID)
	}
	ip.ClientID = append([]byte{byte(n)}, value...)
	return nil
}
