package network

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// Network cards that a driver brings while Run is looking already, and QEMU's own DHCP server and IPv6 router.
func TestMachine(t *testing.T) {
	k := vm.KernelNamed(t, "6.12")
	results := vm.Run(t, vm.Options{
		Kernel: k, Mount: []string{"proc", "sys", "dev", "tmp"}, Limit: 5 * time.Minute,
		Trees: []vm.Tree{k.ModulesTree(nil)},
		NICs:  []string{"virtio-net-pci"},
		// QEMU's network that is restricted, as the first one, names no router and no name server. Nothing is sent out through either.
		Args: []string{
			"-netdev", "user,id=second,ipv4=on,net=10.9.0.0/24,ipv6=on,ipv6-prefix=fd00:9::,hostname=lent", "-device", "virtio-net-pci,netdev=second",
		},
		Commands: []vm.Command{{Test: "./launch/network", Args: []string{"-test.v", "-test.run=^TestCardsInMachine$"}, Limit: 3 * time.Minute}},
	})
	results[0].CheckTest(t, "TestCardsInMachine")
}

func TestCardsInMachine(t *testing.T) {
	if os.Getenv("DOCKERLAUNCH_TEST_MACHINE") != "1" {
		t.SkipNow() // not a layer that is missing: TestMachine runs it
	}
	path := filepath.Join(t.TempDir(), "resolv.conf")
	k := keep(t, Config{ResolvConf: path})
	index, err := modules.Open(modules.Options{})
	must(t, err)
	_, err = (&modules.Coldplug{Loader: &modules.Loader{Index: index}, Quiet: time.Second}).Run(context.Background())
	must(t, err)

	waitFor(t, "both cards have an address", func() bool { return has(t, "eth0", "10.0.2.15/24") && has(t, "eth1", "10.9.0.15/24") })
	if name := <-k.names; name != "lent" {
		t.Errorf("the host's name is %q", name)
	}
	f, err := Observe()
	must(t, err)
	if f.Device != "eth1" || f.MTU != 1500 || len(f.Gateways()) == 0 || f.Gateways()[0].String() != "10.9.0.2" {
		t.Errorf("the default route is through %q %v with the MTU %d", f.Device, f.Gateways(), f.MTU)
	}
	waitFor(t, "the name server of the second card", func() bool {
		c, err := resolv.Read(path)
		return err == nil && slices.ContainsFunc(c.Nameservers, func(a netip.Addr) bool { return a.String() == "10.9.0.3" })
	})
	waitFor(t, "an address by a router's advertisement", func() bool {
		f, err := Observe()
		must(t, err)
		return slices.ContainsFunc(f.Addresses, func(a rtnl.Address) bool {
			return linkName(f.Links, a.Index) == "eth1" && strings.HasPrefix(a.Prefix.String(), "fd00:9:")
		})
	})
	for _, l := range f.Links {
		if want := strings.HasPrefix(l.Name, "eth"); Wired(l) != want {
			t.Errorf("%+v: wired is %v", l, !want)
		}
	}
}
