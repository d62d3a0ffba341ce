package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestClockFloor(t *testing.T) {
	built := epoch().AddDate(1, 0, 0)
	for name, c := range map[string]struct {
		built, saved time.Time
		want         time.Time
		source       string
	}{
		"nothing known":           {want: epoch(), source: "this release"},
		"an old build":            {built: time.Unix(0, 0), want: epoch(), source: "this release"},
		"a build":                 {built: built, want: built, source: "the launcher's build"},
		"saved before the build":  {built: built, saved: built.Add(-time.Hour), want: built, source: "the launcher's build"},
		"saved after the build":   {built: built, saved: built.Add(time.Hour), want: built.Add(time.Hour), source: "f"},
		"saved in a far future":   {built: built, saved: built.AddDate(50, 0, 0), want: built, source: "the launcher's build"},
		"saved without any build": {saved: built, want: built, source: "f"},
	} {
		floor, source := Clock{Built: c.built, File: "f"}.Floor(c.saved)
		if !floor.Equal(c.want) || source != c.source {
			t.Errorf("%s: %v, %s; want %v, %s", name, floor, source, c.want, c.source)
		}
	}
}

// The clock of the machine that the tests run on is right, and nothing may move it.
func TestClockIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "clock")
	c := Clock{File: file, Built: time.Now().Add(-time.Hour)}
	if kept, err := c.Apply(context.Background()); !kept || err != nil {
		t.Errorf("without the file: kept %v, %v", kept, err)
	}
	must(t, c.Save(context.Background()))
	st, err := os.Stat(file)
	must(t, err)
	if age := time.Since(st.ModTime()); age < 0 || age > time.Minute {
		t.Errorf("the saved time is %v old", age)
	}
	long := time.Unix(1e9, 0)
	must(t, os.Chtimes(file, long, long))
	if kept, err := c.Apply(context.Background()); !kept || err != nil {
		t.Errorf("with an old file: kept %v, %v", kept, err)
	}
	must(t, c.Save(context.Background()))
	if st, err := os.Stat(file); err != nil || time.Since(st.ModTime()) > time.Minute {
		t.Errorf("saved again: %v, %v", st.ModTime(), err)
	}
	must(t, os.Remove(file))
	must(t, os.Symlink("clock", file))
	if _, err := c.Apply(context.Background()); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a file that cannot be looked at: %v", err)
	}
}
