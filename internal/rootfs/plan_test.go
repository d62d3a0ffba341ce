package rootfs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlannerAddTwice(t *testing.T) {
	p := &planner{nodes: map[string]*Node{}}
	lib := func(name string, library bool) *Node {
		return &Node{Path: "usr/lib/lib.so", Kind: KindFile, For: []string{name}, Library: library, source: "data"}
	}
	for _, n := range []*Node{lib("git", true), lib("ssh", true), lib("git", true)} {
		if err := p.add(n); err != nil {
			t.Fatal(err)
		}
	}
	n := p.nodes["usr/lib/lib.so"]
	if diff := cmp.Diff([]string{"git", "ssh"}, n.For); diff != "" || !n.Library {
		t.Errorf("it is %+v (-want +got):\n%s", n, diff)
	}
	if err := p.add(lib("plug-in", false)); err != nil || n.Library {
		t.Errorf("what is asked for by name still counts as a library, %v", err)
	}
	other := lib("xz", false)
	other.source = "other data"
	wantError(t, p.add(other), "usr/lib/lib.so", "git", "xz")
}
