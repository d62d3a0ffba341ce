package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program makes a file in the place of a dockerd.
func program(t *testing.T, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dockerd")
	if err := os.WriteFile(path, make([]byte, size), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVersionCache(t *testing.T) {
	path := program(t, 100)
	files := VersionFiles{Cache: filepath.Join(t.TempDir(), "run", "version.json"), Hint: filepath.Join(t.TempDir(), "hint")}
	if v := files.Known(path); v.Known() {
		t.Fatalf("without any file it is %s", v)
	}
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Version{Major: 26, Minor: 1, Patch: 5}
	for range 2 {
		if err := files.Remember(id, want); err != nil {
			t.Fatal(err)
		}
		if v := files.Known(path); v != want {
			t.Errorf("it is remembered as %s", v)
		}
	}

	// Another program at the same path is not the one that was asked: by its size, by its time, by its inode.
	for name, change := range map[string]func() error{
		"size": func() error { return os.WriteFile(path, make([]byte, 101), 0o755) },
		"time": func() error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"inode": func() error {
			if err := os.WriteFile(path+".new", make([]byte, 100), 0o755); err != nil {
				return err
			}
			if err := os.Chtimes(path+".new", time.Time{}, time.Unix(0, id.Changed)); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
	} {
		if err := os.WriteFile(path, make([]byte, 100), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(0, id.Changed)); err != nil {
			t.Fatal(err)
		}
		if v := files.Known(path); v != want && name != "inode" { // the last one changes it for good
			t.Fatalf("the same program is %s", v)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if v := files.Known(path); v.Known() {
			t.Errorf("a program of another %s is %s", name, v)
		}
		if name == "inode" {
			if id, err = Identify(path); err != nil {
				t.Fatal(err)
			}
			if err := files.Remember(id, want); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v := files.Known(path + ".gone"); v.Known() {
		t.Errorf("a program that is not there is %s", v)
	}
}

func TestVersionHint(t *testing.T) {
	path := program(t, 100)
	files := VersionFiles{Cache: filepath.Join(t.TempDir(), "cache"), Hint: filepath.Join(t.TempDir(), "hint")}
	for text, want := range map[string]string{
		Hint(100, Version{Major: 29, Minor: 7, Patch: 2}): "29.7.2",
		Hint(100, Version{Major: 20, Minor: 10}):          "20.10.0",
		Hint(101, Version{Major: 29, Minor: 7, Patch: 2}): "unknown",
		"":                                "unknown",
		"100":                             "unknown",
		"100 x":                           "unknown",
		"x 26.1.5":                        "unknown",
		"100 26.1.5+dfsg1":                "26.1.5",
		strings.Repeat("1", 1<<16) + " 1": "unknown",
	} {
		if err := os.WriteFile(files.Hint, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := files.Known(path); got.String() != want {
			t.Errorf("%.40q: %s, want %s", text, got, want)
		}
	}
	// A broken cache does not hide the hint, and a good one beats it.
	if err := os.WriteFile(files.Hint, []byte("100 26.1.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"", "{", "null", `{"version": "x"}`, `{"path": 1}`, `[]`} {
		if err := os.WriteFile(files.Cache, []byte(broken), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := files.Known(path); got.String() != "26.1.5" {
			t.Errorf("with the cache %q: %s", broken, got)
		}
	}
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := files.Remember(id, Version{Major: 27}); err != nil {
		t.Fatal(err)
	}
	if got := files.Known(path); got.String() != "27.0.0" {
		t.Errorf("the cache does not beat the hint: %s", got)
	}
}

func TestRememberFails(t *testing.T) {
	file := program(t, 1)
	files := VersionFiles{Cache: filepath.Join(file, "cache")}
	if err := files.Remember(ProgramID{Path: "/usr/bin/dockerd"}, Version{Major: 1}); err == nil || !strings.Contains(err.Error(), "/usr/bin/dockerd") {
		t.Errorf("%v", err)
	}
}

func TestNeedsVersion(t *testing.T) {
	small := DefaultFacts{Network: NetworkDefaults{MTU: 1400, NoIPv6: true}}
	for _, test := range []struct {
		args, json, version string
		facts               DefaultFacts
		want                bool
	}{
		{"", "", "", DefaultFacts{}, false},
		{"", "", "", DefaultFacts{Network: NetworkDefaults{NoIPv6: true}}, false},
		{"", "", "", small, true},
		{"", "", "26.1.5", small, false},
		{"--default-network-opt=bridge=x=y", "", "", small, false},
		{"--default-network-opt=ipvlan=x=y", "", "", small, true},
		{"", `{"default-network-opts": {"bridge": {"x": "y"}}}`, "", small, false},
		{"--oom-score-adjust=-5", "", "", DefaultFacts{}, true},
		{"--oom-score-adjust=-5", "", "20.10.24", DefaultFacts{}, false},
		{"--debug", "", "", DefaultFacts{}, false},
	} {
		e := effective(t, test.args, test.json, test.version)
		if got := NeedsVersion(e, test.facts); got != test.want {
			t.Errorf("%s %s %s: %v", test.args, test.json, test.version, got)
		}
	}
	if NeedsVersion(Effective{Command: Command{Path: "other", Args: []string{"--oom-score-adjust=1"}}}, small) {
		t.Error("a daemon that is no dockerd")
	}
}

// What only newer daemons know is given where the version is known to be one of them.
func TestVersionedDefaults(t *testing.T) {
	facts := DefaultFacts{Network: NetworkDefaults{MTU: 1400, NoIPv6: true}}
	for version, want := range map[string]string{
		"":        "--mtu=1400 --ip6tables=false",
		"20.10.0": "--mtu=1400",
		"23.0.6":  "--mtu=1400",
		"24.0.0":  "--mtu=1400 --default-network-opt=bridge=com.docker.network.driver.mtu=1400",
		"29.7.2":  "--mtu=1400 --default-network-opt=bridge=com.docker.network.driver.mtu=1400 --ip6tables=false",
	} {
		var got []string
		for _, a := range Add(effective(t, "", "", version), facts) {
			got = append(got, a.Flag)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
	for _, said := range []string{"--ip6tables", "--firewall-backend=nftables"} {
		for _, a := range Add(effective(t, said, "", "29.7.2"), facts) {
			if a.Flag == "--ip6tables=false" {
				t.Errorf("%s is given beside %s", a.Flag, said)
			}
		}
	}
}

func FuzzParseHint(f *testing.F) {
	for _, s := range []string{"100 26.1.5\n", "", "1 dev", "9223372036854775808 1.2", "-1 26.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, version, err := ParseHint(text)
		if err != nil {
			return
		}
		again, same, err := ParseHint(Hint(size, version))
		if err != nil || again != size || fmt.Sprint(same) != fmt.Sprint(version) {
			t.Fatalf("%q: %d %s, and then %d %s, %v", text, size, version, again, same, err)
		}
	})
}
