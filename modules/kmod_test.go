package modules

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// kmodCommand runs kmod's modprobe, which scripts/fetch-qemu unpacked.
func kmodCommand(t testing.TB, args ...string) *exec.Cmd {
	root := vm.TreeNamed(t, "kmod")
	lib := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	return exec.Command(filepath.Join(lib, "ld-linux-x86-64.so.2"), append([]string{
		"--library-path", lib, "--argv0", "modprobe", filepath.Join(root, "usr/bin/kmod")}, args...)...)
}

// explained are the names for which kmod's modprobe says something else, with the reason. There are none.
var explained = map[string]string{}

// Both programs list what each module of the kernel and 2,000 aliases need, on the same tree.
func TestSideBySideWithKmod(t *testing.T) {
	for _, kernel := range []string{"6.1", "6.12-full", "sid"} {
		t.Run(kernel, func(t *testing.T) {
			k := vm.KernelNamed(t, kernel)
			empty := t.TempDir() // a configuration without aliases, for both
			root := strings.TrimSuffix(k.Modules, "/lib/modules/"+k.Release)
			root = strings.TrimSuffix(root, "/usr")
			x, err := Open(Options{Root: root, Release: k.Release, ConfigDirs: []string{empty}})
			if err != nil {
				t.Fatal(err)
			}
			names := append(namesOf(t, x), sampleAliases(t, x.Dir, 2000)...)
			for name := range readBuiltin(readTestText(t, x.Dir, "modules.builtin")) {
				names = append(names, name)
			}
			names = slices.DeleteFunc(names, func(name string) bool {
				found, err := x.Lookup(name)
				return err != nil || slices.ContainsFunc(found, func(m Module) bool { return m.Name == separator })
			})
			for batch := range slices.Chunk(names, 400) {
				want := kmodDepends(t, []string{"-d", root, "-S", k.Release, "-C", empty}, batch)
				for i, name := range batch {
					compare(t, x, name, want[i])
				}
			}
			t.Logf("%d names compared", len(names))
		})
	}
}

func readTestText(t testing.TB, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sampleAliases takes n aliases from modules.alias and its built-in counterpart, evenly, and makes of each a name that it
// matches: devices have names, not patterns.
func sampleAliases(t *testing.T, dir string, n int) []string {
	t.Helper()
	var patterns []string
	for line := range strings.Lines(readTestText(t, dir, "modules.alias")) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "alias" {
			patterns = append(patterns, fields[1])
		}
	}
	readBuiltinInfo(readTestText(t, dir, "modules.builtin.modinfo"), func(_, key, value string) {
		if key == "alias" && !strings.ContainsAny(value, " \t") {
			patterns = append(patterns, value)
		}
	})
	if len(patterns) < n {
		n = len(patterns)
	}
	var names []string
	for i := range n {
		pattern := patterns[i*len(patterns)/n]
		var b strings.Builder
		for j := 0; j < len(pattern); j++ {
			switch c := pattern[j]; c {
			case '*':
				b.WriteString("00000001")
			case '?':
				b.WriteByte('0')
			case '[':
				b.WriteByte(pattern[j+1])
				j += strings.IndexByte(pattern[j:], ']')
			default:
				b.WriteByte(c)
			}
		}
		names = append(names, b.String())
	}
	return names
}

// separator is a module that nothing depends on.
const separator = "dummy"

// kmodDepends asks for many names in one run, with the separator after each.
func kmodDepends(t *testing.T, flags, names []string) [][]string {
	t.Helper()
	args := append(slices.Clone(flags), "-a", "-D")
	for _, name := range names {
		args = append(args, name, separator)
	}
	out, err := kmodCommand(t, args...).CombinedOutput() // names that are not found make it fail, and are told
	if err != nil && len(out) == 0 {
		t.Fatalf("kmod's modprobe: %v", err)
	}
	results := [][]string{nil}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 2 && NameOf(fields[1]) == separator:
			results = append(results, nil)
		case len(fields) >= 2 && (fields[0] == "insmod" || fields[0] == "builtin"):
			last := len(results) - 1
			results[last] = append(results[last], line)
		case strings.Contains(line, " not found in directory "):
		default:
			t.Fatalf("kmod's modprobe said %q", line)
		}
	}
	if len(results) != len(names)+1 {
		t.Fatalf("kmod's modprobe gave %d answers to %d names", len(results)-1, len(names))
	}
	return results[:len(names)]
}

func compare(t *testing.T, x *Index, name string, want []string) {
	t.Helper()
	if explained[name] != "" {
		return
	}
	var out, errs bytes.Buffer
	m := modprobe{flags: &flags{showDepends: true}, index: x, stdout: bufio.NewWriter(&out), stderr: &errs}
	err := m.insertName(name, "")
	m.stdout.Flush()
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if out.Len() == 0 {
		got = nil
	}
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	if err := validOrder(x, got); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	a, b := sortedSet(got), sortedSet(want)
	if !slices.Equal(a, b) {
		t.Errorf("%s (%v %s):\n got %q\nkmod %q", name, err, errs.String(), a, b)
	}
}

func sortedSet(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return slices.Compact(lines)
}

// validOrder checks that whatever a module depends on stands before it.
func validOrder(x *Index, lines []string) error {
	seen := map[string]bool{}
	for _, line := range lines {
		name := NameOf(strings.Fields(line)[1])
		if r, ok, err := x.records.find(name); err != nil {
			return err
		} else if ok {
			for _, dep := range r.dependencies() {
				if !seen[dep] {
					return fmt.Errorf("%s stands before %s, which it needs", name, dep)
				}
			}
		}
		seen[name] = true
	}
	return nil
}
