package files

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBatch(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("there"), "mine\n")
	write(t, at("file"), "")
	var batch Batch
	fresh := batch.Add(File{Path: at("sub/fresh"), Mode: 0o640, Content: "fresh\n"})
	kept := batch.Add(File{Path: at("there"), Mode: 0o644, Content: "ours\n"})
	wrong := batch.Add(File{Path: at("file/below"), Mode: 0o644, Content: "ours\n"})
	last := batch.Add(File{Path: at("last"), Mode: 0o644, Content: "last\n"})

	if k, err := wrong.Apply(t.Context()); err == nil || k {
		t.Errorf("a file below a file: %v, %v", k, err)
	}
	// The first that is applied makes all.
	for name, want := range map[string]string{"sub/fresh": "fresh\n", "there": "mine\n", "last": "last\n"} {
		if got := read(t, at(name)); got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		file Member
		kept bool
	}{{fresh, false}, {kept, true}, {last, false}, {fresh, false}} {
		if k, err := c.file.Apply(t.Context()); err != nil || k != c.kept {
			t.Errorf("%s: kept %v, %v", c.file.Path, k, err)
		}
	}
	st, err := os.Stat(at("sub/fresh"))
	must(t, err)
	if st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", st.Mode())
	}
	if left, err := filepath.Glob(at(".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// What a power cut left of an earlier attempt is in nobody's way.
func TestLeftOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for range 2 {
		temp, err := createTemp(filepath.Join(dir, ".file"))
		must(t, err)
		must(t, temp.Close())
	}
	if kept, err := (File{Path: path, Mode: 0o644, Content: "text\n"}).Apply(t.Context()); err != nil || kept {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if got := read(t, path); got != "text\n" {
		t.Errorf("it says %q", got)
	}
}
