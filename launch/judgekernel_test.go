package launch

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/modules"
	"golang.org/x/sys/unix"
)

// withoutVeth puts another configuration in the place of the kernel's own, with all that Docker uses built in but veth: no stock
// kernel is like that.
func withoutVeth(t *testing.T) {
	t.Helper()
	f, err := os.Open("/proc/config.gz")
	if errors.Is(err, os.ErrNotExist) {
		testenv.Missing(t, "this kernel does not tell its configuration")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	config, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.ReplaceAll(config, []byte("=m\n"), []byte("=y\n"))
	changed := regexp.MustCompile(`(?m)^CONFIG_VETH=.$`).ReplaceAll(config, []byte("# CONFIG_VETH is not set"))
	if bytes.Equal(changed, config) {
		t.Fatal("this kernel has no CONFIG_VETH")
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(changed); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "config.gz")
	if err := os.WriteFile(name, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(name, "/proc/config.gz", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// TestJudgeKernel: a kernel without loadable modules that lacks what no daemon does without stops the launch in the words of the
// check; the same kernel as it is does not, nor where the user does without.
func TestJudgeKernel(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNS) {
		return
	}
	known, err := check.See()
	if err != nil {
		t.Fatal(err)
	}
	known.Host.LoadableModules = false
	request := check.Request{For: host.Container, Variant: check.AnyVariant}
	j := JudgeKernel{Habitat: host.Container, request: request, known: &known}
	if _, err := j.Apply(t.Context()); err != nil {
		t.Errorf("this kernel: %v", err)
	}
	withoutVeth(t)
	_, err = j.Apply(t.Context())
	if err == nil {
		t.Fatal("nothing is wrong with a kernel without veth")
	}
	facts, problem := check.Observe(&request, &known)
	if problem != nil {
		t.Fatal(problem)
	}
	i := slices.IndexFunc(check.Judge(&request, facts).Findings, func(f finding.Finding) bool { return f.ID == "kernel.CONFIG_VETH" })
	if i < 0 {
		t.Fatal("the check has nothing about veth")
	}
	f := check.Judge(&request, facts).Findings[i]
	if f.Severity != finding.Fatal || !f.Bad() || !strings.HasPrefix(err.Error(), f.Sentence()) {
		t.Errorf("the launch: %v\nthe check: %+v", err, f)
	}
	// All modules that are wanted are there, so that the configuration alone tells.
	modular := j
	modular.wants = []modules.Want{}
	if _, err := modular.Apply(t.Context()); err == nil || !strings.HasPrefix(err.Error(), f.Sentence()) {
		t.Errorf("with modules: %v", err)
	}
	j.without = []string{f.ID}
	if _, err := j.Apply(t.Context()); err != nil {
		t.Errorf("without %s: %v", f.ID, err)
	}
}

// The looks at the kernel wait for modules, and for nothing where there are none.
func TestKernelLanes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		after  []Lane
		config bool // whether its configuration tells of iptables
	}{
		"modules":            {func(*Facts) {}, []Lane{LaneSystem, LaneModules}, false},
		"none":               {func(f *Facts) { f.Host.LoadableModules = false }, nil, true},
		"none, and no /proc": {func(f *Facts) { f.Host.LoadableModules, f.ProcMounted = false, false }, []Lane{LaneSystem, LaneModules}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepared()
			f.IPTables.LegacySafe = true
			f.IPTables.Legacy = iptables.Program{Path: "/usr/sbin/iptables-legacy", Goal: "/usr/sbin/xtables-legacy-multi"}
			c.change(&f)
			p := planned(t, Config{}, f)
			lanes := p.Lanes()
			i := slices.IndexFunc(lanes, func(l LaneInfo) bool { return l.Name == LaneKernel })
			if i < 0 {
				t.Fatalf("lanes %v", lanes)
			}
			if !slices.Equal(lanes[i].After, c.after) {
				t.Errorf("it waits for %v, want %v", lanes[i].After, c.after)
			}
			// The folder of links is on /run, which stands before a plan is made.
			loads := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Lane == LaneModules && s.Action != nil })
			i = slices.IndexFunc(lanes, func(l LaneInfo) bool { return l.Name == LaneIPTables })
			if i < 0 || slices.Contains(lanes[i].After, LaneModules) != loads || slices.Contains(lanes[i].After, LaneSystem) ||
				slices.Contains(lanes[i].After, LaneKernel) != c.config {
				t.Errorf("lanes %v; modules are loaded: %v", lanes, loads)
			}
		})
	}
}
