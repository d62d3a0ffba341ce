package sandbox

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

const chains = `table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER {
	}
}
table inet fw {
	chain through {
		type filter hook forward priority 10; policy accept;
	}
	chain guard {
		type filter hook forward priority 20; policy drop;
	}
}
`

func TestDropping(t *testing.T) {
	if got := dropping(chains); !slices.Equal(got, []string{"ip filter FORWARD", "inet fw guard"}) {
		t.Errorf("%q", got)
	}
}

func FuzzDropping(f *testing.F) {
	f.Add(chains)
	f.Add("chain\ntable\ntype hook forward policy drop;\n")
	f.Fuzz(func(t *testing.T, out string) {
		if n := strings.Count(out, "hook forward "); len(dropping(out)) > n {
			t.Errorf("%q of %d chains", dropping(out), n)
		}
	})
}

func TestForwardChain(t *testing.T) {
	for rules, want := range map[string]string{
		"-P FORWARD ACCEPT\n": "FORWARD",
		"-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n": "DOCKER-USER",
		"-P FORWARD DROP\n-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n":                            "FORWARD", // a former Docker's
	} {
		if got := forwardChain(rules); got != want {
			t.Errorf("%q: %s, want %s", rules, got, want)
		}
	}
}

// onlyTools makes a PATH with the given programs alone.
func onlyTools(t *testing.T, programs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			testenv.Missing(t, program+" is not here")
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func iptables(t *testing.T, args ...string) {
	t.Helper()
	if _, err := tool(context.Background(), "", "iptables", append([]string{"-w", "5"}, args...)...); err != nil {
		t.Fatal(err)
	}
}

// A host that drops what it forwards, as Docker and ufw set it up: the sandbox reaches what lies behind, which a second
// sandbox stands for, and leaves the host's rules as they were.
func TestNATWhereForwardDrops(t *testing.T) {
	if !ownNet(t) {
		return
	}
	o := options(t)
	for _, programs := range []map[string]string{
		{"iptables": "iptables-nft", "nft": "nft"},
		{"iptables": "iptables-legacy"},
		{"iptables": "iptables-legacy", "nft": "nft"},
	} {
		for _, chain := range []string{"FORWARD", "DOCKER-USER"} {
			t.Run(programs["iptables"]+" "+programs["nft"]+" "+chain, func(t *testing.T) {
				onlyTools(t, programs)
				iptables(t, "-P", "FORWARD", "DROP")
				defer iptables(t, "-P", "FORWARD", "ACCEPT") // for the other variant
				if chain == "DOCKER-USER" {
					iptables(t, "-N", chain)
					iptables(t, "-A", chain, "-j", "RETURN")
					iptables(t, "-A", "FORWARD", "-j", chain)
					defer func() {
						iptables(t, "-F", "FORWARD")
						iptables(t, "-F", chain)
						iptables(t, "-X", chain)
					}()
				}
				natThroughDrop(t, o, chain)
			})
		}
	}
}

func natThroughDrop(t *testing.T, o Options, chain string) {
	ctx := context.Background()
	before, err := listFilter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	outside := o
	outside.Argv, outside.State = []string{"serve"}, t.TempDir()
	server := start(t, outside)
	if err := server.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	o.NAT, o.Argv, o.State = true, []string{"dial", net.JoinHostPort(server.Addr().String(), "7")}, t.TempDir()
	sb := start(t, o)
	if code := sb.Wait(); code != 0 || !strings.Contains(strings.Join(sb.Output(), ""), server.HostAddr().String()+":") {
		t.Errorf("status %d, %q", code, sb.Output())
	}
	during, err := listFilter(ctx)
	if err != nil || strings.Count(during, "-A "+chain+" ") != strings.Count(before, "-A "+chain+" ")+2 {
		t.Errorf("%v:\n%s", err, during)
	}
	left, err := sb.LeftOver(ctx)
	if err != nil || strings.Count(strings.Join(left, "\n"), "forward rule "+chain) != 2 {
		t.Errorf("LeftOver does not see the rules: %v, %v", left, err)
	}
	if err := sb.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if after, err := listFilter(ctx); err != nil || after != before {
		t.Errorf("%v, rules after Stop:\n%s\nbefore:\n%s", err, after, before)
	}
}

// Without iptables, a host that drops is told instead of a sandbox that reaches nothing.
func TestNATRefusesWhereForwardDropsWithoutIPTables(t *testing.T) {
	if !ownNet(t) {
		return
	}
	o := options(t, "exit", "0")
	o.NAT = true
	onlyTools(t, map[string]string{"nft": "nft"})
	sb := start(t, o) // nothing drops
	if err := sb.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	rules := "table ip filter {\n chain FORWARD {\n type filter hook forward priority 0; policy drop;\n }\n}\n"
	if _, err := tool(context.Background(), rules, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	sb, err := Start(context.Background(), o)
	if err == nil {
		_ = sb.Kill() // the test has failed already
		t.Fatal("it was started")
	}
	if !strings.Contains(err.Error(), "FORWARD") || !strings.Contains(err.Error(), "install iptables") {
		t.Errorf("%v", err)
	}
}
