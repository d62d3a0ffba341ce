package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
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

// line is one line of a timeline: a heading, a bar, or a moment.
type line struct {
	name       string
	indent     int
	kind       kind
	begin, end time.Duration // since the launcher began
	// heading has no time of its own; moment has no length.
	heading, moment bool
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
func (r *Run) timeline() timeline {
	t := timeline{title: r.title(), from: -bounded(max(r.Boot, 0))}
	t.until = r.end()
	if t.from < 0 {
		t.lines = append(t.lines, line{name: "kernel", kind: ofKernel, begin: t.from})
	}
	t.launcher(r)
	for _, who := range programs(r.Events) {
		t.program(r, who)
	}
	if ready := bounded(r.Ready); ready > 0 {
		t.lines = append(t.lines, line{name: "ready", kind: ofDaemon, begin: ready, end: ready, moment: true})
	}
	for _, s := range r.Steps {
		if s.Outcome == "warned" || s.Outcome == "failed" {
			t.notes = append(t.notes, plain(s.Outcome+": "+s.Name+": "+s.Reason))
		}
	}
	if r.Error != "" {
		t.notes = append(t.notes, "not started: "+plain(r.Error))
	}
	return t
}

// title is the first line.
func (r *Run) title() string {
	text := "dockerlaunch " + plain(r.Version) + ", " + plain(r.Habitat) + ", kernel " + plain(r.Kernel)
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
	return text
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
	t.lines = append(t.lines, line{name: "launcher", kind: ofLauncher, heading: true})
	if first := bounded(r.Steps[0].Began); first > 0 {
		t.lines = append(t.lines, line{name: "looks at the system", indent: 1, kind: ofLauncher, end: first})
	}
	shown := max(shortest, (t.until-t.from)/200)
	var lanes []string
	for _, s := range r.Steps {
		if !slices.Contains(lanes, s.Lane) {
			lanes = append(lanes, s.Lane)
		}
	}
	for _, lane := range lanes {
		whole := line{name: plain(lane), indent: 1, kind: ofLauncher, begin: timeLimit}
		var steps []line
		hidden := 0
		for _, s := range r.Steps {
			if s.Lane != lane {
				continue
			}
			l := line{name: plain(s.Name), indent: 2, kind: ofStep(s.Outcome), begin: bounded(s.Began)}
			l.end = l.begin + max(bounded(s.Took), 0)
			whole.begin, whole.end = min(whole.begin, l.begin), max(whole.end, l.end)
			if l.end-l.begin >= shown || l.kind == ofFailure {
				steps = append(steps, l)
			} else {
				hidden++
			}
		}
		if hidden > 0 {
			whole.name += " (" + count(hidden, "short step") + ")"
		}
		t.lines = append(append(t.lines, whole), steps...)
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
	var events []Event
	for _, e := range r.Events {
		if e.Who == who {
			events = append(events, e)
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(bounded(a.At), bounded(b.At)) })
	t.lines = append(t.lines, line{name: plain(who), kind: k, heading: true})
	for i, e := range events {
		l := line{name: plain(e.What), indent: 1, kind: k, begin: bounded(e.At), end: bounded(e.At), moment: true}
		if i+1 < len(events) {
			l.end, l.moment = bounded(events[i+1].At), false
		} else if e.What == "ready" && r.Ready > 0 {
			continue // it has a line of its own
		}
		t.lines = append(t.lines, l)
	}
}

// bounded keeps a time within what can be drawn.
func bounded(d time.Duration) time.Duration { return min(max(d, -timeLimit), timeLimit) }

// plain makes one line of a text, of characters that can be shown and that XML may hold.
func plain(text string) string {
	if text == "" {
		return "?"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			if unicode.IsSpace(r) {
				return ' '
			}
			return '?'
		}
		return r
	}, text)
}

// cut shortens a text to so many characters.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)
	if limit < 3 {
		return string(runes[:max(limit, 0)])
	}
	return string(runes[:limit-2]) + ".."
}
