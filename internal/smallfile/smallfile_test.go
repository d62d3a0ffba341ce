package smallfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 4095, 4096, 4097, 100_000} {
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		for _, most := range []int{0, 1, 4096, 5000, 200_000} {
			if got, err := ReadMost(path, most); err != nil || !bytes.Equal(got, want[:min(size, most)]) {
				t.Errorf("the first %d of %d bytes: got %d, %v", most, size, len(got), err)
			}
		}
	}
}

func TestReadProc(t *testing.T) {
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Read("/proc/version"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// The errors are those of package os.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]error{filepath.Join(dir, "none"): fs.ErrNotExist, dir: unix.EISDIR} {
		_, err := Read(path)
		_, osErr := os.ReadFile(path)
		if !errors.Is(err, want) || err.Error() != osErr.Error() {
			t.Errorf("%v, want %v", err, osErr)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for b.Loop() {
		if _, err := Read("/proc/version"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadOS(b *testing.B) {
	for b.Loop() {
		if _, err := os.ReadFile("/proc/version"); err != nil {
			b.Fatal(err)
		}
	}
}
