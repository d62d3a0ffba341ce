package power

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestRequest(t *testing.T) {
	got := map[unix.Signal]Action{}
	for s := unix.Signal(1); s <= 64; s++ {
		if action, ok := Request(s); ok {
			got[s] = action
		}
	}
	want := map[unix.Signal]Action{
		unix.SIGTERM: Reboot, unix.SIGINT: Reboot, 39: Reboot,
		unix.SIGUSR2: PowerOff, unix.SIGPWR: PowerOff, 38: PowerOff,
		unix.SIGUSR1: Halt, 37: Halt,
		unix.SIGHUP: Reload,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	listed := map[unix.Signal]Action{}
	for _, s := range Signals() {
		listed[s], _ = Request(s)
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("Signals (-want +got):\n%s", diff)
	}
	for _, a := range []Action{Reboot, PowerOff, Halt, Reload} {
		if back, _ := Request(a.Signal()); back != a || a.Out() != (a != Reload) {
			t.Errorf("%s is asked for by a signal that asks to %s", a, back)
		}
	}
}

// Where it is not said that this is a machine, nothing may happen: the test would end here, and everything with it.
func TestDoInContainer(t *testing.T) {
	for _, a := range []Action{Reboot, PowerOff, Halt, Reload, ""} {
		if err := a.Do(false); err == nil {
			t.Errorf("%q: no error", a)
		}
	}
	if err := Reload.Do(true); err == nil {
		t.Error("reload is no way out")
	}
}
