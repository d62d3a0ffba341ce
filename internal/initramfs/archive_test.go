package initramfs

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/dockerlaunch/dockerlaunch/internal/rootfs"
)

func testNodes(t *testing.T) []*rootfs.Node {
	t.Helper()
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("0123456789"), 30_000), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := rootfs.FileNode("usr/bin/big", big, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	return []*rootfs.Node{
		{Path: "usr", Kind: rootfs.KindFolder, Mode: 0o755}, {Path: "tmp", Kind: rootfs.KindFolder, Mode: 0o1777},
		{Path: "bin", Kind: rootfs.KindLink, Mode: 0o777, Target: "usr/bin"}, n,
		rootfs.ContentNode("usr/bin/empty", 0o644, nil), rootfs.ContentNode("usr/bin-other", 0o644, []byte("odd")),
	}
}

// list reads an archive back: by name, mode and content, in the archive's order.
func list(t *testing.T, raw []byte) (names []string, what map[string]string) {
	t.Helper()
	what = map[string]string{}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		content := ""
		if r.ReaderAt != nil {
			b, err := io.ReadAll(io.NewSectionReader(r.ReaderAt, 0, int64(r.FileSize)))
			if err != nil {
				t.Fatal(err)
			}
			if content = string(b); len(content) > 20 {
				content = content[:10] + "…"
			}
		}
		names = append(names, r.Name)
		what[r.Name] = content
		if r.UID != 0 || r.GID != 0 || r.MTime != 1234 {
			t.Errorf("%s is %d:%d's, of %d", r.Name, r.UID, r.GID, r.MTime)
		}
		if r.Name == "tmp" && r.Mode != cpio.S_IFDIR|0o1777 || r.Name == "dev/console" && (r.Mode != cpio.S_IFCHR|0o600 || r.Rmajor != 5 || r.Rminor != 1) {
			t.Errorf("%s has mode %o, device %d:%d", r.Name, r.Mode, r.Rmajor, r.Rminor)
		}
	}
	return names, what
}

func TestWrite(t *testing.T) {
	var archives [][]byte
	for range 2 {
		var b bytes.Buffer
		if err := Write(&b, Machine(testNodes(t)), 1234); err != nil {
			t.Fatal(err)
		}
		archives = append(archives, b.Bytes())
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same nodes differ")
	}
	z, err := zstd.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	names, what := list(t, raw)
	if got := strings.Join(names, " "); got != "bin dev dev/console dev/null init tmp usr usr/bin usr/bin-other usr/bin/big usr/bin/empty "+
		"usr/sbin usr/sbin/halt usr/sbin/init usr/sbin/poweroff usr/sbin/reboot" {
		t.Errorf("order: %s", got)
	}
	for name, want := range map[string]string{"bin": "usr/bin", "init": "usr/bin/dockerlaunch", "usr/bin/big": "0123456789…", "usr/bin/empty": "", "usr/bin-other": "odd"} {
		if what[name] != want {
			t.Errorf("%s is %q, want %q", name, what[name], want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	nodes := testNodes(t)
	if err := WritePlain(io.Discard, append(nodes, nodes[2]), 0); err == nil || !strings.Contains(err.Error(), "there twice") {
		t.Errorf("a link twice: %v", err)
	}
	if err := WritePlain(io.Discard, append(nodes, &rootfs.Node{Path: "x", Kind: "thing"}), 0); err == nil {
		t.Error("a thing is written")
	}
	short := testNodes(t)
	short[3].Size += 5
	if err := WritePlain(io.Discard, short, 0); err == nil || !strings.Contains(err.Error(), "usr/bin/big") {
		t.Errorf("a file that has become shorter: %v", err)
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/key"), []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b/key", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for target, from := range map[string]string{"/certs": dir + "/a", "certs/single": dir + "/a/b/key"} {
		nodes, err := Tree(target, from)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			got[n.Path] = string(n.Kind) + " " + n.Mode.String() + " " + n.Target
		}
	}
	want := map[string]string{
		"certs": "folder -rwxr-x--- ", "certs/b": "folder -rwxr-x--- ", "certs/b/key": "file -rw------- ", "certs/link": "link -rwxrwxrwx b/key", "certs/single": "file -rw------- ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Tree("x", dir+"/gone"); err == nil {
		t.Error("a folder that is not there is read")
	}
}
