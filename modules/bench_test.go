package modules

import (
	"runtime"
	"testing"

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

// openAll also reads the tables that wait for their first use.
func openAll(b *testing.B, o Options) *Index {
	x, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	for _, table := range []func() (*aliasTable, error){x.aliases, x.symbols, x.builtinAliases} {
		if _, err := table(); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

func BenchmarkOpen(b *testing.B) {
	o := fullIndex(b)
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
	x, err := Open(fullIndex(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if m, err := x.Lookup("pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"); err != nil || len(m) != 1 {
			b.Fatal(m, err)
		}
	}
}
