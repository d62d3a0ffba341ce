package network

import (
	"net/netip"
	"os"

	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
)

// Config is what a machine's interfaces are to be given. The zero value asks DHCP on every wired interface.
type Config struct {
	// Interfaces are in the order in which they were asked for. An interface may be named several times.
	Interfaces []Interface `json:"interfaces,omitempty"`
	// ResolvConf is the file that the name servers are written to; /etc/resolv.conf where it is empty.
	ResolvConf string `json:"resolv_conf,omitempty"`
}

// Interface is the settings of an interface.
type Interface struct {
	// Name may be of any kind of interface. Empty is every wired interface that is not named, or for a static address the
	// first of them.
	Name   string          `json:"name,omitempty"`
	Method bootline.Method `json:"method"`
	// Address, Gateway are for a static address.
	Address netip.Prefix `json:"address,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	// DNS are name servers, beside those that a lease brings.
	DNS []netip.Addr `json:"dns,omitempty"`
	// Hostname and ClientID are what the DHCP server is told.
	Hostname string `json:"hostname,omitempty"`
	ClientID []byte `json:"client_id,omitempty"`
}

// FromBootLine makes the Config that the kernel's ip= words ask for.
func FromBootLine(ips []bootline.IP) Config {
	var c Config
	for _, ip := range ips {
		host := ip.Hostname
		if ip.Domain != "" {
			host += "." + ip.Domain
		}
		c.Interfaces = append(c.Interfaces, Interface{
			Name: ip.Device, Method: ip.Method, Address: ip.Address, Gateway: ip.Gateway, DNS: ip.DNS, Hostname: host, ClientID: ip.ClientID,
		})
	}
	return c
}

func (c Config) resolvConf() string {
	if c.ResolvConf == "" {
		return resolv.Path
	}
	return c.ResolvConf
}

// assign tells which settings each interface has, by its index. Every wired interface is in the map: also one without
// settings is brought up, for IPv6.
func (c Config) assign(links []rtnl.Link, wired func(rtnl.Link) bool) map[int][]Interface {
	all := map[int][]Interface{}
	named := map[string]bool{}
	for _, i := range c.Interfaces {
		named[i.Name] = true
	}
	var rest []int // wired and not named, in the kernel's order
	for _, l := range links {
		switch {
		case named[l.Name]:
			all[l.Index] = nil
			for _, i := range c.Interfaces {
				if i.Name == l.Name {
					all[l.Index] = append(all[l.Index], i)
				}
			}
		case wired(l):
			all[l.Index] = nil
			rest = append(rest, l.Index)
		}
	}
	if len(c.Interfaces) == 0 {
		c.Interfaces = []Interface{{Method: bootline.DHCP}}
	}
	for _, i := range c.Interfaces {
		if i.Name != "" {
			continue
		}
		for n, index := range rest {
			if i.Method != bootline.Static || n == 0 {
				all[index] = append(all[index], i)
			}
		}
	}
	return all
}

// Wired tells whether an interface is an Ethernet device with a socket: no wireless one, which would need a password first, no
// bridge, veth, VLAN or tunnel, which somebody made for a purpose, and no port of one of those.
func Wired(l rtnl.Link) bool {
	if !l.Ethernet || l.Loopback || l.Kind != "" || l.Master != 0 {
		return false
	}
	// Documentation/ABI/testing/sysfs-class-net; where /sys does not tell, it is wired, as most are.
	for _, sign := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat("/sys/class/net/" + l.Name + "/" + sign); err == nil {
			return false
		}
	}
	return true
}
