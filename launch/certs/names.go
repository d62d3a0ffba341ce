package certs

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// SANVar is the environment variable with more names for the server's certificate.
const SANVar = "DOCKER_TLS_SAN"

// maxNames bounds the names and addresses of a certificate, which every client is sent.
const maxNames = 1000

// Wanted is what the server's certificate has to be valid for. A certificate that has more fits too.
type Wanted struct {
	Names []string     `json:"names"`
	IPs   []netip.Addr `json:"ips"`
}

// NewWanted puts together what the server is reached by: the machine's addresses, the names docker and localhost, the
// machine's own name, also without its domain, and what san adds, which has the form of docker:dind's DOCKER_TLS_SAN:
// "DNS:a.example,IP:192.0.2.1". A machine name that no certificate can hold is left out.
func NewWanted(hostname string, local []netip.Addr, san string) (Wanted, error) {
	w, err := parseSAN(san)
	if err != nil {
		return Wanted{}, err
	}
	for _, name := range []string{"docker", "localhost", hostname, strings.Split(hostname, ".")[0]} {
		if checkName(name) == nil {
			w.Names = append(w.Names, name)
		}
	}
	for _, ip := range local {
		if ip.IsValid() && !ip.IsUnspecified() {
			w.IPs = append(w.IPs, plain(ip))
		}
	}
	slices.Sort(w.Names)
	w.Names = slices.Compact(w.Names)
	sort.Slice(w.IPs, func(i, j int) bool { return w.IPs[i].Less(w.IPs[j]) })
	w.IPs = slices.Compact(w.IPs)
	if n := len(w.Names) + len(w.IPs); n > maxNames {
		return Wanted{}, fmt.Errorf("the server's certificate would have %d names and addresses, and may have %d", n, maxNames)
	}
	return w, nil
}

// parseSAN reads DOCKER_TLS_SAN.
func parseSAN(text string) (Wanted, error) {
	var w Wanted
	if strings.TrimSpace(text) == "" {
		return w, nil
	}
	for _, entry := range strings.Split(text, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue // a comma too many, as docker:dind's own list may have
		}
		fail := func(why string) (Wanted, error) {
			return Wanted{}, fmt.Errorf("%s: %.200q: %s (it is of the form DNS:name,IP:address)", SANVar, entry, why)
		}
		kind, name, ok := strings.Cut(entry, ":")
		name = strings.TrimSpace(name)
		if !ok {
			return fail("it has no DNS: or IP: in front")
		}
		switch strings.ToUpper(strings.TrimSpace(kind)) {
		case "DNS":
			if ip, err := netip.ParseAddr(name); err == nil {
				// Written by people who mean the address. As a name it helps only clients that look there for it.
				w.IPs = append(w.IPs, plain(ip))
				if ip.Is6() {
					continue
				}
			}
			name = strings.TrimSuffix(name, ".")
			if err := checkName(name); err != nil {
				return fail(err.Error())
			}
			w.Names = append(w.Names, name)
		case "IP", "IP ADDRESS":
			ip, err := netip.ParseAddr(name)
			if err != nil {
				return fail("that is no IP address")
			}
			w.IPs = append(w.IPs, plain(ip))
		default:
			return fail("only DNS and IP are known")
		}
	}
	return w, nil
}

// checkName refuses what is no DNS name. Underscores are taken, as the names of compose services have them, and a star in
// front.
func checkName(name string) error {
	rest := strings.TrimPrefix(name, "*.")
	if name == "" || rest == "" {
		return fmt.Errorf("it is empty")
	}
	if len(name) > 253 {
		return fmt.Errorf("a name has at most 253 characters")
	}
	for _, label := range strings.Split(rest, ".") {
		if label == "" || len(label) > 63 {
			return fmt.Errorf("a part between dots has 1 to 63 characters")
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return fmt.Errorf("a name is made of letters, digits, - and _")
			}
		}
	}
	return nil
}

// plain takes off an address what a certificate has no place for: the zone, and IPv6 around IPv4.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// lacks lists what a certificate is not valid for.
func (w Wanted) lacks(c *certificate) []string {
	var list []string
	for _, name := range w.Names {
		if !slices.ContainsFunc(c.names, func(has string) bool { return covers(has, name) }) {
			list = append(list, name)
		}
	}
	for _, ip := range w.IPs {
		if !slices.Contains(c.ips, ip) {
			list = append(list, ip.String())
		}
	}
	return list
}

// covers tells whether a certificate's name stands for another, as a star does for one part.
func covers(has, name string) bool {
	if strings.EqualFold(has, name) {
		return true
	}
	domain, ok := strings.CutPrefix(has, "*.")
	_, rest, dots := strings.Cut(name, ".")
	return ok && dots && strings.EqualFold(domain, rest)
}
