package ociimage

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

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

func TestSplit(t *testing.T) {
	got := map[LayerName]string{}
	times := map[LayerName]int64{}
	var order []LayerName
	for _, l := range Split(testPlan(t, "", true), 5000, 4000) {
		var paths []string
		for _, n := range l.Nodes {
			paths = append(paths, n.Path)
		}
		got[l.Name], times[l.Name] = strings.Join(paths, " "), l.Time
		order = append(order, l.Name)
	}
	want := map[LayerName]string{
		LayerDocker:   "usr usr/bin usr/bin/dockerd usr/share usr/share/doc usr/share/doc/docker.io usr/share/doc/docker.io/copyright",
		LayerBase:     "bin etc tmp usr usr/bin usr/bin/xz usr/lib usr/lib/libc.so.6 usr/share usr/share/doc usr/share/doc/libc6 usr/share/doc/libc6/copyright",
		LayerGit:      "usr usr/bin usr/bin/git usr/lib usr/lib/libcurl.so usr/share usr/share/doc usr/share/doc/git usr/share/doc/git/copyright usr/share/git-core usr/share/git-core/templates",
		LayerLauncher: "usr usr/bin usr/bin/dockerlaunch usr/sbin usr/sbin/modprobe",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
	// The launcher's time is the commit's, and no time is later than asked for.
	if diff := cmp.Diff(map[LayerName]int64{LayerDocker: 2000, LayerBase: 1500, LayerGit: 3000, LayerLauncher: 4000}, times); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	if !slices.Equal(order, layerOrder) {
		t.Errorf("order %q", order)
	}
}

// What people are promised: an update of the launcher ships one layer, and both variants share all but git's.
func TestLayersShared(t *testing.T) {
	digests := func(i *Image) map[LayerName]string {
		m := map[LayerName]string{}
		for _, l := range i.Layers() {
			m[l.Name] = l.Digest
		}
		return m
	}
	first := digests(testImage(t, t.TempDir(), nil))
	next := digests(testImage(t, t.TempDir(), func(o *Options) { o.Plan, o.Created, o.Version = testPlan(t, "two", true), 6000, "2" }))
	minimal := digests(testImage(t, t.TempDir(), func(o *Options) { o.Plan, o.Variant = testPlan(t, "one", false), VariantMinimal }))
	for _, name := range []LayerName{LayerDocker, LayerBase, LayerGit} {
		if first[name] != next[name] {
			t.Errorf("another launcher changes the layer %s", name)
		}
	}
	if first[LayerLauncher] == next[LayerLauncher] {
		t.Error("another launcher changes nothing")
	}
	delete(first, LayerGit)
	if diff := cmp.Diff(first, minimal); diff != "" {
		t.Errorf("the variants differ in more than git (-full +minimal):\n%s", diff)
	}
}

func TestSameBytes(t *testing.T) {
	var archives [][]byte
	for range 2 {
		dir := t.TempDir()
		i := testImage(t, filepath.Join(dir, "cache"), nil)
		file := filepath.Join(dir, "image.tar")
		if err := i.WriteArchive(file, "x:latest"); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, raw)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same image differ")
	}
}

func TestArchiveAndLayout(t *testing.T) {
	dir := t.TempDir()
	i := testImage(t, filepath.Join(dir, "cache"), nil)
	if err := validate.Image(i.Image()); err != nil {
		t.Errorf("the image: %v", err)
	}
	archive := filepath.Join(dir, "deep", "image.tar")
	if err := i.WriteArchive(archive, "x:latest"); err != nil {
		t.Fatal(err)
	}
	read, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(read); err != nil {
		t.Errorf("the archive: %v", err)
	}
	id, err := read.ConfigName()
	if err != nil || id.String() != i.ID() {
		t.Errorf("the archive's image is %s, %v; want %s", id, err, i.ID())
	}
	for range 2 { // the second time in place of the first
		if err := i.WriteLayout(filepath.Join(dir, "oci"), "latest"); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(filepath.Join(dir, "oci"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("the layout: %v", err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Annotations[refNameAnnotation] != "latest" {
		t.Errorf("the layout's index is %+v, %v", m, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
	if err := i.WriteArchive(archive, "not a name"); err == nil {
		t.Error("a reference of three words is taken")
	}
	if err := i.WriteLayout(dir, "latest"); err == nil || !strings.Contains(err.Error(), "no image layout") {
		t.Errorf("a folder of something else: %v", err)
	}
}

func TestConfig(t *testing.T) {
	raw, err := testImage(t, t.TempDir(), nil).Image().RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Architecture, OS, Created string
		Config                    struct {
			Entrypoint, Cmd, Env  []string
			ExposedPorts, Volumes map[string]struct{}
			Labels                map[string]string
			StopSignal            string
			Healthcheck           struct {
				Test                                          []string
				Interval, Timeout, StartPeriod, StartInterval int64
				Retries                                       int
			}
		}
		History []v1.History
		RootFS  v1.RootFS
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	c := got.Config
	for what, ok := range map[string]bool{
		"architecture": got.Architecture == "amd64" && got.OS == "linux", "time": got.Created == "1970-01-01T01:23:20Z",
		"entrypoint":   slices.Equal(c.Entrypoint, []string{"/usr/bin/dockerlaunch"}) && len(c.Cmd) == 0,
		"environment":  slices.Contains(c.Env, "DOCKER_TLS_CERTDIR=/certs") && strings.HasPrefix(c.Env[0], "PATH=/usr/local/sbin:"),
		"ports":        cmp.Equal(c.ExposedPorts, map[string]struct{}{"2375/tcp": {}, "2376/tcp": {}}),
		"volume":       cmp.Equal(c.Volumes, map[string]struct{}{"/var/lib/docker": {}}),
		"stop signal":  c.StopSignal == "SIGTERM",
		"health check": slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/dockerlaunch", "ready"}) && c.Healthcheck.StartInterval == 1e9 && c.Healthcheck.Interval == 10e9,
		"labels":       c.Labels["org.opencontainers.image.version"] == "1.2+abc" && c.Labels["org.opencontainers.image.revision"] == "abc",
		"history":      len(got.History) == 4 && len(got.RootFS.DiffIDs) == 4,
	} {
		if !ok {
			t.Errorf("%s is wrong in %s", what, raw)
		}
	}
}

// A packed layer is used again, unless it is not what it was.
func TestCache(t *testing.T) {
	cache := t.TempDir()
	first := testImage(t, cache, nil)
	docker := first.layers[0].file
	before, err := os.Stat(docker)
	if err != nil {
		t.Fatal(err)
	}
	testImage(t, cache, nil)
	after, err := os.Stat(docker)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("a packed layer was packed again (%v)", err)
	}
	for name, damage := range map[string]func() error{
		"flipped":    func() error { return os.WriteFile(docker, bytes.Repeat([]byte{1}, int(before.Size())), 0o644) },
		"cut":        func() error { return os.Truncate(docker, 3) },
		"gone":       func() error { return os.Remove(docker) },
		"not listed": func() error { return os.Remove(docker + ".json") },
		"no JSON":    func() error { return os.WriteFile(docker+".json", []byte("{"), 0o644) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(testImage(t, cache, nil).Image()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := testImage(t, cache, func(o *Options) { o.Plan = testPlan(t, "two", true) })
	if err := Prune(cache, other); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) != 2*len(other.layers) {
		t.Errorf("after pruning %d files are left, %v", len(left), err)
	}
}

func TestTar(t *testing.T) {
	i := testImage(t, t.TempDir(), nil)
	layers, err := i.Image().Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	modes := map[string]int64{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = h.Mode
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1500 || h.Uname+h.Gname != "" {
			t.Errorf("%s is %d's, of %v", h.Name, h.Uid, h.ModTime)
		}
	}
	for name, want := range map[string]int64{"tmp/": 0o1777, "bin": 0o777, "usr/bin/xz": 0o755, "etc/": 0o755} {
		if modes[name] != want {
			t.Errorf("%s has mode %o, want %o", name, modes[name], want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	ctx := context.Background()
	plan := testPlan(t, "", false)
	sums, err := Sum(ctx, plan.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	without := *plan
	without.Nodes = slices.DeleteFunc(slices.Clone(plan.Nodes), func(n *rootfs.Node) bool { return n.Path == rootfs.LauncherPath })
	if _, err := Build(ctx, Options{Plan: &without, Sums: sums, Cache: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "no launcher") {
		t.Errorf("without a launcher: %v", err)
	}
	changed := map[string]Sums{}
	for name, s := range sums {
		changed[name] = s
	}
	changed["usr/bin/xz"] = Sums{SHA256: strings.Repeat("0", 64)}
	cache := t.TempDir()
	if _, err := Build(ctx, Options{Plan: plan, Sums: changed, Cache: cache}); err == nil || !strings.Contains(err.Error(), "has changed meanwhile") {
		t.Errorf("a file that changes: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "part-*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
	delete(changed, "usr/bin/xz")
	if _, err := Build(ctx, Options{Plan: plan, Sums: changed, Cache: cache}); err == nil || !strings.Contains(err.Error(), "was not hashed") {
		t.Errorf("a file without a hash: %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Build(stopped, Options{Plan: plan, Sums: sums, Cache: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWeigh(t *testing.T) {
	w := Weigh(testPlan(t, "12345", true))
	if total(w.Launcher) != 69 || len(w.Docker) != 1 || w.Docker[0].What != "dockerd" {
		t.Errorf("%+v", w)
	}
	var all int64
	for _, n := range testPlan(t, "12345", true).Nodes {
		all += n.Size
	}
	if got := total(w.Launcher) + total(w.Docker) + w.RestSize(); got != all {
		t.Errorf("the parts make %d bytes of %d", got, all)
	}
	var b strings.Builder
	if err := w.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| **the launcher** | 0.00 MiB |", "| git | 0.00 MiB | clones |", "| 2 small libraries |", "libc6"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
