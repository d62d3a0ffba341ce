package launch

import (
	"context"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/power"
)

// TestStopEndsPreload: every way in which a machine goes down ends the loading of images, which would keep the daemon.
func TestStopEndsPreload(t *testing.T) {
	s := &supervisor{}
	s.preload, s.endPreload = context.WithCancel(context.Background())
	if err := s.wayOut(power.PowerOff, nil).StopDaemon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.preload.Err() == nil {
		t.Error("images are still being loaded")
	}
}
