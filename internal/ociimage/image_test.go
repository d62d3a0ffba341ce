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
		"environment":  slices.Contains(c.Env, "DOCKER_TLS_CERTDIR=/certs") && strings.HasPrefix(c.Env[0], "PATH=/run/dockerlaunch/iptables:/usr/local/sbin:"),
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
