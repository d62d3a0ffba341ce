package cgroups

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captured unpacks testdata/NAME.txtar and returns where.
func captured(t testing.TB, name string) Paths {
	t.Helper()
	tree := t.TempDir()
	for file, text := range archive(t, name) {
		path := filepath.Join(tree, file)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "/ns/cgroup") {
			err = os.Symlink(strings.TrimSpace(text), path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Paths{Tree: tree}
}

// systems are the names of the captured trees.
func systems(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no captured trees", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".txtar")
	}
	return files
}

// archive reads the files of testdata/NAME.txtar: each begins behind a line "-- PATH --".
func archive(t testing.TB, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var file string
	for line := range strings.Lines(string(text)) {
		if head, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(head, " --\n") {
			file = strings.TrimSuffix(head, " --\n")
			files[file] = ""
		} else if file != "" {
			files[file] += line
		}
	}
	return files
}

// observed are the facts of a captured tree.
func observed(t testing.TB, name string) Facts {
	t.Helper()
	f, err := Observe(captured(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
