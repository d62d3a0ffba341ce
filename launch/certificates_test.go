package launch

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
	"golang.org/x/sys/unix"
)

// TestCertificatesWaitForAddress: a machine's certificate has the address that comes while it is made, and is made without one too.
func TestCertificatesWaitForAddress(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	lan := netip.MustParsePrefix("192.0.2.77/24")
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := rtnl.SetUp(lo.Index); err != nil {
		t.Fatal(err)
	}
	for _, comes := range []bool{false, true} {
		dir := t.TempDir()
		s := &supervisor{boot: &boot{configured: make(chan struct{})}}
		settled := make(chan struct{})
		s.boot.settled = settled
		facts, err := network.Observe()
		if err != nil {
			t.Fatal(err)
		}
		plan, err := planCertificates(s.config, dir, facts)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(100*time.Millisecond, func() {
			// The address does not come before the drivers do.
			close(settled)
		})
		if comes {
			time.AfterFunc(200*time.Millisecond, func() {
				if err := rtnl.ReplaceAddress(rtnl.Address{Index: lo.Index, Prefix: lan}); err != nil {
					t.Error(err)
				}
				close(s.boot.configured)
			})
		}
		if kept, err := s.makeCertificates(t.Context(), plan); kept || err != nil {
			t.Fatalf("%v, %v", kept, err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "server", "cert.pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		has := slices.ContainsFunc(certificate.IPAddresses, func(ip net.IP) bool { return ip.Equal(lan.Addr().AsSlice()) })
		if has != comes {
			t.Errorf("an address comes: %t, and the certificate is for %v", comes, certificate.IPAddresses)
		}
	}
}
