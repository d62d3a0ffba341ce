package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSyncImages: each of Docker's two records of an image brings a flush, also where their folders are made only later, and
// what is no such record brings none.
func TestSyncImages(t *testing.T) {
	const patience = time.Minute
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	synced, ended := make(chan string, 100), make(chan error, 1)
	go func() {
		ended <- syncImages(ctx, root, time.Millisecond, func(path string) error { synced <- path; return nil })
	}()
	content := filepath.Join(root, "image/overlay2/imagedb/content/sha256")
	if err := os.MkdirAll(content, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path+".tmp", nil, 0o600), os.Rename(path+".tmp", path)); err != nil {
			t.Fatal(err)
		}
	}
	// When the watch begins is not to be seen from outside: a record is written until there is an answer.
	for begin, seen := time.Now(), false; !seen; {
		write(filepath.Join(content, "first"))
		select {
		case path := <-synced:
			seen = path == root
		case <-time.After(10 * time.Millisecond):
			if time.Since(begin) > patience {
				t.Fatal("nothing is flushed")
			}
		}
	}
	for _, name := range []string{filepath.Join(content, "second"), filepath.Join(root, "image/overlay2/repositories.json")} {
		// What is still to come of the records before this one is not meant.
		time.Sleep(50 * time.Millisecond)
		for len(synced) > 0 {
			<-synced
		}
		if err := os.WriteFile(filepath.Join(content, "other"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		write(name)
		select {
		case <-synced:
		case <-time.After(patience):
			t.Errorf("nothing is flushed for %s", name)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it does not end with its context")
	}
}

func TestSyncImagesTellsOfErrors(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "image/overlay2/imagedb/content/sha256"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	broken := errors.New("broken")
	ended := make(chan error, 1)
	go func() { ended <- syncImages(ctx, root, time.Millisecond, func(string) error { return broken }) }()
	for i := 0; ; i++ {
		path := filepath.Join(root, "image/overlay2/repositories.json")
		if err := errors.Join(os.WriteFile(path+".tmp", nil, 0o600), os.Rename(path+".tmp", path)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, broken) {
				t.Errorf("it ends with %v", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestSyncFilesystem(t *testing.T) {
	if err := syncFilesystem(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := syncFilesystem(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a folder that is not there: %v", err)
	}
}
