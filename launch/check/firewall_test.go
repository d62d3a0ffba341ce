package check

import (
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

func TestFirewallByName(t *testing.T) {
	for goal, want := range map[string]kconfig.Firewall{
		"/usr/sbin/xtables-nft-multi": kconfig.FirewallNFT, "/usr/sbin/xtables-legacy-multi": kconfig.FirewallLegacy,
		"/sbin/xtables-multi": kconfig.FirewallLegacy, "/opt/nft/xtables-multi": kconfig.FirewallLegacy,
		"/sbin/iptables": kconfig.FirewallUnknown, "": kconfig.FirewallUnknown,
	} {
		if got := (&UserSpace{Goal: goal}).firewall(&daemon.Effective{}, ""); got != want {
			t.Errorf("%q: %q", goal, got)
		}
	}
}
