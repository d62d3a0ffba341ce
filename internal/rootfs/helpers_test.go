package rootfs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// testTime is the modification time of what the tests pack.
var testTime = time.Unix(1_700_000_000, 0)

// file makes a tar header of a file that holds what content says; tarBytes takes the content from PAXRecords.
func file(name, content string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content)), ModTime: testTime, PAXRecords: map[string]string{"T.content": content}}
}

func link(name, target string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777, ModTime: testTime}
}

func tarBytes(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.PAXRecords["T.content"]
		c := *h
		c.PAXRecords = nil
		if err := w.WriteHeader(&c); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipBytes(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// debBytes packs a Debian package as deb(5) describes it, without dpkg-deb, which would not pack what is unsafe.
func debBytes(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	b := bytes.NewBufferString("!<arch>\n")
	member := func(name string, content []byte) {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, testTime.Unix(), 0, 0, "100644", len(content))
		b.Write(content)
		if len(content)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	member("debian-binary", []byte("2.0\n"))
	member("control.tar.gz", gzipBytes(t, tarBytes(t, file("./control", "Package: x\n"))))
	member("data.tar.gz", gzipBytes(t, tarBytes(t, headers...)))
	return b.Bytes()
}

// putDeb writes a package into folder.
func putDeb(t testing.TB, folder, name string, headers ...*tar.Header) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+"_1.0-1_amd64.deb"), debBytes(t, headers...), 0o644); err != nil {
		t.Fatal(err)
	}
}

const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

// everything gives, by package, all files that the table asks for. They hold their own names: no program is run, and none
// needs a library.
func everything() map[string][]*tar.Header {
	all := map[string][]*tar.Header{}
	for _, r := range requirements {
		pkg := r.Packages[0].Name
		for _, pattern := range r.Globs {
			name := strings.NewReplacer("lib/*/", "lib/x86_64-linux-gnu/", "*", "some").Replace(pattern)
			content := name
			if r.Certificates {
				content = certificate
			}
			all[pkg] = append(all[pkg], file("./"+name, content))
		}
		if r.Certificates {
			continue
		}
		for _, f := range r.Files {
			all[pkg] = append(all[pkg], file("./"+f.Path, f.Path))
		}
	}
	return all
}

// packageFolder writes packages that have everything into a new folder, but for the paths in without.
func packageFolder(t testing.TB, without ...string) string {
	t.Helper()
	needDpkgDeb(t)
	folder := t.TempDir()
	for pkg, headers := range everything() {
		var some []*tar.Header
		for _, h := range headers {
			if !slices.Contains(without, path.Clean(h.Name)) {
				some = append(some, h)
			}
		}
		putDeb(t, folder, pkg, some...)
	}
	return folder
}

func needDpkgDeb(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); errors.Is(err, exec.ErrNotFound) {
		testenv.Missing(t, "it needs dpkg-deb (package dpkg)")
	}
}

// wantError fails the test where err lacks one of the words.
func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
