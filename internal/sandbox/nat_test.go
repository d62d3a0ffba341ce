package sandbox

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

const natName = "dockerlaunch-4026531836-4711-345112-3-0"

func TestParseNFT(t *testing.T) {
	got := parseNFT("table ip filter\ntable ip dockerlaunch_4026531836_4711_345112_3_0\ntable ip dockerlaunch_x\ntable inet fw\n")
	if len(got) != 1 || got[natName] == nil || got[natName][0][0] != "dockerlaunch_4026531836_4711_345112_3_0" {
		t.Errorf("%v", got)
	}
}

func TestParseIPTables(t *testing.T) {
	got := parseIPTables(`-P POSTROUTING ACCEPT
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.231.0.0/30 ! -o dl3-1 -m comment --comment "` + natName + `" -j MASQUERADE
-A POSTROUTING -m comment --comment somebody's -j ACCEPT
`)
	want := "POSTROUTING -s 10.231.0.0/30 ! -o dl3-1 -m comment --comment " + natName + " -j MASQUERADE"
	if len(got) != 1 || len(got[natName]) != 1 || strings.Join(got[natName][0], " ") != want {
		t.Errorf("%v", got)
	}
}

func FuzzParseNAT(f *testing.F) {
	f.Add("table ip dockerlaunch_4026531836_4711_345112_3_0\n")
	f.Add("-A POSTROUTING -m comment --comment " + natName + "\n")
	f.Fuzz(func(t *testing.T, out string) {
		for name, spec := range parseNFT(out) {
			if _, _, ok := parseNAT(name); !ok || len(spec) != 1 || len(spec[0]) != 1 {
				t.Errorf("nft: %q %q", name, spec)
			}
		}
		for name, specs := range parseIPTables(out) {
			for _, spec := range specs {
				if _, _, ok := parseNAT(name); !ok || len(spec) < 2 {
					t.Errorf("iptables: %q %q", name, spec)
				}
			}
		}
	})
}

func forwarding(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(ipForward)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// ownNet gives the test a host's network that is its own: NAT changes what everybody on the machine sees.
func ownNet(t *testing.T) bool {
	return testenv.InNamespaces(t, unix.CLONE_NEWNET)
}

func TestNAT(t *testing.T) {
	if !ownNet(t) {
		return
	}
	o := options(t, "cat", "/etc/resolv.conf")
	o.NAT = true
	// A new namespace may have it from the machine's first one.
	if err := os.WriteFile(ipForward, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	first := start(t, o)
	if code := first.Wait(); code != 0 {
		t.Errorf("no /etc/resolv.conf: status %d, %v", code, first.Output())
	}
	o.State = t.TempDir()
	second := start(t, o)
	names, err := listNAT(context.Background(), first.nat.Tool)
	if err != nil || len(names) != 2 {
		t.Errorf("rules %v, %v", names, err)
	}
	left, err := first.LeftOver(context.Background())
	if err != nil || !strings.Contains(strings.Join(left, "\n"), "masquerade rule") {
		t.Errorf("LeftOver does not see the rule: %v, %v", left, err)
	}
	if err := first.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if f := forwarding(t); f != "1" {
		t.Errorf("forwarding is %s while the second sandbox needs it", f)
	}
	if err := second.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if f := forwarding(t); f != "0" {
		t.Errorf("forwarding is %s after the last sandbox", f)
	}
	names, err = listNAT(context.Background(), first.nat.Tool)
	if err != nil || len(names) != 0 {
		t.Errorf("rules %v, %v", names, err)
	}
}

// Both tools, where the machine has them; and what an owner that died has left is collected.
func TestNATTools(t *testing.T) {
	if !ownNet(t) {
		return
	}
	me, err := newOwner()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	tried := 0
	filter := iptablesWorks(ctx) == nil
	for _, program := range []string{"nft", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("%s is not here", program)
			continue
		}
		tried++
		dead := me
		dead.Start--
		subnet := netip.MustParsePrefix("10.231.0.0/30")
		gone := &nat{Name: dead.String() + "-0", Tool: program, Subnet: subnet, Link: "dl0-1", Filter: filter}
		kept := &nat{Name: me.String() + "-0", Tool: program, Subnet: subnet, Link: "dl0-2", Filter: filter}
		for _, n := range []*nat{gone, kept} {
			if err := n.create(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := kept.collect(ctx, me.PIDNS); err != nil {
			t.Fatal(err)
		}
		names, err := listNAT(ctx, program)
		if err != nil || names[gone.Name] != nil || names[kept.Name] == nil {
			t.Errorf("%s: %v, %v", program, names, err)
		}
		if filter {
			names, err := listForward(ctx)
			if err != nil || len(names[gone.Name]) != 0 || len(names[kept.Name]) != 2 {
				t.Errorf("%s: forward rules %v, %v", program, names, err)
			}
		}
		if f := forwarding(t); f != "1" {
			t.Errorf("%s: forwarding %s while a rule stays", program, f)
		}
		for range 2 { // the second time finds nothing to do
			if err := kept.remove(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if names, err := listNAT(ctx, program); err != nil || len(names) != 0 || forwarding(t) != "0" {
			t.Errorf("%s: %v, %v, forwarding %s", program, names, err, forwarding(t))
		}
	}
	if tried == 0 {
		testenv.Missing(t, "neither nft nor iptables is here")
	}
}

// In a namespace of the test's own, as what a new namespace has is the machine's affair.
func TestStopForwarding(t *testing.T) {
	if !ownNet(t) {
		return
	}
	if err := os.WriteFile(ipForward, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if err := stopForwarding(); err != nil {
		t.Fatal(err)
	}
	if f := forwarding(t); f != "0" {
		t.Errorf("forwarding is %s", f)
	}
}
