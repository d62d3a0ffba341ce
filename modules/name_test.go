package modules

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"nf-nat", "nf_nat"}, {"nf_nat", "nf_nat"}, {"", ""}, {"acpi*:[a-c]-x:*", "acpi*:[a-c]_x:*"}, {"[a-b", "[a-b"}, {"a]-b", "a]_b"},
	} {
		if got := Normalize(c.in); got != c.want {
			t.Errorf("Normalize(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"kernel/net/nf-nat.ko.xz", "nf_nat"}, {"a.ko", "a"}, {"/x/y/b-c.ko.zst", "b_c"}, {"plain", "plain"}, {"", ""},
	} {
		if got := NameOf(c.in); got != c.want {
			t.Errorf("NameOf(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"abc", "abc", true}, {"abc", "abd", false}, {"abc", "ab", false}, {"ab", "abc", false}, {"", "", true}, {"*", "", true},
		{"a*c", "abbbc", true}, {"a*c", "abbb", false}, {"*b*", "abc", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"[a-c]x", "bx", true}, {"[a-c]x", "dx", false}, {"[!a]x", "bx", true}, {"[^a]x", "ax", false}, {"[]]x", "]x", true},
		{"[a-]x", "-x", true}, {"[ab", "[ab", true}, {"[ab", "a", false}, {`\*`, "*", true}, {`\*`, "a", false}, {`a\`, `a\`, true},
		{`[\]]`, "]", true}, {"*[0-9]", "abc7", true}, {"a/b*", "a/b/c", true}, {"*.x", ".x", true},
		{"pci:v00008086d*sv*sd*bc*sc*i*", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", true},
		{"pci:v00008086d*sv*sd*bc03sc*i*", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", false},
		{"**a**", "bab", true}, {"*a*b*c", "xaxbxcx", false},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
	// Many stars against a name that fails at its end: a matcher that tries them all again would not come back.
	if matches(strings.Repeat("*a", 200)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched a name without b")
	}
}

// slowMatch says the same in the plainest way, for patterns without brackets and backslashes.
func slowMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], name) || name != "" && slowMatch(pattern, name[1:])
	}
	return name != "" && (pattern[0] == '?' || pattern[0] == name[0]) && slowMatch(pattern[1:], name[1:])
}

func FuzzMatches(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("[a-c]*", "b")
	f.Add("[!]x", "[!]x")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		got := matches(pattern, name)
		if got != matches([]byte(pattern), name) {
			t.Errorf("%q, %q: text and bytes differ", pattern, name)
		}
		if !strings.ContainsAny(pattern, `[\`) && len(pattern) <= 12 && len(name) <= 24 && got != slowMatch(pattern, name) {
			t.Errorf("matches(%q, %q) = %v", pattern, name, got)
		}
		escaped := strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(name)
		if !matches(escaped, name) {
			t.Errorf("%q does not match %q", escaped, name)
		}
		if !matches("*"+escaped+"*", name) {
			t.Errorf("stars around %q change it", name)
		}
	})
}

func FuzzAliases(f *testing.F) {
	f.Add("# comment\nalias pci:v*d* a-b\nalias with blank x\nalias a\nalias * all\n", "pci:v1d2")
	f.Add("alias [a-c]-x m\r\nalias a_b c\nalias a-b d", "a-b")
	f.Fuzz(func(t *testing.T, text, name string) {
		name = Normalize(name)
		table := readAliases([]byte(text))
		found := table.find(name)
		// The same by looking at every entry.
		want := map[string]bool{}
		for _, e := range table.entries {
			pattern := string(table.text[e.pattern : e.pattern+uint32(e.patternLen)])
			if pattern != Normalize(pattern) {
				t.Errorf("%q is not normalized", pattern)
			}
			if matches(pattern, name) {
				want[string(table.text[e.module:e.module+uint32(e.moduleLen)])] = true
			}
		}
		if len(found) != len(want) {
			t.Errorf("%q in %q: found %q, want %v", name, text, found, want)
		}
		for _, m := range found {
			if !want[m] {
				t.Errorf("%q in %q: found %q, want %v", name, text, found, want)
			}
		}
	})
}

func TestAliasTableGrows(t *testing.T) {
	table := newAliasTable(0)
	for i := range 5000 {
		table.add("x"+strings.Repeat("y", i%300)+"*", "m"+strings.Repeat("z", i%7))
	}
	if found := table.find("x" + strings.Repeat("y", 299)); len(found) != 7 {
		t.Errorf("found %q", found)
	}
}
