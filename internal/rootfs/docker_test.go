package rootfs

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// staticArchive stands in for docker-VERSION.tgz, which is only on Docker's own server: the same layout, with one small
// static program under each name. That the real programs work in a tree, TestProgramsRun shows with Debian's.
func staticArchive(t *testing.T, change func([]*tar.Header) []*tar.Header) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(os.Args[0] + \" from the archive\\n\") }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building a static program: %v\n%s", err, out)
	}
	headers := []*tar.Header{{Name: "docker/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: testTime}}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "docker", "docker-init", "docker-proxy", "dockerd", "runc"} {
		headers = append(headers, readFile(t, program, "docker/"+name))
		headers[len(headers)-1].Name = "docker/" + name
	}
	if change != nil {
		headers = change(headers)
	}
	tgz := filepath.Join(dir, "docker-99.1.tgz")
	if err := os.WriteFile(tgz, gzipBytes(t, tarBytes(t, headers...)), 0o644); err != nil {
		t.Fatal(err)
	}
	return tgz
}

func TestDockerArchive(t *testing.T) {
	// The packages have Docker's programs too, with other content: the archive's are to be taken.
	o := Options{Packages: packageFolder(t), Docker: staticArchive(t, nil), Out: filepath.Join(t.TempDir(), "tree")}
	m := build(t, o).Manifest
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "docker", "docker-init", "docker-proxy", "dockerd", "runc"} {
		out, err := exec.Command(filepath.Join(o.Out, "usr/bin", name)).Output()
		if err != nil || !strings.HasSuffix(string(out), name+" from the archive\n") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(o.Out, "usr/bin/ctr")); err == nil {
		t.Error("ctr, which nobody asked for, is in the tree")
	}
	var table strings.Builder
	if err := m.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "docker-99.1.tgz") || strings.Contains(table.String(), "docker.io") {
		t.Errorf("the table does not say where Docker comes from:\n%s", table.String())
	}
	if r := build(t, o); !r.Kept {
		t.Error("the tree was built twice")
	}
	o.Docker = ""
	if r := build(t, o); r.Kept {
		t.Error("the tree was kept, with other programs in it")
	}
}

func TestDockerArchiveRefused(t *testing.T) {
	folder := packageFolder(t)
	drop := func(name string) func([]*tar.Header) []*tar.Header {
		return func(all []*tar.Header) []*tar.Header {
			var out []*tar.Header
			for _, h := range all {
				if h.Name != name {
					out = append(out, h)
				}
			}
			return out
		}
	}
	whole := staticArchive(t, nil)
	raw, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	truncated := filepath.Join(t.TempDir(), "docker-half.tgz")
	if err := os.WriteFile(truncated, raw[:len(raw)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "docker-wrong.tgz")
	raw[len(raw)-6] ^= 1 // gzip's checksum, see RFC 1952
	if err := os.WriteFile(wrong, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "docker-text.tgz")
	if err := os.WriteFile(text, []byte("<html>404"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tgz  string
		want []string
		is   error
	}{
		"no file":          {"/nonexistent/docker.tgz", []string{"/nonexistent/docker.tgz"}, os.ErrNotExist},
		"a page":           {text, []string{"docker-text.tgz", "no archive of Docker's"}, nil},
		"half an archive":  {truncated, []string{"docker-half.tgz", "damaged"}, nil},
		"a wrong checksum": {wrong, []string{"docker-wrong.tgz", "damaged"}, gzip.ErrChecksum},
		"without runc":     {staticArchive(t, drop("docker/runc")), []string{"docker-99.1.tgz", "docker/runc"}, errIncomplete},
		"a link as runc": {staticArchive(t, func(h []*tar.Header) []*tar.Header {
			return append(drop("docker/runc")(h), link("docker/runc", "/bin/sh"))
		}), []string{"docker/runc"}, ErrUnsafe},
		"a path that goes": {staticArchive(t, func(h []*tar.Header) []*tar.Header { return append(h, file("docker/../../x", "x")) }), []string{"docker/../../x"}, ErrUnsafe},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Build(context.Background(), Options{Packages: folder, Docker: c.tgz, Out: filepath.Join(t.TempDir(), "tree")})
			wantError(t, err, c.want...)
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v; want %v", err, c.is)
			}
		})
	}
}
