package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// innerDevice is the name of the veth pair's end inside.
const innerDevice = "eth0"

// pools are where a sandbox's /30 is looked for, in this order. Docker's own default pools (172.17.0.0/16 and following,
// 192.168.0.0/16) come late, as they are what a Docker on the host takes next.
var pools = []netip.Prefix{
	netip.MustParsePrefix("10.231.0.0/16"),
	netip.MustParsePrefix("198.19.0.0/16"), // for benchmarks between networks (RFC 2544), so nobody's in practice
	netip.MustParsePrefix("172.31.224.0/19"),
	netip.MustParsePrefix("192.168.224.0/19"),
}

// errNoSubnet says that every candidate collides with a route of the host.
var errNoSubnet = errors.New("no free /30 for the sandbox: the host's routes cover every candidate")

// veth is the pair of devices between the host and a sandbox.
type veth struct {
	Name   string // of the host's end
	Subnet netip.Prefix
	Host   netip.Addr
	Inner  netip.Addr
	MTU    int // 0 where it is the kernel's default
}

// freeSubnet returns the first /30 that overlaps none of the used prefixes, in an order that begins at seed, so that
// sandboxes started at the same time look at different ones first.
func freeSubnet(used []netip.Prefix, seed uint32) (netip.Prefix, error) {
	for _, pool := range pools {
		n := uint32(1) << (30 - pool.Bits())
		base := pool.Addr().As4()
		for i := range n {
			offset := (seed + i) % n * 4
			a := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3]) + offset
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), 30)
			if !overlapsAny(p, used) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, errNoSubnet
}

func overlapsAny(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if u.Overlaps(p) {
			return true
		}
	}
	return false
}

// undisturbed repeats a listing that something changed under, as another sandbox that comes or goes does.
func undisturbed[T any](list func() ([]T, error)) (items []T, err error) {
	for range 20 {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return items, err
}

// usedPrefixes lists what the host's routes of every table reach, but for default routes, and its addresses.
func usedPrefixes() ([]netip.Prefix, error) {
	// A table of 0 in the filter means every table (RT_FILTER_TABLE with RT_TABLE_UNSPEC).
	routes, err := undisturbed(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("listing the host's routes: %w", err)
	}
	addrs, err := undisturbed(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("listing the host's addresses: %w", err)
	}
	var used []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		ip, ok := netip.AddrFromSlice(n.IP.To4())
		ones, _ := n.Mask.Size()
		if ok && ones > 0 {
			used = append(used, netip.PrefixFrom(ip, ones).Masked())
		}
	}
	for _, r := range routes {
		add(r.Dst)
	}
	for _, a := range addrs {
		add(a.IPNet)
	}
	return used, nil
}

// newVeth chooses name and addresses; it changes nothing.
func newVeth(o owner, mtu int) (*veth, error) {
	used, err := usedPrefixes()
	if err != nil {
		return nil, err
	}
	p, err := freeSubnet(used, uint32(o.PID)*61+uint32(o.N))
	if err != nil {
		return nil, err
	}
	host := p.Addr().Next()
	return &veth{
		// At most 15 bytes: two, a PID below 2^22 in base 36, a dash and a counter.
		Name:   "dl" + strconv.FormatInt(int64(o.PID), 36) + "-" + strconv.FormatUint(o.N, 36),
		Subnet: p,
		Host:   host,
		Inner:  host.Next(),
		MTU:    mtu,
	}, nil
}

// create makes the pair between this network namespace and the one of pid, with addresses, and a default route inside. lo
// inside stays as it is.
func (v *veth) create(pid int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = v.Name, v.MTU
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: innerDevice, PeerNamespace: netlink.NsPid(pid)}
	if v.MTU > 0 {
		pair.PeerMTU = uint32(v.MTU)
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("making the veth pair %s: %w", v.Name, err)
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer host.Close()
	if err := configure(host, v.Name, v.Host); err != nil {
		return fmt.Errorf("host end of the sandbox's network: %w", err)
	}
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("opening the sandbox's network namespace: %w", err)
	}
	defer ns.Close()
	inner, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("entering the sandbox's network namespace: %w", err)
	}
	defer inner.Close()
	if err := configure(inner, innerDevice, v.Inner); err != nil {
		return fmt.Errorf("inner end of the sandbox's network: %w", err)
	}
	if err := inner.RouteAdd(&netlink.Route{Gw: v.Host.AsSlice()}); err != nil {
		return fmt.Errorf("default route of the sandbox via %s: %w", v.Host, err)
	}
	return nil
}

func configure(h *netlink.Handle, device string, addr netip.Addr) error {
	link, err := h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("finding %s: %w", device, err)
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(30, 32)}}
	if err := h.AddrAdd(link, a); err != nil {
		return fmt.Errorf("address %s on %s: %w", addr, device, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing %s up: %w", device, err)
	}
	return nil
}

// remove takes the pair away and waits until it is gone. The kernel does the same when the sandbox's namespace ends, but
// at its leisure.
func (v *veth) remove(ctx context.Context) error {
	for {
		link, err := netlink.LinkByName(v.Name)
		if notFound := (netlink.LinkNotFoundError{}); errors.As(err, &notFound) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("removing network device %s: %w", v.Name, errors.Join(err, ctx.Err()))
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// uplinkMTU returns the MTU of the device of the host's default route, or 0 where there is none.
func uplinkMTU() (int, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, fmt.Errorf("listing the host's routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			return 0, fmt.Errorf("finding the device of the default route: %w", err)
		}
		return link.Attrs().MTU, nil
	}
	return 0, nil
}

// resolvers returns the host's resolv.conf, or systemd-resolved's where the host's own leads to a stub on its loopback,
// which is not reachable from a sandbox.
func resolvers() ([]byte, error) {
	for _, path := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		b, err := os.ReadFile(path)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the host's nameservers: %w", err)
		}
	}
	return nil, nil
}
