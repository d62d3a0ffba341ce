package launch

import (
	"context"
	"testing"
	"time"

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

// TestDaemonLimit: the daemon gets its own shutdown timeout and a margin, from a power request and from an error alike.
func TestDaemonLimit(t *testing.T) {
	for _, c := range []struct {
		args []string
		want time.Duration
	}{
		{[]string{"dockerd"}, 25 * time.Second},
		{[]string{"dockerd", "--shutdown-timeout", "300"}, 310 * time.Second},
		{[]string{"dockerd", "--shutdown-timeout=3600"}, 3610 * time.Second},
		{[]string{"dockerd", "--shutdown-timeout=-1"}, 10 * time.Minute},
	} {
		s := &supervisor{plan: planned(t, Config{Daemon: c.args}, prepared())}
		if got := s.wayOut(power.Reboot, nil).DaemonLimit; got != c.want {
			t.Errorf("%q: %v, want %v", c.args, got, c.want)
		}
	}
	if got := (&supervisor{}).wayOut(power.Reboot, nil).DaemonLimit; got <= 0 {
		t.Errorf("before there is a plan: %v", got)
	}
	if limit := (power.Steps{Machine: true, DaemonLimit: stopForever}).Limit(); limit > stopForever+5*time.Minute {
		t.Errorf("the steps may take %v, and are cut short before", limit)
	}
}
