package modules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadDeps(t *testing.T) {
	deps, err := readDeps("# c\nkernel/a-b.ko.xz:\n\n \t\n # d: e\nkernel/c.ko: kernel/b.ko kernel/a-b.ko.xz\n/abs/b.ko: kernel/a-b.ko.xz\n" +
		"old/twice-2.ko: kernel/c.ko\n  new/twice_2.ko :\t/abs/b.ko\r\nlast-one.ko:")
	if err != nil {
		t.Fatal(err)
	}
	if names, err := deps.names(); err != nil || deps.n != 5 || len(names) != 5 {
		t.Errorf("%d names: %q", deps.n, names)
	}
	for _, c := range []struct{ name, path, deps string }{
		{"a_b", "kernel/a-b.ko.xz", ""}, {"c", "kernel/c.ko", "a_b b"}, {"b", "/abs/b.ko", "a_b"}, {"twice_2", "new/twice_2.ko", "b"},
		{"last_one", "last-one.ko", ""},
	} {
		r, ok, _ := deps.find(c.name)
		if got := strings.Join(r.dependencies(), " "); !ok || r.path != c.path || got != c.deps {
			t.Errorf("%s: %v, path %q, dependencies %q", c.name, ok, r.path, got)
		}
	}
	for _, name := range []string{"", "a", "a-b", "a_b_", "c.ko", "#", "d"} {
		if r, ok, _ := deps.find(name); ok {
			t.Errorf("%q is %+v", name, r)
		}
	}
	for _, bad := range []string{"kernel/a.ko", ": kernel/a.ko", "x\x00y"} {
		if _, err := readDeps(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A table that was made for long lines grows with short ones.
func TestDepTableGrows(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "m-%d.ko:\n", i)
	}
	deps, err := readDeps(text.String())
	if err != nil || deps.n != 3000 || len(deps.slots) < 2*deps.n {
		t.Fatalf("%d modules in %d slots, %v", deps.n, len(deps.slots), err)
	}
	for i := range 3000 {
		if _, ok, _ := deps.find(fmt.Sprintf("m_%d", i)); !ok {
			t.Errorf("m_%d is lost", i)
		}
	}
}

func TestReadOthers(t *testing.T) {
	if got := readBuiltin("kernel/fs/ext4/ext4.ko\n\n# c\nkernel/x-y.ko\n"); !got["ext4"] || !got["x_y"] || len(got) != 2 {
		t.Errorf("built in: %v", got)
	}
	var seen []string
	readBuiltinInfo("a-b.alias=x=y\x00nonsense\x00.k=v\x00m.=v\x00m.license=GPL", func(m, k, v string) { seen = append(seen, m+"|"+k+"|"+v) })
	if want := []string{"a_b|alias|x=y", "m|license|GPL"}; !slices.Equal(seen, want) {
		t.Errorf("modinfo: %q", seen)
	}
	nodes, err := readDevname("# c\nfuse fuse c10:229\nloop-x loop-control b7:0\n")
	want := []DeviceNode{{Module: "fuse", Path: "fuse", Major: 10, Minor: 229}, {Module: "loop_x", Path: "loop-control", Block: true, Major: 7}}
	if diff := cmp.Diff(want, nodes); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"a b", "a b x1:2", "a b c1", "a b c1:-2"} {
		if nodes, err := readDevname(bad); err == nil {
			t.Errorf("%q gave %+v", bad, nodes)
		}
	}
}

func TestReadLoaded(t *testing.T) {
	got, err := readLoaded("dummy 16384 0 - Live 0x0000\nnf_nat 1 2 xt_MASQUERADE,nft_chain_nat, Live 0x0 (E)\nx 1 1 - Loading 0x0\nold 1 0\n")
	want := map[string]Presence{"dummy": Loaded, "nf_nat": Loaded, "x": Loading, "old": Loaded}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := readLoaded("what is this\nx\n"); err == nil {
		t.Error("a short line was taken")
	}
}

func TestKernelThread(t *testing.T) {
	for stat, want := range map[string]bool{
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0":        true,
		"77 (kworker/u8:1-ev) I 2 0 0 0 -1 69238880 0": true,
		"9 (a) S) b) S 1 9 9 0 -1 4194560 1 2":         false,
		"":                                             false, "1 (x": false, "1 (x) S 1": false,
	} {
		if got := kernelThread(stat); got != want {
			t.Errorf("%q: %v", stat, got)
		}
	}
}

func FuzzIndexFiles(f *testing.F) {
	f.Add("kernel/a.ko: kernel/b.ko\nkernel/b.ko:\n")
	f.Add("fuse fuse c10:229\n")
	f.Add("a.alias=x\x00b.license=GPL\x00")
	f.Add("dummy 16384 0 - Live 0x0000\n")
	f.Fuzz(func(t *testing.T, text string) {
		if deps, err := readDeps(text); err == nil {
			names, _ := deps.names()
			if len(names) != deps.n || len(names) != len(sortedSet(names)) {
				t.Errorf("%d names of %d modules: %q", len(names), deps.n, names)
			}
			for _, name := range names {
				r, ok, _ := deps.find(name)
				if !ok || name == "" || NameOf(r.path) != name {
					t.Errorf("module %q: %v, path %q", name, ok, r.path)
				}
				if len(r.dependencies()) != len(strings.Fields(r.line)) {
					t.Errorf("dependencies of %q: %q", r.line, r.dependencies())
				}
			}
		}
		if nodes, err := readDevname(text); err == nil {
			for _, n := range nodes {
				if n.Path == "" || n.Module == "" {
					t.Errorf("node %+v", n)
				}
			}
		}
		readBuiltin(text)
		readBuiltinInfo(text, func(m, k, _ string) {
			if m == "" || k == "" {
				t.Errorf("%q.%q", m, k)
			}
		})
		if loaded, err := readLoaded(text); err == nil && len(loaded) > strings.Count(text, "\n")+1 {
			t.Errorf("%d modules of %q", len(loaded), text)
		}
		kernelThread(text)
		newDevice([]byte(text))
	})
}
