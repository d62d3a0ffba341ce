package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLockTree(t *testing.T) {
	dir := t.TempDir()
	user, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(user.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if _, err := lockTree(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a tree that somebody runs on: %v", err)
	}
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := lockTree(dir)
	if err != nil {
		t.Fatalf("a tree that nobody runs on: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	if _, err := lockTree(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a tree that is not there yet: %v", err)
	}
}
