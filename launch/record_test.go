package launch

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
	"golang.org/x/sys/unix"
)

// What happens once the daemon is ready is not part of the report, but for the loading of images.
func TestReportOfPreload(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(time.Now().Add(-time.Second), "1")
	r.event("dockerd", "started")
	if err := r.preloaded(time.Now(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(report.Path); err == nil {
		t.Error("a report was written before the daemon was ready")
	}
	if err := r.ready(time.Second); err != nil {
		t.Fatal(err)
	}
	r.event("dockerd", "too late")
	if err := r.preloaded(time.Now(), 2); err != nil {
		t.Fatal(err)
	}
	run, err := report.Read(report.Path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range run.Events {
		got = append(got, e.Who+" "+e.What)
		if e.At < 0 || e.At > time.Hour {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"dockerd started", "dockerd ready", "preload 2 archives", "preload done"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if run.Ready != time.Second {
		t.Errorf("ready after %v", run.Ready)
	}
}
