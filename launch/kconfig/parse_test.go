package kconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRelease(t *testing.T) {
	for text, want := range map[string]Release{
		"6.12.43+deb13-amd64": {6, 12, 43}, "2.6.32": {2, 6, 32}, "2.6.32.61": {2, 6, 32}, "3.10.0-1160.el7.x86_64": {3, 10, 0},
		"6.18.0-rc3": {6, 18, 0}, "4.9": {4, 9, 0}, "4.9-rc1": {4, 9, 0}, "5.4.": {5, 4, 0}, "26.1.5+dfsg1": {26, 1, 5},
	} {
		if r, ok := ParseRelease(text); !ok || r != want {
			t.Errorf("%q: %v %v, want %v", text, r, ok, want)
		}
	}
	for _, text := range []string{"", "6", "x.y", ".6.1", "-1.2", "99999999999999999999.1"} {
		if r, ok := ParseRelease(text); ok {
			t.Errorf("%q: taken for %v", text, r)
		}
	}
}

func TestBounds(t *testing.T) {
	for _, test := range []struct {
		release       string
		bound         series
		text          string
		before, after bool
	}{
		{"4.6.7", 4_6, "4.6", false, false}, {"4.7.0", 4_6, "4.6", false, true}, {"4.5.9", 4_6, "4.6", true, false},
		{"6.9.1", 6_10, "6.10", true, false}, {"2.6.32.61", 2_6_32, "2.6.32", false, false}, {"2.6.38", 2_6_39, "2.6.39", true, false},
		{"3.0.1", 2_6_39, "2.6.39", false, true}, {"5.0.1", 5_0, "5.0", false, false}, {"2.6.18", 2_6_20, "2.6.20", true, false},
		{"7.2.13", 7_1, "7.1", false, true}, {"6.1.0", 0, "0.0", false, false},
	} {
		r, _ := ParseRelease(test.release)
		if r.before(test.bound) != test.before || r.after(test.bound) != test.after || test.bound.String() != test.text {
			t.Errorf("%s against %s: before %v, after %v", test.release, test.bound, r.before(test.bound), r.after(test.bound))
		}
	}
}

// whole is a file with all that makes one complete, behind a header.
func whole(header string, lines ...string) string {
	return header + "\nCONFIG_INIT_ENV_ARG_LIMIT=32\nCONFIG_LOCALVERSION=\"-x\"\nCONFIG_MODULES=y\nCONFIG_NET=y\n# CONFIG_CRYPTO is not set\n" +
		strings.Join(lines, "\n") + "\nCONFIG_DEBUG_KERNEL=y\n"
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Config // what of it is looked at: Text, Release, Arch, Complete, Garbage, Duplicates
		values     map[string]string
	}{
		{"today", whole("#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.12.43 Kernel Configuration\n#"),
			Config{Text: "6.12.43", Release: Release{6, 12, 43}, Arch: "x86", Complete: true},
			map[string]string{"NET": "y", "LOCALVERSION": "-x", "INIT_ENV_ARG_LIMIT": "32", "CRYPTO": "n", "VETH": ""}},
		{"a vendor", whole("# Linux/x86_64 3.10.0-1160.119.1.0.5.el7.x86_64 Kernel Configuration"),
			Config{Text: "3.10.0-1160.119.1.0.5.el7.x86_64", Release: Release{3, 10, 0}, Arch: "x86_64", Complete: true}, nil},
		{"before 2.6.37", whole("#\n# Automatically generated make config: don't edit\n# Linux kernel version: 2.6.32\n# Mon Jun 10 2013\n#"),
			Config{Text: "2.6.32", Release: Release{2, 6, 32}, Complete: true}, nil},
		{"a translated header", whole("# Linux/arm64 4.9.165 Kernel Configuration"), Config{Text: "4.9.165", Release: Release{4, 9, 165}, Arch: "arm64", Complete: true}, nil},
		{"no header", whole(""), Config{Complete: true}, nil},
		{"CRLF", strings.ReplaceAll(whole("# Linux/mips 3.3.8-2.3 Kernel Configuration", "CONFIG_VETH=m"), "\n", "\r\n"),
			Config{Text: "3.3.8-2.3", Release: Release{3, 3, 8}, Arch: "mips", Complete: true}, map[string]string{"VETH": "m", "CRYPTO": "n", "LOCALVERSION": "-x"}},
		{"a mark of the encoding", "\xef\xbb\xbf" + whole("# Linux/x86 5.4.0 Kernel Configuration"), Config{Text: "5.4.0", Release: Release{5, 4, 0}, Arch: "x86", Complete: true}, nil},
		{"the last one wins", whole("", "CONFIG_VETH=m", "# CONFIG_VETH is not set", "CONFIG_VETH=y"), Config{Complete: true, Duplicates: 2}, map[string]string{"VETH": "y"}},
		{"garbage", whole("", "CONFIG_=y", "CONFIG_A B=y", "hello", "=", "CONFIG_VETH"), Config{Complete: true, Garbage: 5}, nil},
		{"odd values", whole("", "CONFIG_A=", `CONFIG_B="`, `CONFIG_C="a \"b\""`, "CONFIG_D=0x1f", "CONFIG_E=-1", "CONFIG_F=y  "), Config{Complete: true},
			map[string]string{"A": "n", "B": `"`, "C": `a \"b\"`, "D": "0x1f", "E": "-1", "F": "y"}},
		{"a comment is none", whole("", "# CONFIG_VETH is not set by default", "#CONFIG_BRIDGE=y"), Config{Complete: true}, map[string]string{"VETH": "", "BRIDGE": ""}},
		{"cut off", strings.Split(whole("# Linux/x86 5.4.0 Kernel Configuration"), "CONFIG_DEBUG_KERNEL")[0], Config{Text: "5.4.0", Release: Release{5, 4, 0}, Arch: "x86"}, nil},
		{"a fragment", "CONFIG_VETH=y\n", Config{}, map[string]string{"VETH": "y"}},
		{"a fragment with a header", "# Linux/x86 5.4.0 Kernel Configuration\nCONFIG_VETH=y\n", Config{Text: "5.4.0", Release: Release{5, 4, 0}, Arch: "x86"}, nil},
	} {
		c, err := Parse([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := Config{Text: c.Text, Release: c.Release, Arch: c.Arch, Complete: c.Complete, Garbage: c.Garbage, Duplicates: c.Duplicates}
		if got.Text != test.want.Text || got.Release != test.want.Release || got.Arch != test.want.Arch || got.Complete != test.want.Complete ||
			got.Garbage != test.want.Garbage || got.Duplicates != test.want.Duplicates {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
		for name, want := range test.values {
			if got := c.Value(name); got != want {
				t.Errorf("%s: %s is %q, want %q", test.name, name, got, want)
			}
		}
	}
}

func TestNotAConfig(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":  "",
		"blanks":   " \n\t\n\r\n",
		"prose":    strings.Repeat("To be, or not to be, that is the question.\n", 100),
		"comments": "# Linux/x86 6.12.43 Kernel Configuration\n#\n",
		"shell":    "#!/bin/sh\nset -e\necho CONFIG_VETH=y\nCONFIG_A=1\n",
		"U-Boot":   "#\n# Automatically generated file; DO NOT EDIT.\n# U-Boot 2020.01 Configuration\n#\nCONFIG_ARM=y\n",
		"Buildroot": "#\n# Automatically generated file; DO NOT EDIT.\n# Buildroot 2023.02 Configuration\n#\n" +
			"BR2_HAVE_DOT_CONFIG=y\n",
		"BusyBox":            "#\n# Automatically generated make config: don't edit\n# Busybox version: 1.36.1\n# Mon Jun 10\n#\nCONFIG_ASH=y\n",
		"a line without end": strings.Repeat("CONFIG", 1<<20),
	} {
		if c, err := Parse([]byte(text)); !errors.Is(err, ErrNotConfig) {
			t.Errorf("%s: %v, %+v", name, err, c)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		f.Fatal("no testdata", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // a folder of the fuzzer's
		}
		f.Add(data)
	}
	f.Add([]byte("# CONFIG_ is not set\r\nCONFIG_A=\"\nCONFIG_A=\"\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrNotConfig) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		if c.Options < len(c.values) || c.Options-c.Duplicates != len(c.values) {
			t.Errorf("%d options, %d twice, %d values", c.Options, c.Duplicates, len(c.values))
		}
		for name := range c.values {
			if !isName(name) {
				t.Errorf("%q is no name", name)
			}
		}
		findings := Judge(c, Conditions{}, nil)
		if text := Fragment(c, findings); text != "" {
			if again, err := Parse([]byte(text)); err == nil && again.Garbage+again.Duplicates != 0 {
				t.Errorf("the fragment is no fragment:\n%s", text)
			}
		}
	})
}
