package report

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Style says how WriteText draws.
type Style struct {
	// Width is that of the terminal, in columns; less than minWidth counts as that.
	Width int
	// Color asks for colours, by the escape sequences of ECMA-48.
	Color bool
	// ASCII asks for bars of #, for terminals without UTF-8.
	ASCII bool
}

const (
	minWidth = 48
	// timeWidth is that of the two columns of milliseconds, with the space in front of each.
	timeWidth = 2 * (1 + 9)
	// barWidth is the least that the bars are left with.
	barWidth = 12
)

// WriteText draws the report for a terminal: a line for each thing that took time, when it began and how long it took in
// milliseconds since the launcher began, and a bar. No line of the drawing is longer than the terminal is wide.
func (r *Run) WriteText(w io.Writer, s Style) error {
	t := r.timeline()
	width := max(s.Width, minWidth)
	names := utf8.RuneCountInString("began")
	for _, l := range t.lines {
		names = max(names, 2*l.indent+utf8.RuneCountInString(l.name))
	}
	names = min(names, nameLimit, width-timeWidth-2-barWidth)
	bars := width - names - timeWidth - 2

	var b page
	b.add(t.title, "\n", strings.Repeat(" ", names), right("began", timeWidth/2), right("took ms", timeWidth/2), "\n")
	for _, l := range t.lines {
		name := cut(strings.Repeat("  ", l.indent)+l.name, names)
		if l.shape == heading {
			b.add(name, "\n")
			continue
		}
		took := ""
		if l.shape == bar {
			took = millis(l.end - l.begin)
		}
		b.add(name, strings.Repeat(" ", names-utf8.RuneCountInString(name)), right(millis(l.begin), timeWidth/2), right(took, timeWidth/2))
		t.bar(&b, l, bars, s)
	}
	for _, note := range t.notes {
		b.add(note, "\n")
	}
	_, err := w.Write(b)
	return err
}

// page is a text that is being written.
type page []byte

// add is called from so many places that as a part of each it would make the program larger by kilobytes.
//
//go:noinline
func (p *page) add(parts ...string) {
	for _, part := range parts {
		*p = append(*p, part...)
	}
}

// bar draws a line's bar in so many columns. What is too short to be seen still gets a column.
func (t *timeline) bar(b *page, l line, columns int, s Style) {
	begin := min(t.place(l.begin, columns), columns-1)
	length := max(t.place(l.end, columns)-begin, 1)
	mark := "█"
	switch {
	case l.shape == moment && s.ASCII:
		mark = "|"
	case l.shape == moment:
		mark = "◆"
	case s.ASCII:
		mark = "#"
	}
	on, off := "", ""
	if s.Color {
		on, off = "\x1b["+color(l.kind)+"m", "\x1b[0m"
	}
	b.add(strings.Repeat(" ", 2+begin), on, strings.Repeat(mark, length), off, "\n")
}

// place is where a moment lies between the first and the last, out of so many parts.
func (t *timeline) place(at time.Duration, parts int) int {
	if t.until <= t.from {
		return 0
	}
	share := float64(at-t.from) / float64(t.until-t.from)
	return int(min(max(share, 0), 1) * float64(parts))
}

// color is a foreground colour of ECMA-48.
func color(k kind) string {
	switch k {
	case ofKernel:
		return "35"
	case ofLauncher:
		return "34"
	case ofContainerd:
		return "36"
	case ofDaemon:
		return "32"
	case ofWarning:
		return "33"
	case ofFailure:
		return "31"
	}
	return "37"
}

// millis is a time in milliseconds, with one decimal.
func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64)
}

// right aligns a text to the right in a column.
//
//go:noinline
func right(text string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 1)) + text
}

// count is a number of things.
func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}
