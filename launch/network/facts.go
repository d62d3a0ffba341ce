package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// Facts is what a plan needs to know of the network namespace. It is plain data.
type Facts struct {
	Links     []rtnl.Link    `json:"links"`
	Addresses []rtnl.Address `json:"addresses,omitempty"`
	// Routes are those of IPv4, in front, and IPv6, of all tables.
	Routes []rtnl.Route `json:"routes,omitempty"`
	// IPv6 tells whether the kernel has IPv6.
	IPv6 bool `json:"ipv6"`
	// Device is the interface of the default route, and MTU the largest packet, in bytes, that goes along it; see DefaultMTU.
	Device string `json:"device,omitempty"`
	MTU    int    `json:"mtu,omitempty"`
	// Resolv is the content of resolv.conf.
	Resolv resolv.Config `json:"resolv"`
	// ResolvErr tells why resolv.conf could not be read.
	ResolvErr string `json:"resolv_error,omitempty"`
}

// Observe reads the facts. A kernel without networking, or without one of the families, has none of that; it is no error.
func Observe() (Facts, error) {
	var f Facts
	var err error
	if f.Links, err = rtnl.Links(); err != nil {
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) {
			return f, nil
		}
		return f, err
	}
	if f.Addresses, err = rtnl.Addresses(); err != nil {
		return f, err
	}
	if f.Routes, err = routes(); err != nil {
		return f, err
	}
	if f.IPv6, err = ipv6(); err != nil {
		return f, err
	}
	f.MTU, f.Device = DefaultMTU(f.Routes, f.Links)
	// What is wrong with the file stops no launch; dockerd reads it itself later, and says so too.
	if f.Resolv, err = resolv.Read(resolv.Path); err != nil {
		f.ResolvErr = err.Error()
	}
	return f, nil
}

// routes lists the routes of both families; one that the kernel lacks has none.
func routes() ([]rtnl.Route, error) {
	var all []rtnl.Route
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		some, err := rtnl.Routes(family)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// ipv6 tells whether the kernel has IPv6 (/proc/net/if_inet6). That it is turned off for all interfaces, as older Dockers have it in
// their containers, says nothing: dockerd turns it on for the bridge of each network that is to have it (setupBridgeIPv6 in moby's
// daemon/libnetwork/drivers/bridge), whose containers would go without rules.
func ipv6() (bool, error) {
	_, err := os.Stat("/proc/net/if_inet6")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			return false, nil // also where /proc is not mounted yet, or cannot be
		}
		return false, fmt.Errorf("looking whether there is IPv6: %w", err)
	}
	return true, nil
}

// Gateways are the gateways of the default routes, the preferred one first, IPv4 before IPv6.
func (f Facts) Gateways() []netip.Addr {
	var gateways []netip.Addr
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, r := range defaults(f.Routes, family) {
			if r.Gateway.IsValid() {
				gateways = append(gateways, r.Gateway)
			}
		}
	}
	return gateways
}

// DNS chooses the resolvers for containers; see resolv.ForDocker.
func (f Facts) DNS() resolv.Choice { return resolv.ForDocker(f.Resolv, f.Gateways()) }
