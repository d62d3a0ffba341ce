package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// outcome is what testdata/agree prints of a trial.
type outcome struct {
	Hidden, Variant, Verdict, Driver, Says string
	Args, Fatal, Degraded                  []string
	Starts, Runs                           bool
	Launch                                 string
	Status                                 int
	RunsAlone                              bool `json:"runs_alone"`
	Seconds                                float64
}

// TestMachineAgrees takes a kernel with modules, hides one after the other, and holds the check to what happens then: where it
// calls something fatal, dockerd does not start or a container does not run, and only there. It takes some three minutes of a
// machine that has nothing else to do; the limits are for one that has.
func TestMachineAgrees(t *testing.T) {
	k := vm.KernelNamed(t, "6.12")
	const root = "../../build/rootfs"
	if _, err := os.Stat(root); err != nil {
		testenv.Missing(t, "there is no build/rootfs; make rootfs makes it")
	}
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	launcher, agree := vm.GoBuild(t, "./cmd/dockerlaunch", "build"), vm.GoBuild(t, "./launch/check/testdata/agree", "build", "-ldflags=-s -w")
	results := vm.Run(t, vm.Options{
		Kernel: k, Memory: 3000, Limit: 13 * time.Minute, Mount: []string{"proc", "sys", "dev", "tmp"},
		Trees: []vm.Tree{{Path: "/", From: tree}, {Path: "/usr/lib/modules/" + k.Release, From: k.Modules}},
		Files: []vm.File{
			{Path: "/usr/bin/dockerlaunch", From: launcher}, {Path: "/usr/sbin/modprobe", Link: "/usr/bin/dockerlaunch"}, {Path: "/agree", From: agree},
		},
		Commands: []vm.Command{{Path: "/agree", Limit: 12 * time.Minute}},
	})
	results[0].Check(t)
	seen := map[string]outcome{}
	for line := range strings.Lines(results[0].Output) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "OUTCOME ")
		if !ok {
			continue
		}
		var o outcome
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		name := strings.Join(append([]string{o.Hidden, o.Variant}, o.Args...), " ")
		seen[name] = o
		t.Logf("%-40s %-8s %q: starts %v, runs %v, alone %v, %s, %.0f s", name, o.Verdict, o.Fatal, o.Starts, o.Runs, o.RunsAlone, o.Driver, o.Seconds)
		if foretold := o.Verdict != "fail"; foretold != (o.Starts && o.Runs) || foretold != (len(o.Fatal) == 0) {
			t.Errorf("%s: the check says %s, for %q; dockerd starts: %v, a container runs: %v\n%s", name, o.Verdict, o.Fatal, o.Starts, o.Runs, o.Says)
		}
	}
	for _, want := range []struct {
		trial, finding string // of what is foretold, "" for nothing
		fatal          bool
	}{
		{" nft", "", false},
		{"veth nft", "kernel.CONFIG_VETH", true},
		{"overlay nft", "storage.overlay", false},
		{"bridge nft", "kernel.CONFIG_BRIDGE", true},
		{"nf_nat nft", "kernel.CONFIG_NF_NAT", true},
		{"xt_conntrack nft", "kernel.CONFIG_NETFILTER_XT_MATCH_CONNTRACK", true},
		{"br_netfilter nft", "kernel.CONFIG_BRIDGE_NETFILTER", false},
		{"br_netfilter nft --icc=false", "kernel.CONFIG_BRIDGE_NETFILTER", true},
		{"iptable_nat legacy", "kernel.CONFIG_IP_NF_NAT", true},
	} {
		o, ok := seen[want.trial]
		switch {
		case !ok:
			t.Errorf("%s was not tried", want.trial)
		case want.finding == "" && (o.Verdict == "fail" || len(o.Fatal) > 0):
			t.Errorf("%s: %s, %q %q", want.trial, o.Verdict, o.Fatal, o.Degraded)
		case want.finding != "" && want.fatal != slices.Contains(o.Fatal, want.finding), want.finding != "" && want.fatal == slices.Contains(o.Degraded, want.finding):
			t.Errorf("%s: %s, fatal %q, degraded %q, want %s", want.trial, o.Verdict, o.Fatal, o.Degraded, want.finding)
		}
	}
	if veth := seen["veth nft"]; !veth.Starts || veth.Runs || !veth.RunsAlone {
		t.Errorf("without veth dockerd starts, and containers run without a network only: %+v", veth)
	}
	if o := seen["veth nft"]; o.Status != 3 || !strings.Contains(o.Launch, "containers have no interface on bridge or overlay networks") || !strings.Contains(o.Launch, "--without kernel.CONFIG_VETH") {
		t.Errorf("the launch does not stop with the words of the check, but with %d: %s", o.Status, o.Launch)
	}
	if o := seen["overlay nft"]; o.Driver != "vfs" || seen[" nft"].Driver != "overlay2" {
		t.Errorf("the storage driver is %s without overlay, and %s with it", o.Driver, seen[" nft"].Driver)
	}
}
