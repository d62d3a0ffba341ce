package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// dockerSet is what a container host asks for, as a measure.
var dockerSet = []string{
	"overlay", "bridge", "br_netfilter", "veth", "nf_nat", "nf_conntrack", "nf_conntrack_netlink", "ip_tables", "iptable_nat",
	"iptable_filter", "ip6_tables", "ip6table_nat", "ip6table_filter", "nf_tables", "nft_chain_nat", "nft_compat",
	"xt_conntrack", "xt_MASQUERADE", "xt_addrtype",
}

func fullIndex(t testing.TB) Options {
	k := vm.KernelNamed(t, "6.12-full")
	return Options{Root: k.Modules + "/../../..", Release: k.Release, ConfigDirs: []string{}}
}

// textOnly is a folder with the text of an index and without its tries, as a depmod of another make may write it.
func textOnly(t testing.TB, k vm.Kernel) Options {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "lib/modules", k.Release)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(k.Modules)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".bin") {
			continue
		}
		if err := os.Symlink(filepath.Join(k.Modules, file.Name()), filepath.Join(dir, file.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return Options{Root: root, Release: k.Release, ConfigDirs: []string{}}
}

// openAll also reads the tables that wait for their first use.
func openAll(b testing.TB, o Options) *Index {
	b.Helper()
	x, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"no such alias", "symbol:none"} {
		if _, err := x.Lookup(name); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

func BenchmarkOpenText(b *testing.B) {
	o := textOnly(b, vm.KernelNamed(b, "6.12-full"))
	b.ReportAllocs()
	for b.Loop() {
		openAll(b, o)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := openAll(b, o)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-kept")
	runtime.KeepAlive(x)
}

// What a launch does: the index is read and used for one set of names. BenchmarkKmod is the same with kmod's modprobe.
func BenchmarkOpenAndResolve(b *testing.B) {
	o := fullIndex(b)
	for b.Loop() {
		x, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := x.Resolve(Query{Names: dockerSet}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKmod(b *testing.B) {
	o := fullIndex(b)
	for b.Loop() {
		if out, err := kmodCommand(b, append([]string{"-d", o.Root, "-S", o.Release, "-a", "-D"}, dockerSet...)...).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}

// BenchmarkModprobe is this package as a program, process and all.
func BenchmarkModprobe(b *testing.B) {
	o := fullIndex(b)
	program := vm.GoBuild(b, "./modules/testdata/modprobe", "build")
	for b.Loop() {
		if out, err := exec.Command(program, append([]string{"-d", o.Root, "-S", o.Release, "-a", "-D"}, dockerSet...)...).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	x, err := Open(fullIndex(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Resolve(Query{Names: dockerSet}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookupAlias(b *testing.B) {
	x := openAll(b, fullIndex(b))
	for b.Loop() {
		if m, err := x.Lookup("pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"); err != nil || len(m) != 1 {
			b.Fatal(m, err)
		}
	}
}

// The budget for a full Debian kernel, whose text is read: 30 ms and 32 MiB. The best of several runs counts, as the machine
// has other work.
func TestIndexBudget(t *testing.T) {
	o := textOnly(t, vm.KernelNamed(t, "6.12-full"))
	best := time.Hour
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		begin := time.Now()
		x := openAll(t, o)
		best = min(best, time.Since(begin))
		if n := x.records.(*depTable).n; n < 4000 {
			t.Fatalf("this is not a full kernel: %d modules", n)
		}
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / 10
	t.Logf("%v, %.1f MiB", best, float64(allocated)/(1<<20))
	if best > 30*time.Millisecond || allocated > 32<<20 {
		t.Errorf("reading the index takes %v and allocates %d bytes", best, allocated)
	}
}
