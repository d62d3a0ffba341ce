package network

import (
	"slices"

	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// DefaultMTU returns the largest packet, in bytes, that goes along the default route, of IPv4 or where it has none of IPv6, and the
// route's interface. Without a default route it is 0. Docker's own default of 1500 makes connections of containers hang where
// the interface takes less, as in a container of an overlay network or in a cloud.
func DefaultMTU(routes []rtnl.Route, links []rtnl.Link) (mtu int, device string) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, r := range defaults(routes, family) {
			hops := r.Hops
			if len(hops) == 0 {
				hops = []int{r.Index}
			}
			for _, index := range hops {
				i := slices.IndexFunc(links, func(l rtnl.Link) bool { return l.Index == index })
				if i < 0 || links[i].MTU <= 0 {
					continue
				}
				if mtu == 0 || links[i].MTU < mtu {
					mtu, device = links[i].MTU, links[i].Name
				}
			}
			if mtu == 0 {
				continue
			}
			if r.MTU > 0 {
				mtu = min(mtu, r.MTU)
			}
			return mtu, device
		}
	}
	return 0, ""
}

// defaults returns the default routes of a family that the kernel would use, the preferred one first.
func defaults(routes []rtnl.Route, family uint8) []rtnl.Route {
	var all []rtnl.Route
	for _, r := range routes {
		if r.Default() && r.Destination.Addr().Is4() == (family == unix.AF_INET) && r.Type == unix.RTN_UNICAST && r.Table == unix.RT_TABLE_MAIN {
			// By hand: a sort of package slices for this type is 10 KB of code.
			i := len(all)
			for i > 0 && all[i-1].Metric > r.Metric {
				i--
			}
			all = slices.Insert(all, i, r)
		}
	}
	return all
}
