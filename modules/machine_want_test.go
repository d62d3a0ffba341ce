package modules

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// What a container host wants comes, in whatever way this kernel has it.
func inMachineWant(t *testing.T) {
	l := open(t)
	var wants []Want
	for _, name := range dockerSet {
		wants = append(wants, Want{Names: []string{name}})
	}
	wants = append(wants, Want{Names: []string{"nf_nat_ipv4", "nf_nat"}}, Want{Names: []string{"no_such_thing"}, For: "such things"})
	begin := time.Now()
	results := l.Want(context.Background(), wants)
	t.Logf("%d wants in %v", len(wants), time.Since(begin))
	release, err := Release()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results[:len(results)-1] {
		t.Logf("%s: %v", r.Names[0], r.Way)
		if r.Way == Missing {
			t.Errorf("%s: %s", release, r.Warning())
		}
		if has, err := l.Kernel.Has(r.Name); r.Way == WayLoaded && (has != Loaded || err != nil) {
			t.Errorf("%s is %v, %v", wants[i].Names[0], has, err)
		}
	}
	last := results[len(results)-1]
	if last.Way != Missing || !errors.Is(last.Err, ErrNotFound) || !strings.Contains(last.Warning(), "without it, no such things") {
		t.Errorf("no_such_thing: %+v", last)
	}
	for _, r := range l.Want(context.Background(), wants[:len(wants)-1]) {
		if r.Way != WayPresent && r.Way != WayBuiltIn {
			t.Errorf("the second time, %s is %v", r.Name, r.Way)
		}
	}
}

// Rules of the kind that dockerd makes, in both variants, with nothing but the modules of the test before.
func inMachineIptables(t *testing.T) {
	for _, variant := range []string{"nft", "legacy"} {
		for _, family := range []string{"iptables", "ip6tables"} {
			program := "/usr/sbin/xtables-" + variant + "-multi"
			for _, rule := range []string{
				"-t nat -N DOCKER",
				"-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
				"-t nat -A POSTROUTING -o eth0 -j MASQUERADE",
				"-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
				"-S",
			} {
				out, err := exec.Command(program, append([]string{family}, strings.Fields(rule)...)...).CombinedOutput()
				if err != nil {
					t.Errorf("%s %s %s: %v\n%s", variant, family, rule, err, out)
				}
				if rule == "-S" && !strings.Contains(string(out), "--ctstate RELATED,ESTABLISHED -j ACCEPT") {
					t.Errorf("%s %s does not show its rule:\n%s", variant, family, out)
				}
			}
		}
	}
}
