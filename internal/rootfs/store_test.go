package rootfs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func noProgress(int, int) {}

// unpackAll unpacks the packages in folder and gives the index of them.
func unpackAll(t *testing.T, folder string) *index {
	t.Helper()
	needDpkgDeb(t)
	debs, err := findDebs(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := unpack(context.Background(), filepath.Join(folder, "unpacked"), debs, noProgress); err != nil {
		t.Fatal(err)
	}
	return newIndex(debs)
}

func TestUnpack(t *testing.T) {
	folder := t.TempDir()
	putDeb(t, folder, "one", file("./bin/one", "1"), file("./usr/share/doc/one/copyright", "c"), file("./usr/share/doc/one/README", "r"), file("./usr/bin/both", "first"))
	putDeb(t, folder, "two", file("./usr/bin/both", "second"))
	x := unpackAll(t, folder)
	if diff := cmp.Diff([]string{"usr/bin/both", "usr/bin/one", "usr/share/doc/one/copyright"}, x.paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	both := x.items["usr/bin/both"]
	if content, err := os.ReadFile(both.data); err != nil || string(content) != "first" || both.pkg != "one" {
		t.Errorf("usr/bin/both is %q of %s (%v); want that of the first package", content, both.pkg, err)
	}

	// A second time nothing is unpacked, and what is no longer wanted goes.
	data := x.items["usr/bin/one"].data
	if err := os.WriteFile(data, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	two := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(x.items["usr/bin/both"].data))))
	if err := os.MkdirAll(filepath.Join(folder, "unpacked", "1-gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	unpackAll(t, folder)
	if content, err := os.ReadFile(data); err != nil || string(content) != "kept" {
		t.Errorf("the package was unpacked again: %q, %v", content, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "unpacked", "1-gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what no package has was left there: %v", err)
	}
	if _, err := os.Stat(two); err != nil {
		t.Errorf("a package that is wanted was removed: %v", err)
	}
	// What an interrupted run left is made anew.
	if err := os.Rename(two, two+".part"); err != nil {
		t.Fatal(err)
	}
	unpackAll(t, folder)
}

func TestUnpackRefuses(t *testing.T) {
	needDpkgDeb(t)
	good := debBytes(t, file("./usr/bin/x", strings.Repeat("x", 5000)))
	for name, c := range map[string]struct {
		raw []byte
		say string
	}{
		"no package":        {[]byte("hello"), "is no Debian package, or a damaged one"},
		"an empty file":     {nil, "is no Debian package, or a damaged one"},
		"half a package":    {good[:len(good)-40], "is no Debian package, or a damaged one"},
		"a damaged package": {append(append([]byte{}, good[:len(good)-40]...), make([]byte, 40)...), "damaged"},
		"a path that leaves": {debBytes(t, file("./usr/bin/x", "x"), file("./usr/bin/../../../evil", "x")),
			"leads out of its folder"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "bad_1_amd64.deb"), c.raw, 0o644); err != nil {
				t.Fatal(err)
			}
			debs, err := findDebs(folder)
			if err != nil {
				t.Fatal(err)
			}
			store := filepath.Join(folder, "unpacked")
			err = unpack(context.Background(), store, debs, noProgress)
			wantError(t, err, "bad_1_amd64.deb", c.say)
			if _, err := os.Stat(debs[0].folder); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it counts as unpacked: %v", err)
			}
			if _, err := os.Stat(filepath.Join(folder, "evil")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was written outside: %v", err)
			}
		})
	}
}

// What dpkg-deb itself packs, with its own choice of compression, must be read.
func TestReadDebOfDpkg(t *testing.T) {
	needDpkgDeb(t)
	for _, compression := range []string{"xz", "zstd", "gzip", "none"} {
		t.Run(compression, func(t *testing.T) {
			tree := t.TempDir()
			for name, content := range map[string]string{
				"DEBIAN/control": "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n",
				"usr/bin/x":      "program",
			} {
				if err := os.MkdirAll(filepath.Join(tree, filepath.Dir(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(tree, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			folder := t.TempDir()
			out, err := exec.Command("dpkg-deb", "-Z"+compression, "-b", tree, filepath.Join(folder, "x_1%3a1_all.deb")).CombinedOutput()
			if err != nil && strings.Contains(string(out), "unknown compression") {
				testenv.Missing(t, "this dpkg-deb cannot pack "+compression)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			debs, err := findDebs(folder)
			if err != nil {
				t.Fatal(err)
			}
			if debs[0].Name != "x" || debs[0].Version != "1:1" {
				t.Errorf("it is called %s, version %s", debs[0].Name, debs[0].Version)
			}
			x := unpackAll(t, folder)
			if content, err := os.ReadFile(x.items["usr/bin/x"].data); err != nil || string(content) != "program" {
				t.Errorf("usr/bin/x is %q, %v", content, err)
			}
		})
	}
}

func TestFindDebs(t *testing.T) {
	folder := t.TempDir()
	_, err := findDebs(folder)
	wantError(t, err, folder, "scripts/fetch-packages")

	putDeb(t, folder, "listed")
	putDeb(t, folder, "other")
	raw, err := os.ReadFile(filepath.Join(folder, "listed_1.0-1_amd64.deb"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	list := func(hash, name string) {
		t.Helper()
		line := fmt.Sprintf("# suite\nlisted\t1.0-1\tamd64\t%s\t%s\n", hash, name)
		if err := os.WriteFile(filepath.Join(folder, ListName), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list(hex.EncodeToString(sum[:]), "listed_1.0-1_amd64.deb")
	debs, err := findDebs(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(debs) != 1 || debs[0].Name != "listed" || debs[0].Version != "1.0-1" {
		t.Errorf("found %d packages, the first %+v; want the one in the list", len(debs), debs[0])
	}
	list(strings.Repeat("0", 64), "listed_1.0-1_amd64.deb")
	_, err = findDebs(folder)
	wantError(t, err, "listed_1.0-1_amd64.deb", "has changed")
	list(strings.Repeat("0", 64), "gone_1_amd64.deb")
	_, err = findDebs(folder)
	wantError(t, err, "gone_1_amd64.deb", "fetch it again")
}

func TestParseList(t *testing.T) {
	hash := strings.Repeat("a", 64)
	for name, text := range map[string]string{
		"too few fields":    "x\t1\tall\t" + hash,
		"a short hash":      "x\t1\tall\tabc\tx.deb",
		"a path":            "x\t1\tall\t" + hash + "\t../x.deb",
		"no package's file": "x\t1\tall\t" + hash + "\tx.txt",
	} {
		if _, err := parseList(strings.NewReader("# first\n"+text+"\n"), "list"); err == nil || !strings.Contains(err.Error(), "list, line 2") {
			t.Errorf("%s: got %v; want an error that names line 2", name, err)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("# comment\n\nx\t1\tall\t" + strings.Repeat("a", 64) + "\tx_1_all.deb\n")
	f.Add("x\t1\tall\t\t/x.deb")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := parseList(strings.NewReader(text), "list")
		if err != nil {
			return
		}
		for _, l := range lines {
			if !filepath.IsLocal(l.file) || filepath.Base(l.file) != l.file || len(l.hash) != 64 {
				t.Errorf("took %q with hash %q", l.file, l.hash)
			}
		}
	})
}
