package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// Bridge is a bridge for Docker's default network, for dockerd's --bridge. dockerd takes the address from it, and refuses to be
// given one beside it (--bip), so that whoever asks for both gets the bridge from here and dockerd the name alone.
type Bridge struct {
	Name string `json:"name"`
	// Address is the bridge's own, with the length of its network's prefix.
	Address netip.Prefix `json:"address"`
	// MTU is in bytes; 0 leaves it as it is.
	MTU int `json:"mtu,omitempty"`
}

// WrongBridgeError is a bridge that cannot be made because of what stands there, or as it is asked for.
type WrongBridgeError struct {
	Name    string
	Problem string
}

func (e *WrongBridgeError) Error() string { return "bridge " + e.Name + ": " + e.Problem }

func (b Bridge) wrong(format string, args ...any) error {
	return &WrongBridgeError{b.Name, fmt.Sprintf(format, args...)}
}

// String tells what Apply does.
func (b Bridge) String() string {
	s := "make bridge " + b.Name + " with address " + b.Address.String()
	if b.MTU != 0 {
		s += fmt.Sprintf(" and MTU %d", b.MTU)
	}
	return s
}

// Check looks for mistakes in what is asked for; the error is a *WrongBridgeError.
func (b Bridge) Check() error {
	a := b.Address.Addr()
	switch {
	case b.Name == "" || len(b.Name) > 15 || b.Name == "." || b.Name == ".." || strings.ContainsFunc(b.Name, func(r rune) bool { return r <= ' ' || r == '/' || r == ':' }):
		return b.wrong("this cannot be the name of an interface")
	case !b.Address.IsValid() || !a.Is4():
		return b.wrong("the address %q is no IPv4 address with the length of its prefix, as in 172.20.0.1/16", b.Address)
	case b.Address.Bits() > 30 || a == b.Address.Masked().Addr() || a == rtnl.Broadcast(b.Address) || a.IsMulticast() || a.IsLoopback() || a.IsUnspecified():
		return b.wrong("%s is no address that a bridge with containers on it can have", b.Address)
	case b.MTU != 0 && (b.MTU < 68 || b.MTU > 65535):
		return b.wrong("the MTU %d is not between 68 and 65535", b.MTU)
	}
	return nil
}

// Observe tells from the facts whether the bridge stands as it should. The error, a *WrongBridgeError, tells that something
// else stands in its place, or that it has another address: both are left alone.
func (b Bridge) Observe(f Facts) (stands bool, err error) {
	if err := b.Check(); err != nil {
		return false, err
	}
	i := slices.IndexFunc(f.Links, func(l rtnl.Link) bool { return l.Name == b.Name })
	if i < 0 {
		return false, nil
	}
	l := f.Links[i]
	if l.Kind != "bridge" {
		what := l.Kind
		if what == "" {
			what = "a device"
		}
		return false, b.wrong("an interface of that name is there, and is no bridge but %s: give the bridge another name", what)
	}
	has, other := false, netip.Prefix{}
	for _, a := range f.Addresses {
		switch {
		case a.Index != l.Index || !a.Prefix.Addr().Is4():
		case a.Prefix == b.Address:
			has = true
		default:
			other = a.Prefix
		}
	}
	if !has && other.IsValid() {
		return false, b.wrong("it is there with the address %s instead of %s: remove it, or ask for the address that it has", other, b.Address)
	}
	return has && l.Up && (b.MTU == 0 || l.MTU == b.MTU), nil
}

// Apply makes the bridge, or what it lacks.
func (b Bridge) Apply(context.Context) (kept bool, err error) {
	f, err := Observe()
	if err != nil {
		return false, err
	}
	if stands, err := b.Observe(f); stands || err != nil {
		return stands, err
	}
	find := func(l rtnl.Link) bool { return l.Name == b.Name }
	if !slices.ContainsFunc(f.Links, find) {
		if err := rtnl.AddBridge(b.Name, b.MTU); err != nil {
			if errors.Is(err, unix.EOPNOTSUPP) {
				err = fmt.Errorf("%w (this kernel lacks the module bridge)", err)
			}
			return false, err
		}
		if f.Links, err = rtnl.Links(); err != nil {
			return false, err
		}
	}
	i := slices.IndexFunc(f.Links, find)
	if i < 0 {
		return false, b.wrong("it went away while it was made")
	}
	l := f.Links[i]
	if b.MTU != 0 && l.MTU != b.MTU {
		if err := rtnl.SetMTU(l.Index, b.MTU); err != nil {
			return false, err
		}
	}
	if err := rtnl.ReplaceAddress(rtnl.Address{Index: l.Index, Prefix: b.Address}); err != nil {
		return false, err
	}
	return false, rtnl.SetUp(l.Index)
}
