package files

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestFileIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etc", "hosts")
	f := File{Path: path, Mode: 0o640, Content: "one\n"}
	if kept, err := f.Apply(context.Background()); err != nil || kept {
		t.Fatalf("first Apply: kept %v, %v", kept, err)
	}
	if got := read(t, path); got != "one\n" {
		t.Errorf("content is %q", got)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o640 {
		t.Errorf("mode is %v (%v), want 0640", st.Mode(), err)
	}
	f.Content = "two\n"
	if kept, err := f.Apply(context.Background()); err != nil || !kept {
		t.Fatalf("second Apply: kept %v, %v", kept, err)
	}
	if got := read(t, path); got != "one\n" {
		t.Errorf("the file that was there was overwritten: %q", got)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("temporary files are left: %v, %v", entries, err)
	}
}

func TestFileKeepsWhatIsThere(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string){
		"empty file":    func(t *testing.T, path string) { write(t, path, "") },
		"dangling link": func(t *testing.T, path string) { must(t, os.Symlink("../run/missing", path)) },
		"folder":        func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "resolv.conf")
			prepare(t, path)
			before, err := os.Lstat(path)
			must(t, err)
			if kept, err := (File{Path: path, Mode: 0o644, Content: "x"}).Apply(context.Background()); err != nil || !kept {
				t.Fatalf("Apply: kept %v, %v", kept, err)
			}
			after, err := os.Lstat(path)
			must(t, err)
			if !os.SameFile(before, after) || before.Mode() != after.Mode() || before.Size() != after.Size() {
				t.Errorf("it was changed: %v -> %v", before, after)
			}
		})
	}
}

func TestFileElsewhere(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "etc", "os-release"), Also: filepath.Join(dir, "os-release"), Mode: 0o644, Content: "ID=x\n"}
	if state, err := f.Observe(); state != Absent || err != nil {
		t.Errorf("nothing is anywhere, and it is %s, %v", state, err)
	}
	write(t, f.Also, "ID=distribution\n")
	if state, err := f.Observe(); state != Present || err != nil {
		t.Errorf("it is at the other place, and it is %s, %v", state, err)
	}
	if kept, err := f.Apply(context.Background()); err != nil || !kept {
		t.Fatalf("Apply: kept %v, %v", kept, err)
	}
	if _, err := os.Lstat(f.Path); err == nil {
		t.Error("it was made although it is at the other place")
	}
}

func TestFileCopies(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "spare", "ca.crt"), filepath.Join(dir, "etc", "ssl", "ca.crt")
	must(t, os.Mkdir(filepath.Dir(source), 0o755))
	write(t, source, "certificates")
	if _, err := (File{Path: target, Mode: 0o644, CopyOf: source}).Apply(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, target); got != "certificates" {
		t.Errorf("the copy holds %q", got)
	}
	if _, err := (File{Path: target + "2", Mode: 0o644, CopyOf: source + "-missing"}).Apply(context.Background()); err == nil {
		t.Error("a missing source was no error")
	}
	if _, err := os.Lstat(target + "2"); err == nil {
		t.Error("a failed copy left a file")
	}
}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "var", "tmp")
	d := Dir{Path: path, Mode: 0o777 | fs.ModeSticky}
	if kept, err := d.Apply(context.Background()); err != nil || kept {
		t.Fatalf("first Apply: kept %v, %v", kept, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
		t.Errorf("mode is %v (%v)", st.Mode(), err)
	}
	must(t, os.Chmod(path, 0o700))
	if kept, err := d.Apply(context.Background()); err != nil || !kept {
		t.Fatalf("second Apply: kept %v, %v", kept, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the mode of a folder that was there was changed to %v (%v)", st.Mode(), err)
	}
	write(t, filepath.Join(dir, "file"), "")
	if _, err := (Dir{Path: filepath.Join(dir, "file"), Mode: 0o755}).Apply(context.Background()); err == nil {
		t.Error("a file in the folder's place was no error")
	}
}

func TestObserve(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	must(t, os.Symlink("nowhere", filepath.Join(dir, "link")))
	must(t, os.Symlink("circle", filepath.Join(dir, "circle")))
	for path, want := range map[string]State{
		"file":        Present,
		"link":        Dangling,
		"none":        Absent,
		"none/deeper": Absent,
		"circle":      Dangling,
		"file/below":  Unwritable,
	} {
		if got, err := Observe(filepath.Join(dir, path)); got != want || err != nil {
			t.Errorf("Observe(%s) = %s, %v; want %s", path, got, err, want)
		}
	}
}

func TestReadOnlyFilesystem(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	if got, err := Observe(filepath.Join(dir, "a", "b")); got != Unwritable || err != nil {
		t.Errorf("Observe on a read-only filesystem = %s, %v", got, err)
	}
	if _, err := (File{Path: filepath.Join(dir, "a"), Mode: 0o644}).Apply(context.Background()); err == nil {
		t.Error("making a file on a read-only filesystem was no error")
	}
	if kept, err := (Dir{Path: dir, Mode: 0o710}).Apply(context.Background()); err != nil || !kept {
		t.Errorf("a folder that need not be writable: kept %v, %v", kept, err)
	}
	if _, err := (Dir{Path: dir, Mode: 0o710, Writable: true}).Apply(context.Background()); err == nil {
		t.Error("a data-root on a read-only filesystem was no error")
	}
}

func TestResolvConf(t *testing.T) {
	for _, f := range Expected([]string{"10.0.2.3", "fd00::3"}) {
		if f.Path == "/etc/resolv.conf" && !strings.HasSuffix(f.Content, ".\nnameserver 10.0.2.3\nnameserver fd00::3\n") {
			t.Errorf("resolv.conf with the kernel's name servers is %q", f.Content)
		}
	}
	for _, f := range Expected(nil) {
		if f.Content == "" || f.Content[len(f.Content)-1] != '\n' || f.Purpose == "" {
			t.Errorf("%s: content %q, purpose %q", f.Path, f.Content, f.Purpose)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
