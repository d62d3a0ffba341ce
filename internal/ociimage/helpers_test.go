package ociimage

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

// elfHeader is as much of a program as names its machine: EM_X86_64, 64 bits, little endian.
func elfHeader(tail string) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	h[16], h[18], h[20], h[52] = 2, 62, 1, 64
	return append(h, tail...)
}

// testPlan is a tree of a few files; launcher is put behind the launcher's header.
func testPlan(t *testing.T, launcher string, git bool) *rootfs.Manifest {
	t.Helper()
	program := filepath.Join(t.TempDir(), "launcher")
	if err := os.WriteFile(program, elfHeader(launcher), 0o755); err != nil {
		t.Fatal(err)
	}
	m := &rootfs.Manifest{
		Requirements: []rootfs.Row{
			{Name: "dockerlaunch", Group: rootfs.GroupLauncher, Why: "launches"}, {Name: "dockerd", Group: rootfs.GroupDocker, Why: "the daemon"},
			{Name: "xz", Group: rootfs.GroupTools, Why: "unpacks"}, {Name: "copyright files", Group: rootfs.GroupNotices, Why: "have to"},
		},
		Archives: []*rootfs.Archive{{Name: "docker.io", Built: 2000}, {Name: "libc6", Built: 1000}, {Name: "xz-utils", Built: 1500}},
	}
	folder := func(path string, serves ...string) {
		m.Nodes = append(m.Nodes, &rootfs.Node{Path: path, Kind: rootfs.KindFolder, Mode: 0o755, For: serves})
	}
	link := func(path, target string, serves ...string) {
		m.Nodes = append(m.Nodes, &rootfs.Node{Path: path, Kind: rootfs.KindLink, Mode: 0o777, Target: target, For: serves})
	}
	file := func(path, pkg string, library bool, serves ...string) {
		n := rootfs.ContentNode(path, 0o755, []byte("content of "+path))
		n.Package, n.Library, n.For = pkg, library, serves
		m.Nodes = append(m.Nodes, n)
	}
	for _, name := range []string{"etc", "usr", "usr/bin", "usr/lib", "usr/sbin", "usr/share", "usr/share/doc", "usr/share/doc/docker.io", "usr/share/doc/libc6"} {
		folder(name)
	}
	m.Nodes = append(m.Nodes, &rootfs.Node{Path: "tmp", Kind: rootfs.KindFolder, Mode: 0o1777})
	link("bin", "usr/bin")
	link("usr/sbin/modprobe", "../bin/dockerlaunch", "dockerlaunch")
	n, err := rootfs.FileNode(rootfs.LauncherPath, program, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	n.For = []string{"dockerlaunch"}
	m.Nodes = append(m.Nodes, n)
	file("usr/bin/dockerd", "docker.io", false, "dockerd")
	file("usr/bin/xz", "xz-utils", false, "xz")
	file("usr/lib/libc.so.6", "libc6", true, "dockerd", "xz")
	file("usr/share/doc/docker.io/copyright", "docker.io", false, "copyright files")
	file("usr/share/doc/libc6/copyright", "libc6", false, "copyright files")
	if git {
		m.Requirements = append(m.Requirements, rootfs.Row{Name: "git", Group: rootfs.GroupGit, Why: "clones"})
		m.Archives = append(m.Archives, &rootfs.Archive{Name: "git", Built: 3000})
		folder("usr/share/git-core")
		folder("usr/share/git-core/templates", "git")
		folder("usr/share/doc/git")
		file("usr/bin/git", "git", false, "git")
		file("usr/lib/libcurl.so", "git", true, "git")
		file("usr/share/doc/git/copyright", "git", false, "copyright files")
	}
	slices.SortFunc(m.Nodes, func(a, b *rootfs.Node) int { return strings.Compare(a.Path, b.Path) })
	return m
}

func testImage(t *testing.T, cache string, change func(*Options)) *Image {
	t.Helper()
	o := Options{Plan: testPlan(t, "one", true), Cache: cache, Variant: VariantFull, Created: 5000, Version: "1.2+abc", Revision: "abc"}
	if change != nil {
		change(&o)
	}
	var err error
	if o.Sums, err = Sum(context.Background(), o.Plan.Nodes); err != nil {
		t.Fatal(err)
	}
	i, err := Build(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
