package nested

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// stopMargin is how much longer than the containers inside the end of the whole may take.
const stopMargin = 500 * time.Millisecond

// TestZombies: of 200 short containers no process is left.
func TestZombies(t *testing.T) {
	o := theOuterDocker(t)
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker").ready().guest()
	// Four at a time, by one shell, as the outer Docker's work is none of it. Each of them has a shim, a runc and a
	// docker-init, whose orphans come to the launcher.
	const rounds = 50
	before := len(d.processes())
	const script = `round=0; while [ $round -lt ROUNDS ]; do
		for one in 1 2 3 4; do docker run --rm --init --network none guest exit 0 || echo failed & done
		wait; round=$((round+1)); done`
	if out, err := o.try(t, nil, "exec", d.name, "sh", "-c", strings.Replace(script, "ROUNDS", strconv.Itoa(rounds), 1)); err != nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
	// What has just ended may be on its way.
	eventually(t, "no process is left", func() bool { return len(d.zombies()) == 0 && len(d.processes()) <= before })
}

// TestStop: docker stop ends the Docker inside with status 0, as soon as its own containers have ended.
func TestStop(t *testing.T) {
	o := theOuterDocker(t)
	for _, pause := range []time.Duration{0, 2 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			// What else the machine does can only add to the time, so that the best of some tries counts.
			var best time.Duration
			for try := range 5 {
				took := o.stop(t, pause)
				if try == 0 || took < best {
					best = took
				}
				if best <= pause+stopMargin {
					break
				}
			}
			t.Logf("with containers that take %v to stop: %v", pause, best.Round(time.Millisecond))
			if best > pause+stopMargin {
				t.Errorf("it is stopped after %v, where its containers need %v", best, pause)
			}
		})
	}
}

// stop starts a Docker with containers that take some time to stop, stops it, and returns how long that took.
func (o *outer) stop(t *testing.T, pause time.Duration) time.Duration {
	t.Helper()
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker").ready().guest()
	for range 2 {
		d.docker("run", "-d", "guest", "wait", pause.String())
	}
	ids := strings.Fields(d.docker("ps", "-q"))
	for _, id := range ids {
		eventually(t, "it waits", func() bool { return d.docker("logs", id) == "waiting" })
	}
	if len(ids) != 2 {
		t.Fatalf("the containers are %q", ids)
	}
	o.docker(t, "stop", "-t", "30", d.name)
	if got := o.docker(t, "inspect", "--format", "{{.State.ExitCode}}", d.name); got != "0" {
		t.Errorf("docker stop ends it with status %s", got)
	}
	return d.stopTook()
}

// stopTook is the time from the SIGTERM that the outer Docker sends to the container's end.
func (d *dind) stopTook() time.Duration {
	d.t.Helper()
	now := time.Now()
	text := d.o.docker(d.t, "events", "--since", "5m", "--until", fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()), "--filter", "container="+d.name,
		"--filter", "event=kill", "--filter", "event=die", "--format", "{{.TimeNano}}")
	times := strings.Fields(text)
	if len(times) < 2 {
		d.t.Fatalf("the events are %q", text)
	}
	first, err := strconv.ParseInt(times[0], 10, 64)
	if err != nil {
		d.t.Fatal(err)
	}
	last, err := strconv.ParseInt(times[len(times)-1], 10, 64)
	if err != nil {
		d.t.Fatal(err)
	}
	return time.Duration(last - first)
}
