package mounts

import (
	"os"
	"path/filepath"
	"testing"
)

func TestIsEmpty(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	if !isEmpty(dir) || isEmpty(file) {
		t.Errorf("an empty folder is none, or a missing one is empty")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if isEmpty(dir) || isEmpty(file) {
		t.Errorf("a folder with a file in it, or a file, is an empty folder")
	}
	if isEmpty("/proc") {
		t.Errorf("/proc is an empty folder")
	}
}

func TestPlainFolder(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{os.MkdirAll(at("folder/below"), 0o755), os.WriteFile(at("file"), nil, 0o600), os.Symlink("folder", at("link"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !plainFolder(at("folder/below")) {
		t.Skip("this kernel has no openat2")
	}
	for _, name := range []string{"file", "link", "link/below", "none", "file/below"} {
		if plainFolder(at(name)) {
			t.Errorf("%s is a folder without links in its path", name)
		}
	}
}

func TestUnescape(t *testing.T) {
	for escaped, want := range map[string]string{
		`/a`: "/a", `/a\040b`: "/a b", `/a\011\012`: "/a\t\n", `/a\134040`: `/a\040`, `/a\134134`: `/a\134`,
	} {
		if got := unescape(escaped); got != want {
			t.Errorf("%q becomes %q, want %q", escaped, got, want)
		}
	}
}
