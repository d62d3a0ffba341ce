package daemon

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	names, shorts, keys := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, o := range options {
		if i > 0 && options[i-1].Name >= o.Name {
			t.Errorf("%q is not in its place: Lookup searches the sorted table", o.Name)
		}
		if names[o.Name] || o.Short != "" && shorts[o.Short] || o.Key != "" && keys[o.Key] {
			t.Errorf("%+v: name, letter or key is there twice", o)
		}
		names[o.Name], shorts[o.Short], keys[o.Key] = true, true, true
		if o.Until.Known() != (o.Gone != "") {
			t.Errorf("%q: Gone and Until go together", o.Name)
		}
		if got, ok := Lookup(o.Name); !ok || got != o {
			t.Errorf("Lookup(%q) = %+v, %v", o.Name, got, ok)
		}
	}
	for _, l := range legacyOptions {
		if names[l.Name] || l.Short != "" && shorts[l.Short] {
			t.Errorf("%q is both old and new", l.Name)
		}
	}
	for _, name := range []string{"", "a", "zzz", "-debug", "Debug"} {
		if o, ok := Lookup(name); ok {
			t.Errorf("Lookup(%q) = %+v", name, o)
		}
	}
}

// TestTableAgreesWithHelp compares the table with what dockerd prints, both ways.
func TestTableAgreesWithHelp(t *testing.T) {
	// dns was one type with another name for a while, host-gateway-ip a single address up to 27.
	otherType := map[string]string{"dns": "ipSlice", "host-gateway-ip": "ip"}
	line := regexp.MustCompile(`^ {0,6}(?:-(\w), )?--([a-z0-9-]+)(?: ([A-Za-z-]+))?(?:  |$)`)
	for file, text := range map[string]string{
		"help-20.10.24.txt": "20.10.24", "help-26.1.5.txt": "26.1.5", "help-28.5.2.txt": "28.5.2", "options-29.7.2.txt": "29.7.2",
	} {
		version, err := ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		for _, l := range strings.Split(string(data), "\n") {
			m := line.FindStringSubmatch(l)
			if m == nil {
				continue
			}
			short, name, kind := m[1], m[2], m[3]
			shown[name] = true
			if kind == "" {
				kind = "bool"
			}
			o, ok := Lookup(name)
			switch {
			case !ok:
				t.Errorf("%s has --%s, which the table lacks", file, name)
			case o.Short != short && o.Name != "help": // -h is deprecated and not shown
				t.Errorf("%s: --%s has the letter %q, in the table %q", file, name, short, o.Short)
			case o.Type != kind && otherType[name] != kind:
				t.Errorf("%s: --%s takes %q, in the table %q", file, name, kind, o.Type)
			case !version.has(o.Since, o.Until):
				t.Errorf("%s has --%s, which the table gives from %s until %s", file, name, o.Since, o.Until)
			}
		}
		if len(shown) < 70 {
			t.Errorf("%s: only %d options found", file, len(shown))
		}
		for _, o := range options {
			if version.has(o.Since, o.Until) && !o.Hidden && !shown[o.Name] {
				t.Errorf("the table gives --%s to %s, whose help lacks it", o.Name, text)
			}
		}
	}
}

func TestOptionKinds(t *testing.T) {
	for name, want := range map[string][2]bool{
		"debug": {true, false}, "mtu": {false, false}, "ip": {false, false}, "default-shm-size": {false, false}, "data-root": {false, false},
		"label": {false, true}, "log-opt": {false, true}, "default-ulimit": {false, true}, "default-address-pool": {false, true}, "nri-opts": {false, true},
	} {
		o, _ := Lookup(name)
		if got := [2]bool{o.Bool(), o.Repeatable()}; got != want {
			t.Errorf("%s: bool, repeatable = %v, want %v", name, got, want)
		}
	}
	all := Options()
	all[0].Name = "changed"
	if options[0].Name == "changed" {
		t.Error("Options gives the table itself away")
	}
	if i := slices.IndexFunc(all, func(o Option) bool { return o.Key == "exec-opts" }); i < 0 || all[i].Name != "exec-opt" {
		t.Error("exec-opts is not the key of exec-opt")
	}
}
