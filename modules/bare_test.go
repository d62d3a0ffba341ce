package modules

import (
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// A kernel as its package brings it, before depmod ran, gives the same as with depmod's indexes.
func TestBareTreeIsAsGood(t *testing.T) {
	for _, kernel := range []string{"6.1", "6.12"} {
		t.Run(kernel, func(t *testing.T) {
			k := vm.KernelNamed(t, kernel)
			root := t.TempDir()
			dir := filepath.Join(root, "lib/modules", k.Release)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// The walk does not follow links, so the folders are real and the files are links of the other kind.
			for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
				link(t, filepath.Join(k.Modules, name), filepath.Join(dir, name))
			}
			files, err := (&Index{Dir: k.Modules}).moduleFiles()
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				link(t, filepath.Join(k.Modules, file), filepath.Join(dir, file))
			}
			begin := time.Now()
			bare, err := Open(Options{Root: root, Release: k.Release, ConfigDirs: []string{}})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d modules read in %v", len(namesOf(t, bare)), time.Since(begin))
			full, err := Open(Options{Root: strings.TrimSuffix(strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release), "/usr"),
				Release: k.Release, ConfigDirs: []string{}})
			if err != nil {
				t.Fatal(err)
			}
			sameIndex(t, bare, full)
		})
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(from, to); err == nil {
		return
	}
	data, err := os.ReadFile(from) // another file system
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func sameIndex(t *testing.T, bare, full *Index) {
	t.Helper()
	if !bare.Scanned || full.Scanned {
		t.Errorf("scanned: %v and %v", bare.Scanned, full.Scanned)
	}
	names := namesOf(t, full)
	if !slices.Equal(namesOf(t, bare), names) {
		t.Errorf("%d modules and %d", len(namesOf(t, bare)), len(names))
	}
	for _, name := range names {
		a, b := slices.Clone(recordOf(t, bare, name).dependencies()), slices.Clone(recordOf(t, full, name).dependencies())
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%s needs %q, and %q by depmod", name, a, b)
		}
	}
	for _, alias := range sampleAliases(t, full.Dir, 500) {
		a, errA := bare.Lookup(alias)
		b, errB := full.Lookup(alias)
		if errA != nil || errB != nil || !slices.Equal(moduleNames(a), moduleNames(b)) {
			t.Errorf("%s is %q, and %q by depmod (%v, %v)", alias, moduleNames(a), moduleNames(b), errA, errB)
		}
	}
	symbols := map[string]bool{}
	for line := range strings.Lines(readTestText(t, full.Dir, "modules.symbols")) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "alias" {
			symbols[fields[1]] = true
		}
	}
	for symbol := range maps.Keys(symbols) {
		a, errA := bare.Lookup(symbol)
		b, errB := full.Lookup(symbol)
		if errA != nil || errB != nil || !slices.Equal(moduleNames(a), moduleNames(b)) {
			t.Errorf("%s is in %q, and %q by depmod (%v, %v)", symbol, moduleNames(a), moduleNames(b), errA, errB)
		}
	}
	for _, name := range names {
		a, _ := bare.Config.softDep(name)
		b, _ := full.Config.softDep(name)
		if !slices.Equal(a.Pre, b.Pre) || !slices.Equal(a.Post, b.Post) {
			t.Errorf("soft dependencies of %s: %+v, and %+v by depmod", name, a, b)
		}
	}
}

func namesOf(t testing.TB, x *Index) []string {
	t.Helper()
	names, err := x.Names()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func recordOf(t testing.TB, x *Index, name string) record {
	t.Helper()
	r, _, err := x.records.find(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func moduleNames(list []Module) []string {
	var names []string
	for _, m := range list {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

func TestScanErrors(t *testing.T) {
	object := func(modinfo string) string { return string(makeModule(true, binary.LittleEndian, modinfo, "")) }
	write := func(files map[string]string) string {
		root := t.TempDir()
		for name, data := range files {
			path := filepath.Join(root, "lib/modules/1/kernel", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return root
	}
	open := func(files map[string]string) (*Index, error) {
		return Open(Options{Root: write(files), Release: "1", ConfigDirs: []string{}})
	}
	x, err := open(map[string]string{"a.ko": object("depends=b-x,c,built"), "b-x.ko": object("depends=c"), "c.ko": object("alias=q*"), "d.txt": ""})
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := x.Resolve(Query{Names: []string{"a"}}); err != nil || show(plan) != "c! b_x! a!" {
		t.Errorf("%+v, %v", plan, err)
	}
	// Of two modules with the same alias, the first of modules.order comes first, also where it was written before packing.
	root := write(map[string]string{"a.ko": object("alias=q*"), "sub/z.ko": object("alias=q*")})
	writeFile(t, filepath.Join(root, "lib/modules/1/modules.order"), "kernel/sub/z.o\nkernel/sub/z.ko.xz\n")
	if x, err = Open(Options{Root: root, Release: "1", ConfigDirs: []string{}}); err != nil {
		t.Fatal(err)
	}
	if found, err := x.Lookup("q1"); err != nil || len(found) != 2 || found[0].Name != "z" {
		t.Errorf("%+v, %v", found, err)
	}
	// Modules that need each other, and those that need them, are refused by themselves.
	x, err = open(map[string]string{"a.ko": object("depends=b"), "b.ko": object("depends=c"), "c.ko": object("depends=good,a"),
		"d.ko": object("depends=good,b"), "good.ko": object("depends=")})
	if err != nil {
		t.Fatal(err)
	}
	for name, members := range map[string]string{"a": "a b c a", "b": "b c a b", "c": "c a b c", "d": ""} {
		var cycle *CycleError
		if _, err := x.Resolve(Query{Names: []string{name}}); !errors.As(err, &cycle) || members != "" && strings.Join(cycle.Modules, " ") != members {
			t.Errorf("%s, in a cycle: %v", name, err)
		}
	}
	if plan, err := x.Resolve(Query{Names: []string{"good"}}); err != nil || show(plan) != "good!" {
		t.Errorf("beside a cycle: %+v, %v", plan, err)
	}
}

// One module that cannot be read is told, and known by its name alone; the others are as without it.
func TestScanSkips(t *testing.T) {
	object := func(modinfo string) string { return string(makeModule(true, binary.LittleEndian, modinfo, "")) }
	root := t.TempDir()
	dir := filepath.Join(root, "lib/modules/1/kernel")
	if err := errors.Join(os.MkdirAll(dir+"/folder.ko", 0o755), os.MkdirAll(root+"/lib/modules/2", 0o755)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/bad.ko", "text")
	writeFile(t, dir+"/good.ko", object("alias=q*\x00depends=bad"))
	writeFile(t, root+"/lib/modules/2/other.ko", object("alias=o*"))
	writeFile(t, root+"/outside.ko", object("alias=x*"))
	for name, to := range map[string]string{"linked": "../../2/other.ko", "again": "good.ko", "out": "../../../../outside.ko", "none": "none-such", "zero": "/dev/zero"} {
		if err := os.Symlink(to, filepath.Join(dir, name+".ko")); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(dir+"/fifo.ko", 0o600); err != nil {
		t.Fatal(err)
	}
	var x *Index
	var err error
	inTime(t, func() { x, err = Open(Options{Root: root, Release: "1", ConfigDirs: []string{}}) })
	if err != nil {
		t.Fatal(err)
	}
	if names := namesOf(t, x); !slices.Equal(names, []string{"again", "bad", "good", "linked"}) {
		t.Errorf("modules %q", names)
	}
	if plan, err := x.Resolve(Query{Names: []string{"good"}}); err != nil || show(plan) != "bad! good!" {
		t.Errorf("%+v, %v", plan, err)
	}
	if found, err := x.Lookup("o1"); err != nil || len(found) != 1 || found[0].Name != "linked" {
		t.Errorf("by a link: %+v, %v", found, err)
	}
	problems := strings.Join(x.Config.Problems, "\n")
	for _, name := range []string{"bad.ko", "out.ko", "none-such", "zero.ko", "fifo.ko"} {
		if !strings.Contains(problems, name) {
			t.Errorf("nothing is told of %s: %s", name, problems)
		}
	}
	if len(x.Config.Problems) != 5 {
		t.Errorf("%s", problems)
	}
	var out, errs strings.Builder
	if status := Modprobe([]string{"-q", "-d", root, "-S", "1", "-C", root, "-D", "linked"}, "", &out, &errs); status != 0 ||
		!strings.Contains(out.String(), "linked.ko") || !strings.Contains(errs.String(), "bad.ko") {
		t.Errorf("modprobe: %d\n%s%s", status, out.String(), errs.String())
	}
	// The folder itself may be a link.
	if err := os.Symlink("1", root+"/lib/modules/3"); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(Options{Root: root, Release: "3", ConfigDirs: []string{}}); err != nil || len(namesOf(t, x)) != 4 {
		t.Errorf("by a link: %+v, %v", x, err)
	}
}
