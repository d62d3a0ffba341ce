package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// dockerSet are the modules that a Docker host with either variant of iptables asks for.
const dockerSet = "overlay bridge br_netfilter veth nf_nat nf_conntrack nf_conntrack_netlink ip_tables iptable_nat iptable_filter " +
	"ip6_tables ip6table_nat ip6table_filter nf_tables nft_chain_nat nft_compat xt_conntrack xt_MASQUERADE xt_addrtype"

// moduleBenchmarks compare the modprobe in the launcher with kmod's, on the same tree: processes, from fork to end.
func (c *config) moduleBenchmarks() []bench.Benchmark {
	missing := ""
	kmod := c.kmodCommand()
	release, err := filepath.EvalSymlinks(c.modules)
	if err != nil || len(kmod) == 0 {
		missing = "run scripts/fetch-qemu first"
		kmod = [][]string{{""}}
	}
	root := strings.TrimSuffix(strings.TrimSuffix(filepath.Dir(release), "/lib/modules"), "/usr")
	tree := []string{"-d", root, "-S", filepath.Base(release)}
	one := func(name, says string, args ...string) bench.Benchmark {
		args = append(tree[:len(tree):len(tree)], args...)
		budgets := []bench.Budget{
			{Variant: "dockerlaunch", Figure: "wall", Against: "kmod", AtMost: 1},
			{Variant: "dockerlaunch", Figure: "cpu", Against: "kmod", AtMost: 1},
		}
		return bench.Benchmark{
			Name: name, Says: says, Runs: 100, Warmup: 5, Budgets: budgets,
			Variants: []bench.Variant{
				{Name: "kmod", Missing: missing, Run: process(kmod[0][0], append(kmod[0][:len(kmod[0]):len(kmod[0])], args...))},
				{Name: "dockerlaunch", Missing: missing, Run: process(c.launcher, append([]string{"modprobe"}, args...))},
			},
		}
	}
	list := []bench.Benchmark{
		one("modprobe-set", "list what all modules that Docker wants depend on, in one process", append([]string{"-a", "-D"}, strings.Fields(dockerSet)...)...),
		one("modprobe-name", "list what one module depends on", "-D", "br_netfilter"),
		one("modprobe-alias", "find the module of a device and what it depends on", "-D", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"),
	}
	return append(list, bench.Benchmark{
		Name: "module-index", Says: "read the whole index of a full kernel, from depmod's text and from its tries", Runs: 30,
		Variants: []bench.Variant{
			{Name: "text", Missing: missing, Run: index(root, filepath.Base(release), true)},
			{Name: "tries", Missing: missing, Run: index(root, filepath.Base(release), false)},
		},
		Budgets: []bench.Budget{
			{Variant: "text", Figure: "wall", AtMost: 30}, {Variant: "text", Figure: "allocated", AtMost: 32},
			{Variant: "tries", Figure: "wall", AtMost: 30}, {Variant: "tries", Figure: "allocated", AtMost: 32},
		},
	})
}

// kmodCommand is kmod's modprobe, with the C library of its own package; none where it is not there.
func (c *config) kmodCommand() [][]string {
	lib := filepath.Join(c.kmod, "usr/lib/x86_64-linux-gnu")
	loader, program := filepath.Join(lib, "ld-linux-x86-64.so.2"), filepath.Join(c.kmod, "usr/bin/kmod")
	if _, err := os.Stat(program); err != nil {
		return nil
	}
	return [][]string{{loader, "--library-path", lib, "--argv0", "modprobe", program}}
}

// process runs a program to its end, with nothing between the kernel and the clock that could be left out.
func process(path string, argv []string) func(context.Context) ([]bench.Figure, error) {
	return func(context.Context) ([]bench.Figure, error) {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		defer null.Close()
		begin := time.Now()
		p, err := os.StartProcess(path, argv, &os.ProcAttr{Files: []*os.File{null, null, os.Stderr}})
		if err != nil {
			return nil, err
		}
		state, err := p.Wait()
		wall := time.Since(begin)
		if err == nil && !state.Success() {
			err = fmt.Errorf("%s: %v", strings.Join(argv, " "), state)
		}
		if err != nil {
			return nil, err
		}
		usage := state.SysUsage().(*syscall.Rusage)
		return []bench.Figure{
			bench.Millis("wall", wall), bench.Millis("cpu", state.UserTime()+state.SystemTime()),
			{Name: "faults", Unit: "pages", Value: float64(usage.Minflt)},
		}, nil
	}
}

// indexWord makes this program the child that reads an index; its memory is its own then.
const indexWord = "read-index"

// indexCost is what the child says.
type indexCost struct {
	Wall      time.Duration `json:"wall_ns"`
	Allocated uint64        `json:"allocated_bytes"`
	Modules   int           `json:"modules"`
}

func index(root, release string, textOnly bool) func(context.Context) ([]bench.Figure, error) {
	return func(ctx context.Context) ([]bench.Figure, error) {
		from := root
		if textOnly {
			var err error
			if from, err = linkText(root, release); err != nil {
				return nil, err
			}
			defer os.RemoveAll(from)
		}
		out, err := exec.CommandContext(ctx, "/proc/self/exe", indexWord, from, release).Output()
		if err != nil {
			return nil, err
		}
		var cost indexCost
		if err := json.Unmarshal(out, &cost); err != nil {
			return nil, err
		}
		if cost.Modules < 4000 {
			return nil, fmt.Errorf("%d modules are no full kernel", cost.Modules)
		}
		return []bench.Figure{
			bench.Millis("wall", cost.Wall), {Name: "allocated", Unit: "MiB", Value: float64(cost.Allocated) / (1 << 20)},
		}, nil
	}
}

// linkText makes a folder with links to the index's text, without its tries.
func linkText(root, release string) (string, error) {
	to, err := os.MkdirTemp("", "index-")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(to, "lib/modules", release)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(root, "lib/modules", release, "modules.*"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".bin") {
			continue
		}
		if err := os.Symlink(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return "", err
		}
	}
	return to, nil
}

// readIndex is the child.
func readIndex(root, release string) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	x, err := modules.Open(modules.Options{Root: root, Release: release, ConfigDirs: []string{}})
	if err == nil {
		for _, name := range []string{"no such alias", "symbol:none"} { // which read the large tables
			if _, err = x.Lookup(name); err != nil {
				break
			}
		}
	}
	cost := indexCost{Wall: time.Since(begin)}
	runtime.ReadMemStats(&after)
	cost.Allocated = after.TotalAlloc - before.TotalAlloc
	if err == nil {
		var names []string
		names, err = x.Names()
		cost.Modules = len(names)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(cost)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
