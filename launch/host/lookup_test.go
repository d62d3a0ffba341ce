package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", at("link")); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{at("none"), at("a"), "", at("link"), at("b"), at("a")}, ":")
	if got, want := Folders(path), at("a")+":"+at("b"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Folders(at("none")); got != "" {
		t.Errorf("a folder that is not there: %q", got)
	}
}
