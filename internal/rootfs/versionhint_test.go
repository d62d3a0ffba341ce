package rootfs

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
)

func TestVersionHint(t *testing.T) {
	for _, test := range []struct{ pkg, version, want string }{
		{"docker.io", "26.1.5+dfsg1-9+deb13u1", "1234 26.1.5\n"},
		{"docker.io", "5:29.7.2-1~debian.13~trixie", "1234 29.7.2\n"},
		{"docker.io", "28.0.0~rc1+dfsg1-1", "1234 28.0.0-rc1\n"},
		{"docker.io", "20.10.24+dfsg1-1+deb12u1", "1234 20.10.24\n"},
		{"docker-29.7.2.tgz", "", "1234 29.7.2\n"},
		{"docker-29.0.0-rc.1.tgz", "", "1234 29.0.0-rc.1\n"},
		{"my-docker.tgz", "", ""},
		{"docker.io", "nonsense", ""},
	} {
		x := &index{items: map[string]item{}, versions: map[string]string{test.pkg: test.version}}
		p := &planner{x: x, nodes: map[string]*Node{
			daemonPath: {Path: daemonPath, Kind: KindFile, Size: 1234, Package: test.pkg, For: []string{"dockerd"}},
		}}
		if err := p.versionHint(); err != nil {
			t.Errorf("%s %s: %v", test.pkg, test.version, err)
		}
		got := ""
		if n := p.nodes["usr/share/dockerlaunch/dockerd-version"]; n != nil {
			f, err := n.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			got = string(data)
			if n.Size != int64(len(data)) || n.Mode != 0o644 || n.Package != test.pkg || p.nodes["usr/share/dockerlaunch"] == nil {
				t.Errorf("%+v", n)
			}
		}
		if got != test.want {
			t.Errorf("%s %s: %q, want %q", test.pkg, test.version, got, test.want)
		}
	}
	p := &planner{x: &index{}, nodes: map[string]*Node{}}
	if err := p.versionHint(); err != nil || len(p.nodes) != 0 {
		t.Errorf("a tree without dockerd: %v, %v", p.nodes, err)
	}
}

// What the built tree says of its dockerd is what that says of itself.
func TestVersionHintIsTrue(t *testing.T) {
	tree := builtTree(t)
	if _, err := os.Stat(filepath.Join(tree, daemon.VersionHint)); err != nil {
		testenv.Missing(t, "the root tree is older than its hint of dockerd's version (make rootfs)")
	}
	if !testenv.InNamespaces(t, allNamespaces) {
		return
	}
	e := enter(t)
	text, err := os.ReadFile(filepath.Join(e.root, daemon.VersionHint))
	if err != nil {
		t.Fatal(err)
	}
	size, hinted, err := daemon.ParseHint(string(text))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(e.root + e.path("dockerd"))
	if err != nil {
		t.Fatal(err)
	}
	said := e.run(t, "dockerd", "--version")
	version, err := daemon.ParseVersion(said)
	if err != nil {
		t.Fatal(err)
	}
	if size != info.Size() || hinted != version {
		t.Errorf("the hint is %q, and %d bytes say %q", text, info.Size(), said)
	}
}
