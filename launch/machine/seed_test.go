package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

const oldSeed = "0123456789abcdef0123456789abcdef"

// The kernel's device stands in a plain file here, which takes what is mixed in and answers ENOTTY to what is credited.
func TestSeed(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(t *testing.T, path string)
		credited bool
		mixed    string
		err      error
	}{
		"none": {},
		"good": {prepare: func(t *testing.T, path string) { write(t, path, oldSeed, 0o600) }, credited: true, mixed: oldSeed},
		"long": {
			prepare:  func(t *testing.T, path string) { write(t, path, strings.Repeat("x", 10_000), 0o400) },
			credited: true, mixed: strings.Repeat("x", 512),
		},
		"short":            {prepare: func(t *testing.T, path string) { write(t, path, oldSeed[:31], 0o600) }, mixed: oldSeed[:31], err: ErrSeedShort},
		"empty":            {prepare: func(t *testing.T, path string) { write(t, path, "", 0o600) }, err: ErrSeedShort},
		"readable by all":  {prepare: func(t *testing.T, path string) { write(t, path, oldSeed, 0o604) }, mixed: oldSeed, err: ErrSeedExposed},
		"writable by some": {prepare: func(t *testing.T, path string) { write(t, path, oldSeed, 0o620) }, mixed: oldSeed, err: ErrSeedExposed},
		"a link": {
			prepare: func(t *testing.T, path string) {
				write(t, path+"-goal", oldSeed, 0o600)
				must(t, os.Symlink(path+"-goal", path))
			},
			err: unix.ELOOP,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := Seed{Path: filepath.Join(dir, "state", "random-seed"), Random: filepath.Join(dir, "urandom")}
			write(t, s.Random, "", 0o600)
			must(t, os.MkdirAll(filepath.Dir(s.Path), 0o700))
			if c.prepare != nil {
				c.prepare(t, s.Path)
			}
			_, err := s.Apply(context.Background())
			if errors.Is(err, unix.ENOTTY) != c.credited || c.err != nil && !errors.Is(err, c.err) || c.err == nil && !c.credited && err != nil {
				t.Errorf("Apply: %v", err)
			}
			if mixed, err := os.ReadFile(s.Random); string(mixed) != c.mixed || err != nil {
				t.Errorf("the kernel got %q, %v, want %q", mixed, err, c.mixed)
			}
			checkSeed(t, s.Path, oldSeed)
			// Crediting failed, if it was tried: the new seed had to be there before, and the old one gone.
			first, err := os.ReadFile(s.Path)
			must(t, err)
			must(t, s.Save(context.Background()))
			checkSeed(t, s.Path, string(first))
		})
	}
}

func checkSeed(t *testing.T, path, not string) {
	t.Helper()
	st, err := os.Lstat(path)
	must(t, err)
	if st.Mode() != 0o600 || st.Size() != seedSize {
		t.Errorf("the new seed has mode %v and %d bytes", st.Mode(), st.Size())
	}
	data, err := os.ReadFile(path)
	must(t, err)
	if string(data) == not || strings.Count(string(data), "\x00") > seedSize/2 {
		t.Errorf("the new seed is no new one: %x", data)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".new") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// Where the new seed cannot be written, the old one must not be credited: it would be used once more at the next boot.
func TestSeedOnReadOnlyDisk(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir, random := t.TempDir(), filepath.Join(t.TempDir(), "urandom")
	write(t, random, "", 0o600)
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	s := Seed{Path: filepath.Join(dir, "random-seed"), Random: random}
	write(t, s.Path, oldSeed, 0o600)
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	_, err := s.Apply(context.Background())
	if !errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOTTY) {
		t.Errorf("Apply: %v", err)
	}
	if mixed, err := os.ReadFile(random); string(mixed) != oldSeed {
		t.Errorf("it was not mixed in: %q, %v", mixed, err)
	}
}

func TestSeedForReal(t *testing.T) {
	testenv.NeedRoot(t)
	s := Seed{Path: filepath.Join(t.TempDir(), "random-seed")}
	// Not a secret, so that this machine's kernel is told that it gets 256 bits and gets none; it has long been seeded, and
	// what it has is not made worse.
	write(t, s.Path, oldSeed, 0o600)
	if kept, err := s.Apply(context.Background()); kept || err != nil {
		t.Errorf("Apply: kept %v, %v", kept, err)
	}
	checkSeed(t, s.Path, oldSeed)
}

// A place that does not answer must not hold the boot.
func TestSeedNeverBlocks(t *testing.T) {
	dir := t.TempDir()
	s := Seed{Path: filepath.Join(dir, "random-seed"), Random: filepath.Join(dir, "fifo")}
	write(t, s.Path, oldSeed, 0o600)
	must(t, unix.Mkfifo(s.Random, 0o600)) // opening it to write waits for a reader
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Apply(ctx); !errors.Is(err, ErrLate) {
		t.Errorf("Apply: %v", err)
	}
	f, err := os.OpenFile(s.Random, os.O_RDONLY|unix.O_NONBLOCK, 0) // lets the goroutine go
	must(t, err)
	must(t, f.Close())
}
