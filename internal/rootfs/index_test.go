package rootfs

import (
	"errors"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// indexOf makes an index of links, by path and target, and of files, whose target is empty.
func indexOf(entries map[string]string) *index {
	x := &index{items: map[string]item{}}
	for name, target := range entries {
		e := Entry{Path: name, Kind: KindFile}
		if target != "" {
			e.Kind, e.Target = KindLink, target
		}
		x.items[name] = item{Entry: e, pkg: "p"}
	}
	x.sort()
	return x
}

func TestResolve(t *testing.T) {
	x := indexOf(map[string]string{
		"usr/lib/x/libc.so.6":    "",
		"usr/lib/x/libc.so":      "libc.so.6",
		"usr/lib64/ld.so":        "/lib/x/ld.so",
		"usr/lib/x/ld.so":        "./libc.so",
		"usr/lib/y":              "x",
		"usr/bin/loop":           "pool",
		"usr/bin/pool":           "loop",
		"usr/bin/dangling":       "nothing",
		"usr/bin/out":            "../../../etc/passwd",
		"usr/bin/nested/a/b":     "../../../lib/y/libc.so",
		"usr/bin/absolute-climb": "/../../etc/passwd",
	})
	for name, c := range map[string]struct {
		real string
		via  []Link
		ok   bool
	}{
		"usr/lib/x/libc.so.6": {"usr/lib/x/libc.so.6", nil, true},
		"lib/x/libc.so":       {"usr/lib/x/libc.so.6", []Link{{"usr/lib/x/libc.so", "libc.so.6"}}, true},
		"lib64/ld.so": {"usr/lib/x/libc.so.6", []Link{
			{"usr/lib64/ld.so", "../lib/x/ld.so"}, {"usr/lib/x/ld.so", "./libc.so"}, {"usr/lib/x/libc.so", "libc.so.6"}}, true},
		"usr/bin/nested/a/b": {"usr/lib/x/libc.so.6", []Link{
			{"usr/bin/nested/a/b", "../../../lib/y/libc.so"}, {"usr/lib/y", "x"}, {"usr/lib/x/libc.so", "libc.so.6"}}, true},
		"usr/bin/dangling": {"usr/bin/nothing", []Link{{"usr/bin/dangling", "nothing"}}, false},
		"usr/bin/none":     {"usr/bin/none", nil, false},
	} {
		real, via, ok, err := x.resolve(name)
		if err != nil || real != c.real || ok != c.ok {
			t.Errorf("resolve(%q) = %q, %v, %v; want %q, %v", name, real, ok, err, c.real, c.ok)
		}
		if diff := cmp.Diff(c.via, via); diff != "" {
			t.Errorf("%s: links (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"usr/bin/loop", "usr/bin/out", "usr/bin/absolute-climb"} {
		if real, _, _, err := x.resolve(name); !errors.Is(err, ErrUnsafe) {
			t.Errorf("resolve(%q) = %q, %v; want ErrUnsafe", name, real, err)
		}
	}
}

func TestGlob(t *testing.T) {
	x := indexOf(map[string]string{"usr/lib/a/x/libxt_b.so": "", "usr/lib/a/x/libxt_a.so": "libxt_b.so", "usr/lib/a/x/libebt_a.so": "", "usr/lib/libxt_c.so": ""})
	x.items["usr/lib/a/x/libxt_.so"] = item{Entry: Entry{Kind: KindFolder}}
	x.sort()
	got, err := x.glob("usr/lib/*/x/libxt_*.so")
	if diff := cmp.Diff([]string{"usr/lib/a/x/libxt_a.so", "usr/lib/a/x/libxt_b.so"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := x.glob("[a"); err == nil {
		t.Error("a pattern that is none gave no error")
	}
}

func TestRelative(t *testing.T) {
	for _, c := range [][3]string{
		{"usr/lib64", "usr/lib/x/ld.so", "../lib/x/ld.so"},
		{"usr/bin", "usr/bin/a", "a"},
		{"usr/bin", "etc/a", "../../etc/a"},
		{"usr/bin/c", "usr/bin", "../../bin"},
	} {
		got := relative(c[0], c[1])
		if got != c[2] || path.Join(c[0], got) != c[1] {
			t.Errorf("relative(%q, %q) = %q, which leads to %q; want %q", c[0], c[1], got, path.Join(c[0], got), c[2])
		}
	}
}
