package files

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDrafts: what is missing is written ahead and seen by nobody, a Batch puts it into its place, and what no Batch wants is
// removed.
func TestDrafts(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("there"), "mine\n")
	write(t, at("elsewhere"), "mine\n")
	write(t, at("file"), "")
	fresh := File{Path: at("fresh"), Mode: 0o640, Content: "fresh\n"}
	late := File{Path: at("late"), Mode: 0o644, Content: "late\n"}
	list := []File{
		fresh, late, {Path: at("there"), Mode: 0o644, Content: "ours\n"}, {Path: at("also"), Also: at("elsewhere"), Mode: 0o644},
		{Path: at("file/below"), Mode: 0o644}, {Path: at("unwanted"), Mode: 0o644, Content: "unwanted\n"},
		{Path: at("changed"), Mode: 0o644, Content: "before\n"},
	}
	drafts := NewDrafts()
	drafts.Make(list)
	if names, err := filepath.Glob(at("[a-z]*")); err != nil || len(names) != 3 {
		t.Errorf("there are %q, %v", names, err)
	}
	if names, err := filepath.Glob(at(".*-*")); err != nil || len(names) != 4 {
		t.Errorf("written ahead: %q, %v", names, err)
	}
	write(t, late.Path, "theirs\n") // somebody is faster

	var batch Batch
	var members []Member
	for _, f := range []File{fresh, late, {Path: at("changed"), Mode: 0o644, Content: "after\n"}, {Path: at("new"), Mode: 0o644, Content: "new\n"}} {
		members = append(members, batch.Add(f))
	}
	for i, kept := range []bool{false, true, false, false} {
		if k, err := members[i].ApplyDraft(drafts); err != nil || k != kept {
			t.Errorf("%s: kept %v, %v", members[i].Path, k, err)
		}
	}
	for name, want := range map[string]string{"fresh": "fresh\n", "late": "theirs\n", "changed": "after\n", "new": "new\n", "there": "mine\n"} {
		if got := read(t, at(name)); got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
	}
	st, err := os.Stat(fresh.Path)
	must(t, err)
	if st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", st.Mode())
	}
	drafts.Drop(time.Minute)
	drafts.Drop(time.Minute)
	if left, err := filepath.Glob(at(".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if _, err := os.Lstat(at("unwanted")); !os.IsNotExist(err) {
		t.Errorf("what nobody wanted: %v", err)
	}
}

// TestDropDoesNotWait: a disk that does not answer holds nobody up for longer than was said.
func TestDropDoesNotWait(t *testing.T) {
	began := time.Now()
	NewDrafts().Drop(time.Millisecond) // nobody makes them
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
