package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func keepAll(string) bool { return true }

func discard(Entry, io.Reader) error { return nil }

func TestReadTar(t *testing.T) {
	raw := tarBytes(t,
		&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: testTime},
		&tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: testTime},
		file("./bin/ls", "list"),
		&tar.Header{Name: "./bin/dir", Typeflag: tar.TypeLink, Linkname: "./bin/ls", ModTime: testTime},
		link("./usr/bin/vdir", "../../bin/ls"),
		link("./etc/mtab", "/proc/mounts"),
		link("./sbin", "usr/sbin"), link("./lib64", "/usr/lib64"), // the merge itself
	)
	written := map[string]string{}
	got, err := readTar(bytes.NewReader(raw), defaultLimits, func(name string) bool { return !strings.HasPrefix(name, "etc/") },
		func(e Entry, r io.Reader) error {
			b, err := io.ReadAll(r)
			written[e.Path] = string(b)
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	at := testTime.Unix()
	want := []Entry{
		{Path: "usr/bin", Kind: KindFolder, Mode: 0o755, Time: at},
		{Path: "usr/bin/ls", Kind: KindFile, Mode: 0o755, Size: 4, Time: at, Data: "usr/bin/ls"},
		{Path: "usr/bin/dir", Kind: KindFile, Mode: 0o755, Size: 4, Time: at, Data: "usr/bin/ls"},
		{Path: "usr/bin/vdir", Kind: KindLink, Mode: 0o777, Time: at, Target: "../../bin/ls"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"usr/bin/ls": "list"}, written); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

func TestReadTarRefuses(t *testing.T) {
	small := limits{entry: 10, total: 15, entries: 3}
	for name, c := range map[string]struct {
		headers []*tar.Header
		say     string
	}{
		"a path that climbs":           {[]*tar.Header{file("../etc/passwd", "x")}, "../etc/passwd"},
		"a path that climbs inside":    {[]*tar.Header{file("usr/../../etc/passwd", "x")}, "usr/../../etc/passwd"},
		"an absolute path":             {[]*tar.Header{file("/etc/passwd", "x")}, "/etc/passwd"},
		"a link that climbs":           {[]*tar.Header{link("usr/bin/x", "../../../etc/passwd")}, "../../../etc/passwd"},
		"a link that climbs by a turn": {[]*tar.Header{link("usr/x", "a/../../../b")}, "a/../../../b"},
		"a hard link that climbs":      {[]*tar.Header{{Name: "x", Typeflag: tar.TypeLink, Linkname: "../y"}}, "../y"},
		"an absolute hard link":        {[]*tar.Header{{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}}, "/etc/shadow"},
		"a hard link to nothing":       {[]*tar.Header{{Name: "x", Typeflag: tar.TypeLink, Linkname: "y"}}, "hard link to y"},
		"a hard link to a link":        {[]*tar.Header{link("y", "z"), {Name: "x", Typeflag: tar.TypeLink, Linkname: "y"}}, "hard link to y"},
		"a device":                     {[]*tar.Header{{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}}, "dev/sda"},
		"the same file twice":          {[]*tar.Header{file("x", "1"), file("./x", "2")}, "x is there twice"},
		"a file in a link's place":     {[]*tar.Header{link("x", "y"), file("x", "2")}, "x is there twice"},
		"a huge file":                  {[]*tar.Header{file("x", "12345678901")}, "11 bytes"},
		"too much in all":              {[]*tar.Header{file("x", "1234567890"), file("y", "123456")}, "makes 16"},
		"too many entries":             {[]*tar.Header{file("a", ""), file("b", ""), file("c", ""), file("d", "")}, "more than 3 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readTar(bytes.NewReader(tarBytes(t, c.headers...)), small, keepAll, discard)
			if !errors.Is(err, ErrUnsafe) {
				t.Fatalf("got %v; want ErrUnsafe", err)
			}
			wantError(t, err, c.say)
		})
	}
}

func TestReadTarTruncated(t *testing.T) {
	raw := tarBytes(t, file("x", strings.Repeat("x", 2000)))
	_, err := readTar(bytes.NewReader(raw[:1000]), defaultLimits, keepAll, func(_ Entry, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v; want an unexpected end", err)
	}
}

// Whatever an archive says, nothing that is kept leads out of the folder, and what is written is what the entry says.
func FuzzReadTar(f *testing.F) {
	f.Add(tarBytes(f, file("./bin/ls", "list"), link("usr/x", "../bin/ls"), link("a", "/b")))
	f.Add(tarBytes(f, file("../x", "")))
	f.Add(tarBytes(f, &tar.Header{Name: "d/", Typeflag: tar.TypeDir}, file("d/x", "1"), &tar.Header{Name: "y", Typeflag: tar.TypeLink, Linkname: "d/x"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		lim := limits{entry: 1 << 16, total: 1 << 18, entries: 100}
		written := map[string]int64{}
		entries, err := readTar(bytes.NewReader(raw), lim, keepAll, func(e Entry, r io.Reader) error {
			if !filepath.IsLocal(e.Path) {
				t.Errorf("%q is written", e.Path)
			}
			n, err := io.Copy(io.Discard, r)
			if err == nil && n != e.Size {
				t.Errorf("%q has %d bytes; its entry says %d", e.Path, n, e.Size)
			}
			written[e.Path] = n
			return err
		})
		if err != nil {
			return
		}
		var total int64
		for _, e := range entries {
			if !filepath.IsLocal(e.Path) || path.Clean(e.Path) != e.Path {
				t.Errorf("the path %q was kept", e.Path)
			}
			if e.Mode&^0o777 != 0 {
				t.Errorf("%q has mode %o", e.Path, e.Mode)
			}
			if e.Kind == KindFile {
				if n, ok := written[e.Data]; !ok || n != e.Size {
					t.Errorf("%q has its bytes from %q, %d of them, which was not written so", e.Path, e.Data, e.Size)
				}
			}
		}
		for _, n := range written {
			total += n
		}
		if total > lim.total {
			t.Errorf("%d bytes were written", total)
		}
	})
}
