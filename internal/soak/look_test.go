package soak_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// lookAtDisk sees that the filesystem was checked before it was mounted: the check replays the journal, and the kernel then
// has nothing to recover.
func (w *world) lookAtDisk(t *testing.T, m *machine) {
	t.Helper()
	console := m.Console()
	if strings.Contains(console, "recovery complete") {
		t.Errorf("the kernel had to replay the journal, e2fsck did not run:\n%s", console)
	}
	for _, bad := range []string{"EXT4-fs error", "EXT4-fs warning", "Kernel panic", "is empty, after a power cut"} {
		if strings.Contains(console, bad) {
			t.Errorf("the console says %q:\n%s", bad, console)
		}
	}
	for line := range strings.Lines(console) {
		if strings.Contains(line, "were corrected") || strings.Contains(line, "after a power cut") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// lookAtImages holds the images to what was told of them, and removes those that have been looked at.
func (w *world) lookAtImages(t *testing.T, e *engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	there, err := e.images(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for tag, i := range w.images {
		if i.safe && !there[tag] {
			t.Errorf("LOST: the image soak:%s was safe, and is not there", tag)
		}
	}
	program := fmt.Sprintf("%x", sha256.Sum256(w.host.recorder))
	for _, tag := range slices.Sorted(maps.Keys(w.images)) {
		i := w.images[tag]
		if i.seen {
			continue
		}
		if !i.safe {
			w.unsafe++
			if !there[tag] {
				w.gone++
				delete(w.images, tag)
				continue
			}
		}
		sums, err := e.sums(ctx, tag, "/recorder", "/content")
		if want := []string{program, i.sum}; err == nil && !slices.Equal(sums, want) {
			err = fmt.Errorf("its files have the sums %q, and should have %q", sums, want)
		}
		switch {
		case err != nil && i.safe:
			t.Errorf("LOST: the image soak:%s was safe, and is damaged: %v", tag, err)
		case err != nil:
			w.damaged++
			t.Logf("the image soak:%s, of which Docker had said that it is there, and which was not safe, is damaged: %v", tag, err)
		}
		if err := e.ask(ctx, "DELETE", "/images/soak:"+tag, nil, nil, nil); err != nil {
			t.Errorf("removing the image soak:%s: %v", tag, err)
		}
		delete(w.images, tag)
	}
	if !there["base"] {
		t.Error("LOST: the image of the container that runs is not there")
	}
}

// end turns the machine off by its power button, and looks at the disk.
func (w *world) end(t *testing.T, m *machine) {
	t.Helper()
	if err := m.PowerButton(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(answerLimit):
		t.Fatalf("the machine does not go down:\n%s", m.Console())
	}
	if err := m.disk.Close(); err != nil {
		t.Fatal(err)
	}
	fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	out, err := exec.Command(fsck, "-fn", w.host.data).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("recovering journal")) {
		t.Errorf("the disk was not left clean: %v\n%s", err, out)
	}
}
