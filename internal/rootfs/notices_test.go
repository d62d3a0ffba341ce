package rootfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseControl(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Control
	}{
		{"nothing", "", Control{}},
		{
			"a source of its own name", "Package: git\nVersion: 1:2.47.3-0+deb13u1\nArchitecture: amd64\nHomepage: https://git-scm.com/\n",
			Control{Package: "git", Version: "1:2.47.3-0+deb13u1", Architecture: "amd64", Homepage: "https://git-scm.com/", Source: "git", SourceVersion: "1:2.47.3-0+deb13u1"},
		},
		{
			"another source, of another version", "Package: runc\nSource: runc-src (1.1-2)\nVersion: 1.1-2+b4\nMaintainer: A B <a@example.org>\n",
			Control{Package: "runc", Version: "1.1-2+b4", Source: "runc-src", SourceVersion: "1.1-2", Maintainer: "A B <a@example.org>"},
		},
		{
			"what is linked in, over lines", "Package: d\nVersion: 1\nBuilt-Using: b (= 2), a (= 1)\nStatic-Built-Using: golang (= 1.24),\n b (= 2)\n",
			Control{Package: "d", Version: "1", Source: "d", SourceVersion: "1", BuiltUsing: []string{"a (= 1)", "b (= 2)", "golang (= 1.24)"}},
		},
		{"no fields", " continued\nnonsense\n: empty\nPackage: x\n", Control{Package: "x", Source: "x"}},
		{"twice", "Package: x\nPackage: y\n z\n", Control{Package: "x", Source: "x"}},
	} {
		if diff := cmp.Diff(c.want, parseControl(c.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add("Package: x\nSource: y (1)\nBuilt-Using: a (= 1), b (= 2)\n c\n")
	f.Add("a:\n b\n:\n\t")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseControl(text)
		if strings.ContainsAny(c.Package+c.Version+c.Source+c.SourceVersion, "\n") {
			t.Errorf("a value of several lines: %+v", c)
		}
		if !slices.IsSorted(c.BuiltUsing) {
			t.Errorf("not sorted: %q", c.BuiltUsing)
		}
	})
}

// A plan is what a build writes, with the bytes at hand, and with what only machines and what is handed on need.
func TestPlan(t *testing.T) {
	folder := packageFolder(t)
	putDeb(t, folder, "doc-of-git", file("./usr/share/doc/git/copyright", "git's"), file("./usr/share/doc/shared/copyright", "shared"))
	putDeb(t, folder, "doc-of-runc", link("./usr/share/doc/runc", "shared"))
	o := Options{Packages: folder, Launcher: launcherFile(t, "launcher")}
	paths := func(o Options) map[string]*Node {
		t.Helper()
		m, err := Plan(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		nodes := map[string]*Node{}
		for _, n := range m.Nodes {
			nodes[n.Path] = n
			if n.Kind != KindFile {
				continue
			}
			r, err := n.Open()
			if err != nil {
				t.Errorf("%s: %v", n.Path, err)
				continue
			}
			raw, err := io.ReadAll(r)
			if closeErr := r.Close(); err != nil || closeErr != nil || int64(len(raw)) != n.Size {
				t.Errorf("%s has %d bytes of %d, %v, %v", n.Path, len(raw), n.Size, err, closeErr)
			}
		}
		return nodes
	}
	plain := paths(o)
	for _, name := range []string{"usr/sbin/mke2fs", "usr/bin/git", "usr/share/doc/runc/copyright"} {
		if plain[name] != nil {
			t.Errorf("%s is there unasked", name)
		}
	}
	o.Git, o.Machine, o.Notices = true, true, true
	all := paths(o)
	for _, name := range []string{"usr/sbin/mke2fs", "usr/sbin/mkfs.ext4", "usr/sbin/resize2fs", "usr/bin/git", "usr/share/common-licenses/some"} {
		if all[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, want := range map[string]int64{"git": 5, "runc": 6} {
		n := all["usr/share/doc/"+name+"/copyright"]
		if n == nil || n.Kind != KindFile || n.Size != want || n.Package != name {
			t.Errorf("the copyright file of %s is %+v", name, n)
		}
	}
	for name := range plain {
		if all[name] == nil {
			t.Errorf("%s is in the smaller tree alone", name)
		}
	}
}

func TestOpenNothing(t *testing.T) {
	for _, n := range []*Node{{Path: "x", Kind: KindFolder}, {Path: "x", Kind: KindFile, Size: 3}} {
		if _, err := n.Open(); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	gone := &Node{Path: "x", Kind: KindFile, source: t.TempDir() + "/gone"}
	if _, err := gone.Open(); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
