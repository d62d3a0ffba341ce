package launch

import (
	"slices"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
)

// TestPausesOfFailingStarts: the pauses grow too where a program that ran well cannot even be started any more.
func TestPausesOfFailingStarts(t *testing.T) {
	if !testenv.InNamespaces(t, 0) { // two reapers in a process would take each other's children
		return
	}
	init, err := pidone.Start(pidone.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newService("daemon", pidone.Command{Path: "/no/such/daemon"})
	s.began = time.Now().Add(-time.Hour)
	got := []time.Duration{s.restartLater()}
	for range 4 {
		if err := s.start(init, nil); err == nil {
			t.Fatal("a program that is not there was started")
		}
		got = append(got, s.restartLater())
	}
	const half = 500 * time.Millisecond
	if want := []time.Duration{half, 2 * half, 4 * half, 8 * half, 16 * half}; !slices.Equal(got, want) {
		t.Errorf("the pauses are %v, want %v", got, want)
	}
}
