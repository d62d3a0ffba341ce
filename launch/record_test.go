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

// The phases of a daemon are read out of its log, in either form.
func TestDaemonSays(t *testing.T) {
	r := newRecorder(time.Now(), "1")
	for _, line := range []string{
		`time="2026-11-21T18:09:59.123456789Z" level=info msg="Starting up"`,
		`time="2026-11-21T18:09:59.123456789Z" level=info msg=stopped spelling=x`,
		`time="2026-11-21T18:09:59.123456789Z" level=warning msg="not this"`,
		`{"level":"info","msg":"Loading containers: start.","time":"2026-11-21T18:09:59.123456789Z"}`,
		`{"error":"x","level":"info","msg":"with a field","time":"2026-11-21T18:09:59.123456789Z"}`,
		`{"level":"warning","msg":"nor this","time":"2026-11-21T18:09:59.123456789Z"}`,
		`level=info`, ``, `"level":"info","msg":`,
	} {
		r.daemonSays(line)
	}
	var got []string
	for _, e := range r.run.Events {
		got = append(got, e.Who+" "+e.What)
	}
	want := []string{"dockerd Starting up", "dockerd stopped", "dockerd Loading containers: start.", "dockerd with a field", "dockerd "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A daemon that talks a lot does not push out the word that it is ready, nor what comes then.
func TestReportOfTalkativeDaemon(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(time.Now(), "1")
	for range 100 {
		r.daemonSays(`time=x level=info msg="loading plugin"`)
	}
	if err := r.ready(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := r.preloaded(time.Now(), 1); err != nil {
		t.Fatal(err)
	}
	run, err := report.Read(report.Path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(run.Events); n != 64 || run.Events[61].What != "ready" || run.Events[61].At <= 0 || run.Events[63].What != "done" {
		t.Errorf("%d events: %v", n, run.Events)
	}
}

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
