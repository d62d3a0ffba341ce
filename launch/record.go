package launch

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
	"golang.org/x/sys/unix"
)

// maxEvents bounds what a daemon that talks a lot can add to the report before it is ready. The word that it is, and the loading of
// images, always have room.
const maxEvents = 61

// recorder keeps the report of this start. What happens once the daemon is ready is not part of it.
type recorder struct {
	mu   sync.Mutex
	run  report.Run
	over bool
}

func newRecorder(begin time.Time, version string) *recorder {
	return &recorder{run: report.Run{Version: version, Started: begin, Steps: []report.Step{}, Events: []report.Event{}}}
}

func (r *recorder) do(f func(*report.Run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		f(&r.run)
	}
}

func (r *recorder) step(result Result) {
	r.do(func(run *report.Run) {
		run.Steps = append(run.Steps, report.Step{
			Name: result.Step, Lane: string(result.Lane), Outcome: string(result.Outcome), Reason: result.Reason,
			Began: result.Began.Sub(run.Started), Took: result.Took,
		})
	})
}

func (r *recorder) event(who, what string) {
	r.do(func(run *report.Run) {
		if len(run.Events) < maxEvents {
			run.Events = append(run.Events, report.Event{Who: who, What: what, At: time.Since(run.Started)})
		}
	})
}

// planned notes what is known of the system and the daemon.
func (r *recorder) planned(p *Plan) {
	r.do(func(run *report.Run) {
		run.Habitat, run.Daemon = string(p.Habitat), append([]string{p.Command.Path}, p.Command.Args...)
		var uts unix.Utsname
		if err := unix.Uname(&uts); err == nil { // it only fails for a bad address
			run.Kernel = unix.ByteSliceToString(uts.Release[:])
		}
		var now unix.Timespec
		if p.Habitat == host.Machine && unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) == nil { // every kernel since 2.6.39 has it
			run.Boot = time.Duration(now.Nano()) - time.Since(run.Started)
		}
	})
}

// daemonSays notes a line of the daemon's log as one of its phases. The form is logrus's, time="..." level=info msg="...", or with
// --log-format=json {"level":"info","msg":"...","time":"..."}.
func (r *recorder) daemonSays(line string) {
	_, message, ok := strings.Cut(line, " level=info msg=")
	if !ok {
		_, message, ok = strings.Cut(line, `"level":"info","msg":`)
	}
	if !ok {
		return
	}
	if quoted, ok := strings.CutPrefix(message, `"`); ok {
		message, _, _ = strings.Cut(quoted, `"`)
	} else {
		message, _, _ = strings.Cut(message, " ")
	}
	r.event("dockerd", message)
}

// ready ends the report and writes it.
func (r *recorder) ready(took time.Duration) error {
	return r.write(func(run *report.Run) {
		run.Ready = took
		run.Events = append(run.Events, report.Event{Who: "dockerd", What: "ready", At: time.Since(run.Started)})
	})
}

// failed ends the report with the reason why there is no daemon, and writes it.
func (r *recorder) failed(err error) error {
	return r.write(func(run *report.Run) { run.Error = err.Error() })
}

// preloaded adds to the written report that image archives were loaded, which only begins when the daemon is ready.
func (r *recorder) preloaded(began time.Time, archives int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		return nil // the daemon was ready, and so the report was written, before
	}
	what := "1 archive"
	if archives != 1 {
		what = strconv.Itoa(archives) + " archives"
	}
	r.run.Events = append(r.run.Events,
		report.Event{Who: "preload", What: what, At: began.Sub(r.run.Started)},
		report.Event{Who: "preload", What: "done", At: time.Since(r.run.Started)})
	return r.run.Write(report.Path)
}

func (r *recorder) write(last func(*report.Run)) error {
	var err error
	r.do(func(run *report.Run) {
		last(run)
		r.over = true
		err = run.Write(report.Path)
	})
	return err
}
