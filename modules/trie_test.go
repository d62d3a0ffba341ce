package modules

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// depmod's tries say the same as its text: for every module, for 2,000 aliases and for all symbols, in the same order.
func TestTriesAndText(t *testing.T) {
	for _, kernel := range []string{"6.1", "6.12-full", "sid"} {
		t.Run(kernel, func(t *testing.T) {
			k := vm.KernelNamed(t, kernel)
			o := textOnly(t, k)
			text, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			o.Root = strings.TrimSuffix(strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release), "/usr")
			bin, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := bin.records.(*depTrie); !ok {
				t.Fatalf("the modules are read from a %T", bin.records)
			}
			names := namesOf(t, text)
			if diff := cmp.Diff(names, namesOf(t, bin)); diff != "" {
				t.Error(diff)
			}
			for _, name := range names {
				a, b := recordOf(t, text, name), recordOf(t, bin, name)
				// The folder of the text's is one of links.
				if filepath.Join(bin.Dir, a.path) != b.path || !slices.Equal(a.dependencies(), b.dependencies()) {
					t.Errorf("%s: %+v, and %+v in the trie", name, a, b)
				}
			}
			same := func(what string, a, b aliasLookup) {
				t.Helper()
				x, errA := a(what)
				y, errB := b(what)
				if errA != nil || errB != nil || !slices.Equal(x, y) {
					t.Errorf("%s: %q, and %q in the trie (%v, %v)", what, x, y, errA, errB)
				}
			}
			for _, alias := range sampleAliases(t, k.Modules, 2000) {
				same(Normalize(alias), text.aliases, bin.aliases)
			}
			for line := range strings.Lines(readTestText(t, k.Modules, "modules.symbols")) {
				// A name with - is no symbol but a list of modules, which depmod leaves as it is in the trie alone.
				if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "alias" && !strings.Contains(fields[1], "-") {
					same(Normalize(fields[1]), text.symbols, bin.symbols)
				}
			}
		})
	}
}

// A small trie by hand: "ab" has two values, "ac*" and "ac\\*" are patterns, and one node is a circle.
var smallTrie = "\xb0\x07\xf4\x57\x00\x02\x00\x01\xa0\x00\x00\x0c" +
	"a\x00bd\x40\x00\x00\x1c\x20\x00\x00\x33\xa0\x00\x00\x0c" + // 12: prefix a, children b, c, d
	"\x00\x00\x00\x02\x00\x00\x00\x09late\x00\x00\x00\x00\x01soon\x00\x00" + // 28: ab
	"**\x40\x00\x00\x39" + // 51: ac, with the child *
	"\x00\x00\x00\x01\x00\x00\x00\x01star\x00" // 57: ac*

func TestTrie(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.bin")
	write := func(text string) (*trie, error) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return openTrie(path, false)
	}
	small, err := write(smallTrie)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, find, match string }{
		{"ab", "soon late", "soon late"}, {"a", "", ""}, {"abc", "", ""}, {"acx", "", "star"}, {"ac*", "star", "star"}, {"ac", "", "star"}, {"", "", ""}, {"b", "", ""},
	} {
		found, err := small.find(c.name)
		matched, matchErr := small.match(c.name)
		if err != nil || matchErr != nil || strings.Join(found, " ") != c.find || strings.Join(matched, " ") != c.match {
			t.Errorf("%q: found %q, matched %q, %v, %v", c.name, found, matched, err, matchErr)
		}
	}
	if keys, err := small.keys(); !errors.Is(err, errTrie) {
		t.Errorf("a circle: %q, %v", keys, err)
	}
	for _, bad := range []string{"", "short", "\xb0\x07\xf4\x57\x00\x03\x00\x01\x20\x00\x00\x0c", strings.Repeat("x", 100)} {
		if _, err := write(bad); !errors.Is(err, errTrie) || !useText(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := openTrie(path+".none", false); !errors.Is(err, fs.ErrNotExist) || !useText(err) {
		t.Errorf("no file: %v", err)
	}
	cut, err := write(smallTrie[:40])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut.find("ab"); !errors.Is(err, errTrie) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "depmod") {
		t.Errorf("cut short: %v", err)
	}
}

func FuzzTrie(f *testing.F) {
	f.Add(smallTrie, "ab")
	f.Add(smallTrie, "acx")
	f.Add(smallTrie[:12]+strings.Repeat("\x00\xff\xa0\x00\x00\x0c", 40), "a")
	path := filepath.Join(f.TempDir(), "x.bin")
	f.Fuzz(func(t *testing.T, data, name string) {
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		x, err := openTrie(path, false)
		mapped, mappedErr := openTrie(path, true)
		if (err == nil) != (mappedErr == nil) {
			t.Errorf("read: %v, mapped: %v", err, mappedErr)
		}
		if err != nil || mappedErr != nil {
			return
		}
		defer func() {
			if err := unix.Munmap(mapped.data); err != nil {
				t.Error(err)
			}
		}()
		begin := time.Now()
		found, err := x.find(name)
		if err == nil {
			matched, err := x.match(name)
			if other, otherErr := mapped.match(name); !slices.Equal(matched, other) || (err == nil) != (otherErr == nil) {
				t.Errorf("%q: matched %q, %v, and mapped %q, %v", name, matched, err, other, otherErr)
			}
			if err == nil && !strings.ContainsAny(name, special) {
				for _, value := range found {
					if !slices.Contains(matched, value) {
						t.Errorf("%q is found for %q, and not matched: %q", value, name, matched)
					}
				}
			}
		}
		if _, err := x.keys(); err != nil && !errors.Is(err, errTrie) {
			t.Errorf("keys: %v", err)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%d bytes took %v", len(data), took)
		}
	})
}

// The tree may be named by a relative path.
func TestRelativeRoot(t *testing.T) {
	k := vm.KernelNamed(t, "6.1")
	root := strings.TrimSuffix(strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release), "/usr")
	t.Chdir(filepath.Dir(root))
	x, err := Open(Options{Root: filepath.Base(root), Release: k.Release, ConfigDirs: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		found, err := x.Lookup("overlay")
		if err != nil || len(found) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		if _, err := os.Stat(found[0].Path); err != nil {
			t.Error(err)
		}
	}
}
