package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, mode os.FileMode, text string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParsePeer(t *testing.T) {
	dir := t.TempDir()
	program, data := filepath.Join(dir, "bin/entry"), filepath.Join(dir, "data")
	write(t, 0o755, "", program)
	write(t, 0o644, "", data)
	for _, c := range []struct {
		text   string
		name   string
		env    string
		argv   string
		folder string
	}{
		{text: "a=" + program, name: "a", argv: "/usr/bin/entrypoint-of-a dockerd"},
		{text: " a=" + program + " /usr/bin/dockerd -D ", name: "a", argv: "/usr/bin/entrypoint-of-a /usr/bin/dockerd -D"},
		{text: "a=" + dir + ":/bin/entry", name: "a", argv: "/bin/entry dockerd", folder: dir},
		{text: program, name: "entry", argv: "/usr/bin/entrypoint-of-entry dockerd"},
		{text: " " + program + " --x=y ", name: "entry", argv: "/usr/bin/entrypoint-of-entry --x=y"},
		{text: dir + ":/bin/entry -D", name: "entry", argv: "/bin/entry -D", folder: dir},
		{text: "a=X=1 Y= " + dir + ":/bin/entry --x=y:z", name: "a", env: "X=1 Y=", argv: "/bin/entry --x=y:z", folder: dir},
	} {
		p, err := parsePeer(c.text)
		if err != nil || p.name != c.name || strings.Join(p.env, " ") != c.env || strings.Join(p.argv, " ") != c.argv || p.folder != c.folder || (p.folder == "") == (p.program == "") {
			t.Errorf("%q: %+v, %v", c.text, p, err)
		}
	}
	for _, text := range []string{
		"", "a", "a=", "=" + program, "a/b=" + program, "a b=" + program, "X=1 " + program + ".gone", dir, data, program + ".gone", "entry", "a=X=1", "a=" + dir, "a=" + data, "a=" + program + ".gone",
		"a=" + dir + ":bin/entry", "a=:/bin/entry", "a=" + dir + ":/bin", "a=" + dir + ":/gone",
	} {
		if p, err := parsePeer(text); err == nil {
			t.Errorf("%q is accepted: %+v", text, p)
		}
	}
	c := config{}
	if err := c.addPeers("a=" + program + ", b=DOCKER_TLS_CERTDIR=/certs " + program + ","); err != nil || len(c.peers) != 2 {
		t.Errorf("%+v, %v", c.peers, err)
	}
	for _, name := range []string{"a", "dockerd", "dockerlaunch"} {
		if err := c.addPeers(name + "=" + program); err == nil {
			t.Errorf("a second %s is accepted", name)
		}
	}
	list := c.entries()
	if a, b := list[len(list)-2], list[len(list)-1]; a.tls != tlsNone || b.tls != tlsCold || a.daemon || !slices.Equal(b.env, tlsEnv) {
		t.Errorf("%+v, %+v", a, b)
	}
}

// The folder wins; links of the root tree are followed within it, and lead nowhere else.
func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	root, folder, to := filepath.Join(dir, "root"), filepath.Join(dir, "folder"), filepath.Join(dir, "to")
	write(t, 0o755, "old", filepath.Join(root, "usr/bin/sh"), filepath.Join(root, "usr/bin/kept"), filepath.Join(root, "etc/file"))
	write(t, 0o755, "new", filepath.Join(folder, "bin/sh"), filepath.Join(folder, "etc/file"), filepath.Join(folder, "opt/x/y"))
	for name, target := range map[string]string{
		filepath.Join(root, "bin"): "usr/bin", filepath.Join(root, "out"): "../outside", filepath.Join(folder, "etc/link"): "/nowhere",
	} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := overlay(to, root, folder); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"usr/bin/sh": "new", "bin/sh": "new", "usr/bin/kept": "old", "etc/file": "new", "opt/x/y": "new"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"bin": "usr/bin", "etc/link": "/nowhere"} {
		if got, err := os.Readlink(filepath.Join(to, name)); err != nil || got != want {
			t.Errorf("%s leads to %q, %v; want %q", name, got, err, want)
		}
	}
	// What was there is as it was.
	if got, err := os.ReadFile(filepath.Join(root, "usr/bin/sh")); err != nil || string(got) != "old" {
		t.Errorf("the root tree has %q, %v", got, err)
	}
	if err := overlay(to, root, filepath.Join(dir, "gone")); err != nil {
		t.Errorf("a tree that is there: %v", err)
	}

	write(t, 0o644, "", filepath.Join(folder, "out/file"))
	if err := os.Mkdir(filepath.Join(dir, "outside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := overlay(to+"2", root, folder); err == nil {
		t.Error("a link led out of the tree")
	}
	if left, err := filepath.Glob(to + "2*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "outside")); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
}

func TestDockerVersion(t *testing.T) {
	for text, want := range map[string]string{
		"Docker version 26.1.5+dfsg1, build 411e817\n": "26.1", "Docker version 20.10.24+dfsg1, build 5d6db84": "20.10", "dockerd: not found": "", "": "",
	} {
		if got := dockerVersion(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReadyBudgets(t *testing.T) {
	for docker, want := range map[int][2]float64{20: {0.85, 1}, 25: {0.85, 1}, 26: {0.35, 0.4}, 29: {0.35, 0.4}, 0: {0.35, 0.4}} {
		got := readyBudgets(docker)
		if got[0].AtMost != want[0] || got[1].AtMost != want[1] || got[0].Against != "dockerd" || got[1].Against != "dockerd" {
			t.Errorf("%d: %+v", docker, got)
		}
	}
}

func TestInet6(t *testing.T) {
	got, err := inet6("00000000000000000000000000000001 01 80 10 80       lo\nfe8000000000000018c143fffe8e7c07 02 40 20 c0     eth0\n")
	if err != nil || len(got) != 2 || got[0].String() != "::1" || got[1].String() != "fe80::18c1:43ff:fe8e:7c07" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := inet6(""); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"\n", "fe80 01\n", "g" + strings.Repeat("0", 31) + " 01"} {
		if got, err := inet6(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
