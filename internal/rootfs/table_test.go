package rootfs

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteTable(t *testing.T) {
	m := &Manifest{
		Archives:     []*Archive{{Name: "docker.io", Version: "26.1"}, {Name: "libc6", Version: "2.41"}},
		Requirements: []Row{{"dockerd", GroupDocker, "the daemon"}, {"ps", GroupTools, "docker top"}},
		Nodes: []*Node{
			{Path: "usr/bin/dockerd", Kind: KindFile, Size: 90<<20 + 1<<19, Package: "docker.io", For: []string{"dockerd"}},
			{Path: "usr/bin/ps", Kind: KindFile, Size: 900, Package: "procps", For: []string{"ps"}},
			{Path: "usr/bin/ps.d", Kind: KindFile, Size: 124, Package: "procps", For: []string{"ps"}},
			{Path: "usr/lib/ld.so", Kind: KindFile, Size: 1024, Package: "libc6", For: []string{"dockerd", "ps"}, Library: true},
			{Path: "usr/lib/libc.so.6", Kind: KindFile, Size: 2048, Package: "libc6", For: []string{"dockerd", "ps"}, Library: true},
			{Path: "usr/lib/libc.so", Kind: KindLink, Target: "libc.so.6", Package: "libc6", For: []string{"dockerd"}, Library: true},
		},
	}
	var b bytes.Buffer
	if err := m.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Fields(line))
	}
	want := [][]string{
		{"PROGRAM", "SIZE", "FROM", "WHY"},
		{"docker", "90.5", "MiB"},
		{"dockerd", "90.5", "MiB", "docker.io", "26.1", "the", "daemon"},
		{"tools", "1", "KiB"},
		{"ps", "(2", "files)", "1", "KiB", "procps", "docker", "top"},
		{"libraries", "3", "KiB"},
		{"libc6", "(2", "files)", "3", "KiB", "libc6", "2.41", "for", "dockerd,", "ps"},
		{"total", "90.5", "MiB", "5", "files", "from", "2", "packages"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	lines := strings.Split(b.String(), "\n")
	if at := strings.Index(lines[0], "SIZE"); lines[2][at:at+4] != "90.5" {
		t.Errorf("the columns are not aligned:\n%s", b.String())
	}
}

func TestSomeOf(t *testing.T) {
	if got := someOf([]string{"a", "b", "c", "d"}); got != "a, b, c, d" {
		t.Error(got)
	}
	if got := someOf([]string{"a", "b", "c", "d", "e"}); got != "a, b, c and 2 more" {
		t.Error(got)
	}
}

func TestPackageNames(t *testing.T) {
	all := PackageNames("trixie", true, false)
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("not sorted, or twice: %q", all)
	}
	for _, c := range []struct {
		suite       string
		git, docker bool
		has, hasNot []string
	}{
		{"trixie", true, false, []string{"docker.io", "docker-cli", "containerd", "runc", "git", "openssh-client", "dash"}, nil},
		{"bookworm", true, false, []string{"docker.io", "git"}, []string{"docker-cli"}},
		{"trixie", false, false, []string{"docker.io", "iptables", "procps", "xz-utils", "ca-certificates"}, []string{"git", "dash", "sed", "coreutils", "openssh-client"}},
		{"sid", true, true, []string{"git", "iptables"}, []string{"docker.io", "docker-cli", "containerd", "runc"}},
	} {
		got := PackageNames(c.suite, c.git, c.docker)
		for _, name := range c.has {
			if !slices.Contains(got, name) {
				t.Errorf("%+v: no %s in %q", c, name, got)
			}
		}
		for _, name := range c.hasNot {
			if slices.Contains(got, name) {
				t.Errorf("%+v: %s in %q", c, name, got)
			}
		}
	}
}

// The table itself: what is printed and looked for must be there and must be sound.
func TestRequirements(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range requirements {
		if r.Name == "" || r.Why == "" || len(r.Packages) == 0 || len(r.Files)+len(r.Globs) == 0 || seen[r.Name] {
			t.Errorf("%q lacks something, or is there twice", r.Name)
		}
		seen[r.Name] = true
		if !slices.Contains(groups, r.Group) {
			t.Errorf("%s is in the group %q, which is not printed", r.Name, r.Group)
		}
		for _, f := range r.Files {
			for _, name := range append([]string{f.Path}, f.From...) {
				if mergeUsr(name) != name || strings.HasPrefix(name, "/") || name != CertificateBundle && !keep(name) {
					t.Errorf("%s: no package can have %s", r.Name, name)
				}
			}
		}
	}
}
