package modules

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kernelTree is a /proc and a /sys of the kinds that there are. The real ones are met in TestMachine.
func kernelTree(t *testing.T, files map[string]string) Kernel {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text)
	}
	return Kernel{Proc: filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys")}
}

func TestHas(t *testing.T) {
	files := map[string]string{
		"proc/modules":                "nf_nat 1 0 - Live 0x0\nonly_proc 1 0 - Live 0x0\nleaving 1 0 - Unloading 0x0\n",
		"sys/module/nf_nat/initstate": "live\n", "sys/module/coming/initstate": "coming\n", "sys/module/printk/parameters/time": "Y",
	}
	k := kernelTree(t, files)
	for name, want := range map[string]Presence{
		"nf-nat": Loaded, "coming": Loading, "printk": BuiltIn, "nothing": Absent, "": Absent, "..": Absent, "a/b": Absent, "only_proc": Absent,
	} {
		if got, err := k.Has(name); got != want || err != nil {
			t.Errorf("%q is %v, %v; want %v", name, got, err, want)
		}
	}
	k.Sys = "/no/such"
	for name, want := range map[string]Presence{"nf-nat": Loaded, "only_proc": Loaded, "leaving": Loading, "printk": Absent} {
		if got, err := k.Has(name); got != want || err != nil {
			t.Errorf("without /sys, %q is %v, %v; want %v", name, got, err, want)
		}
	}
	if !k.Modular() || (Kernel{Proc: "/no/such"}).Modular() {
		t.Error("which kernel is modular is told wrongly")
	}
}

// A kernel with everything built in is the quiet case: nothing is tried and nothing warned of.
func TestWantWithoutModules(t *testing.T) {
	k := kernelTree(t, map[string]string{"sys/module/bridge/parameters/x": "1", "proc/version": ""})
	results := (&Loader{Kernel: k}).Want(context.Background(), []Want{{Names: []string{"bridge"}}, {Names: []string{"old", "overlay"}, For: "images"}})
	if results[0].Way != WayBuiltIn || results[1].Way != Unknowable {
		t.Errorf("%+v", results)
	}
	for _, r := range results {
		if r.Warning() != "" {
			t.Errorf("a warning: %s", r.Warning())
		}
	}
}

// What stands in the way is told, when neither the index nor the kernel brings a module.
func TestWantMissing(t *testing.T) {
	k := kernelTree(t, map[string]string{"proc/modules": "there 1 0 - Live 0x0\n", "sys/module/there/initstate": "live\n"})
	x := tree(t, smallTree, "")
	results := (&Loader{Kernel: k, Index: x}).Want(context.Background(), []Want{
		{Names: []string{"gone_one", "there"}}, {Names: []string{"ext4"}},
		{Names: []string{"an_unknown_module", "and_another_one"}, For: "such things"},
		{Names: []string{"platform:beep"}}, {Names: []string{"a"}},
	})
	if results[0].Way != WayPresent || results[0].Name != "there" || results[1].Way != WayBuiltIn {
		t.Errorf("%+v", results[:2])
	}
	for i, want := range map[int]string{2: "an_unknown_module or and_another_one is missing: without it, no such things", 3: "blacklisted", 4: "a -> b -> a"} {
		if got := results[i].Warning(); results[i].Way != Missing || !strings.Contains(got, want) {
			t.Errorf("%v: %v, %q does not say %q", results[i].Names, results[i].Way, got, want)
		}
	}
}
