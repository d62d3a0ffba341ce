package report

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is what a line of a timeline is about, which decides its colour.
type kind int

const (
	ofKernel kind = iota
	ofLauncher
	ofContainerd
	ofDaemon
	ofOther
	ofWarning
	ofFailure
)

// shape is how a line is drawn.
type shape int

const (
	bar     shape = iota // from begin to end
	moment               // at begin
	heading              // not at all: what is below it belongs to it
)

// line is one line of a timeline.
type line struct {
	shape      shape
	kind       kind
	indent     int
	name       string
	begin, end time.Duration // since the launcher began
}

// timeline is a report made ready to be drawn.
type timeline struct {
	title       string
	lines       []line
	from, until time.Duration
	// notes are what went wrong, in full.
	notes []string
}

const (
	// timeLimit bounds the times of a report that somebody else wrote, so that none can overflow.
	timeLimit = 1000 * time.Hour
	// shortest is the length below which a step never has a line of its own; one has to be a two-hundredth of the start, too.
	shortest = 200 * time.Microsecond
	// nameLimit is the longest name, in characters.
	nameLimit = 60
)

// timeline arranges the report: the kernel, the launcher's steps by lane, then each program with its phases. Steps that are
// too short to be seen are counted, but for those that failed.
func (r *Run) timeline() *timeline {
	t := &timeline{title: r.title(), from: -bounded(max(r.Boot, 0)), until: r.end()}
	if t.from < 0 {
		t.add(bar, ofKernel, 0, "kernel", t.from, 0)
	}
	t.launcher(r)
	for _, who := range programs(r.Events) {
		t.program(r, who)
	}
	if ready := bounded(r.Ready); ready > 0 {
		t.add(moment, ofDaemon, 0, "ready", ready, ready)
	}
	for _, s := range r.Steps {
		if s.Outcome == "warned" || s.Outcome == "failed" {
			t.notes = append(t.notes, plain(s.Outcome+": "+s.Name+": "+s.Reason))
		}
	}
	if r.Error != "" {
		t.notes = append(t.notes, plain("not started: "+r.Error))
	}
	return t
}

// add adds a line. It is not made a part of its callers for the same reason as page's.
//
//go:noinline
func (t *timeline) add(s shape, k kind, indent int, name string, begin, end time.Duration) {
	t.lines = append(t.lines, line{s, k, indent, plain(name), begin, max(begin, end)})
}

// title is the first line.
func (r *Run) title() string {
	text := "dockerlaunch " + r.Version + ", " + r.Habitat + ", kernel " + r.Kernel
	switch {
	case r.Error != "":
		text += ": the daemon was not started"
	case r.Ready > 0:
		text += ": ready after " + millis(bounded(r.Ready)) + " ms"
		if r.Boot > 0 {
			text += ", and " + millis(bounded(r.Boot)+bounded(r.Ready)) + " ms after the kernel"
		}
	default:
		text += ": not ready"
	}
	return plain(text)
}

// end is when the last thing happened.
func (r *Run) end() time.Duration {
	end := max(bounded(r.Ready), 0)
	for _, s := range r.Steps {
		end = max(end, bounded(s.Began)+bounded(s.Took))
	}
	for _, e := range r.Events {
		end = max(end, bounded(e.At))
	}
	return end
}

// launcher adds the steps by their lanes.
func (t *timeline) launcher(r *Run) {
	if len(r.Steps) == 0 {
		return
	}
	t.add(heading, ofLauncher, 0, "launcher", 0, 0)
	if first := bounded(r.Steps[0].Began); first > 0 {
		t.add(bar, ofLauncher, 1, "looks at the system", 0, first)
	}
	var lanes []string
	for i := range r.Steps {
		if lane := r.Steps[i].Lane; !slices.Contains(lanes, lane) {
			lanes = append(lanes, lane)
			t.lane(r.Steps, lane)
		}
	}
}

// lane adds a lane from its first step to its last, and of its steps those that can be seen.
func (t *timeline) lane(steps []Step, lane string) {
	shown := max(shortest, (t.until-t.from)/200)
	whole, hidden := len(t.lines), 0
	t.add(bar, ofLauncher, 1, lane, timeLimit, timeLimit)
	begin, end := timeLimit, -timeLimit
	for i := range steps {
		s := &steps[i]
		if s.Lane != lane {
			continue
		}
		from := bounded(s.Began)
		to := from + max(bounded(s.Took), 0)
		begin, end = min(begin, from), max(end, to)
		if k := ofStep(s.Outcome); to-from >= shown || k == ofFailure {
			t.add(bar, k, 2, s.Name, from, to)
		} else {
			hidden++
		}
	}
	l := &t.lines[whole]
	l.begin, l.end = begin, end
	if hidden > 0 {
		l.name += " (" + count(hidden, "short step") + ")"
	}
}

func ofStep(outcome string) kind {
	switch outcome {
	case "warned":
		return ofWarning
	case "failed":
		return ofFailure
	}
	return ofLauncher
}

// programs lists those that events are of, in their order.
func programs(events []Event) []string {
	var list []string
	for _, e := range events {
		if !slices.Contains(list, e.Who) {
			list = append(list, e.Who)
		}
	}
	return list
}

// program adds the phases of a program: each begins with one of its events and ends with the next.
func (t *timeline) program(r *Run, who string) {
	k := ofOther
	switch who {
	case "containerd":
		k = ofContainerd
	case "dockerd":
		k = ofDaemon
	case "launcher":
		k = ofLauncher
	}
	t.add(heading, k, 0, who, 0, 0)
	last := -1 // the line of the event before
	for _, e := range r.Events {
		if e.Who != who {
			continue
		}
		at := bounded(e.At)
		if last >= 0 {
			before := &t.lines[last]
			before.shape, before.end = bar, max(before.begin, at)
		}
		if e.What == "ready" && r.Ready > 0 {
			return // it has a line of its own
		}
		last = len(t.lines)
		t.add(moment, k, 1, e.What, at, at)
	}
}

// bounded keeps a time within what can be drawn.
func bounded(d time.Duration) time.Duration { return min(max(d, -timeLimit), timeLimit) }

// plain makes one line of a text, of characters that can be shown and that XML may hold.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == utf8.RuneError || !strconv.IsPrint(r):
			return '?'
		}
		return r
	}, text)
}

// cut shortens a text to so many characters, which are two at least.
func cut(text string, limit int) string {
	n, keep := 0, 0
	for i := range text {
		n++
		if n == limit-1 {
			keep = i // of which two dots make the limit
		}
		if n > limit {
			return text[:keep] + ".."
		}
	}
	return text
}
