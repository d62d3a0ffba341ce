package ociimage

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
