package modules

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes an index by hand; files are named below the folder of modules, but for those that begin with "etc/".
func tree(t testing.TB, files map[string]string, commandLine string) *Index {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, "lib/modules/1.2.3", name)
		if strings.HasPrefix(name, "etc/") {
			path = filepath.Join(root, name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	x, err := Open(Options{Root: root, Release: "1.2.3", ConfigDirs: []string{filepath.Join(root, "etc/modprobe.d")}, CommandLine: commandLine})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var smallTree = map[string]string{
	"modules.dep": `kernel/net/nat-core.ko.xz: kernel/net/track.ko.xz kernel/lib/crc.ko.xz
kernel/net/track.ko.xz: kernel/lib/crc.ko.xz
kernel/lib/crc.ko.xz:
kernel/lib/crc-fast.ko.xz: kernel/lib/simd.ko.xz
kernel/lib/crc-slow.ko.xz:
kernel/lib/simd.ko.xz:
kernel/net/late.ko.xz: kernel/net/track.ko.xz
kernel/snd/beep.ko.xz:
kernel/a.ko.xz: kernel/b.ko.xz
kernel/b.ko.xz: kernel/a.ko.xz
kernel/s1.ko.xz:
kernel/s2.ko.xz:
kernel/s3.ko.xz: kernel/s1.ko.xz
`,
	"modules.alias": `# Aliases extracted from modules themselves.
alias pci:v00008086d*sv* nat-core
alias crypto-crc crc-slow
alias crypto-crc crc-fast
alias platform:beep beep
`,
	"modules.softdep": `softdep crc pre: crypto-crc missing-one
softdep track post: late
softdep s1 pre: s2
softdep s2 pre: s1
softdep late pre: s3
`,
	"modules.symbols":         "alias symbol:track_it track\n",
	"modules.builtin":         "kernel/fs/ext4.ko\n",
	"modules.builtin.modinfo": "ext4.alias=fs-ext4\x00hidden.alias=fs-hidden\x00ext4.license=GPL\x00",
	"etc/modprobe.d/x.conf": `blacklist beep
options nat_core size=3
options pretty colour=blue
alias pretty nat-core
alias off-alias off
install s3 /bin/true
`,
}

func TestLookup(t *testing.T) {
	x := tree(t, smallTree, "")
	for _, c := range []struct{ name, want string }{
		{"nat-core", "nat_core"}, {"nat_core", "nat_core"}, {"pci:v00008086d1sv2", "nat_core"}, {"crypto_crc", "crc_slow crc_fast"},
		{"symbol:track_it", "track"}, {"symbol:x", ""}, {"ext4", "ext4+"}, {"fs-ext4", "ext4+"}, {"fs-hidden", "hidden+"},
		{"pretty", "nat_core"}, {"off-alias", "off!"}, {"nothing", ""}, {"", ""},
	} {
		found, err := x.Lookup(c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, m := range found {
			switch {
			case m.Builtin:
				got = append(got, m.Name+"+")
			case m.Path == "":
				got = append(got, m.Name+"!")
			default:
				got = append(got, m.Name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// show gives a plan as words: name, with ! when required, and its parameters.
func show(p *Plan) string {
	var words []string
	for _, s := range p.Steps {
		word := s.Name
		if s.Required {
			word += "!"
		}
		if s.Params != "" {
			word += "(" + s.Params + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestResolve(t *testing.T) {
	x := tree(t, smallTree, "crc.mode=fast nat-core.debug")
	for _, c := range []struct {
		query Query
		want  string
		black string
	}{
		{Query{Names: []string{"nat-core"}},
			"crc_slow simd crc_fast crc!(mode=fast) track! s2 s1 s3 late nat_core!(size=3 debug)", ""},
		{Query{Names: []string{"pretty"}, Params: "x=1"},
			"crc_slow simd crc_fast crc!(mode=fast) track! s2 s1 s3 late nat_core!(size=3 colour=blue debug x=1)", ""},
		{Query{Names: []string{"simd", "crc_fast", "simd"}}, "simd! crc_fast!", ""},
		{Query{Names: []string{"beep"}}, "beep!", ""},
		{Query{Names: []string{"beep"}, Blacklist: BlacklistNames}, "", "beep"},
		{Query{Names: []string{"platform:beep"}}, "", "beep"},
		{Query{Names: []string{"ext4"}}, "ext4!", ""},
		{Query{}, "", ""},
	} {
		plan, err := x.Resolve(c.query)
		if err != nil {
			t.Errorf("%v: %v", c.query.Names, err)
			continue
		}
		if got := show(plan); got != c.want || strings.Join(plan.Blacklisted, " ") != c.black {
			t.Errorf("%v:\n got %s, blacklisted %q\nwant %s", c.query.Names, got, plan.Blacklisted, c.want)
		}
		for i, s := range plan.Steps {
			if !slices.IsSorted(s.After) || len(s.After) > 0 && s.After[len(s.After)-1] >= i {
				t.Errorf("%v: step %d comes after %v", c.query.Names, i, s.After)
			}
		}
	}
	// Nothing but the soft dependency says that late comes after early.
	post := tree(t, map[string]string{"modules.dep": "kernel/early.ko:\nkernel/late.ko:\n", "modules.softdep": "softdep early post: late\n"}, "")
	plan, err := post.Resolve(Query{Names: []string{"early"}})
	if err != nil || show(plan) != "early! late" || !slices.Equal(plan.Steps[1].After, []int{0}) {
		t.Errorf("a post dependency: %+v, %v", plan, err)
	}
	if plan, err = x.Resolve(Query{Names: []string{"track"}}); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(plan.Steps, func(s Step) bool { return s.Name == "s3" }); plan.Steps[i].Command != "/bin/true" {
		t.Errorf("the install command of s3 is lost: %+v", plan.Steps[i])
	}
}

func TestResolveErrors(t *testing.T) {
	x := tree(t, smallTree, "")
	for _, name := range []string{"nothing", "off-alias"} {
		if _, err := x.Resolve(Query{Names: []string{name}}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), name) &&
			!strings.Contains(err.Error(), Normalize(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var cycle *CycleError
	if _, err := x.Resolve(Query{Names: []string{"a"}}); !errors.As(err, &cycle) || strings.Join(cycle.Modules, " ") != "a b a" {
		t.Errorf("a cycle: %v", err)
	}
	plan, err := x.Resolve(Query{Names: []string{"s1"}})
	if err != nil || show(plan) != "s2 s1!" || len(plan.SoftCycles) != 1 {
		t.Errorf("a soft cycle: %+v, %v", plan, err)
	}
	// A soft dependency that needs the module which has it: left out, and nothing of it stays half done.
	y := tree(t, map[string]string{
		"modules.dep":     "kernel/x.ko:\nkernel/y.ko: kernel/x.ko\nkernel/z.ko: kernel/y.ko kernel/x.ko\n",
		"modules.softdep": "softdep x pre: y\n",
	}, "")
	plan, err = y.Resolve(Query{Names: []string{"z"}})
	if err != nil || show(plan) != "x! y! z!" || len(plan.SoftCycles) != 1 {
		t.Errorf("a soft dependency on oneself: %+v, %v", plan, err)
	}
}

func TestOpenErrors(t *testing.T) {
	root := t.TempDir()
	if _, err := Open(Options{Root: root, Release: "1.2.3"}); !errors.Is(err, ErrNoModules) || !strings.Contains(err.Error(), root) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Open(Options{Root: root, Release: "../x"}); err == nil || errors.Is(err, ErrNoModules) {
		t.Errorf("a release with a slash: %v", err)
	}
	dir := filepath.Join(root, "lib/modules/1.2.3")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Root: root, Release: "1.2.3"}); !errors.Is(err, ErrNoModules) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(dir+"/modules.dep", []byte("nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Root: root, Release: "1.2.3"}); err == nil || !strings.Contains(err.Error(), "modules.dep: line 1") {
		t.Errorf("a bad modules.dep: %v", err)
	}
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
