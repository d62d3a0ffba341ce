package report

import (
	"io"
	"strconv"
	"strings"
	"time"
)

// The measures of the drawing, in pixels.
const (
	svgWidth  = 960
	svgNames  = 300 // the column of names
	svgTimes  = 90  // the column behind the bars, for how long each took
	svgRow    = 20
	svgTop    = 58 // title and scale
	svgMargin = 12
	svgBars   = svgWidth - svgNames - svgTimes - 2*svgMargin
	// svgName is how many characters fit into the column of names.
	svgName = 44
	// svgTicks is the most that the scale is divided into.
	svgTicks = 10
)

// WriteSVG draws the report as a picture (SVG 1.1) that stands alone: no scripts, no style sheets, nothing fetched.
func (r *Run) WriteSVG(w io.Writer) error {
	t := r.timeline()
	height := svgTop + svgRow*(len(t.lines)+len(t.notes)) + svgMargin
	d := drawing{}
	d.raw(`<svg xmlns="http://www.w3.org/2000/svg" width="`, svgWidth, `" height="`, height, `" viewBox="0 0 `, svgWidth, ` `, height,
		`" font-family="sans-serif" font-size="12">`, "\n")
	d.raw(`<title>`).text(t.title).raw("</title>\n")
	d.raw(`<rect width="100%" height="100%" fill="#ffffff"/>`, "\n")
	d.label(svgMargin, 22, "", "bold", cut(t.title, 130))
	t.scale(&d, height-svgMargin-svgRow*len(t.notes))
	for i, l := range t.lines {
		t.draw(&d, l, svgTop+svgRow*i)
	}
	for i, note := range t.notes {
		d.label(svgMargin, svgTop+svgRow*(len(t.lines)+i)+14, "", "", cut(note, 150))
	}
	d.raw("</svg>\n")
	_, err := io.WriteString(w, d.String())
	return err
}

// scale draws a line for each round number of milliseconds.
func (t *timeline) scale(d *drawing, bottom int) {
	step := tick(t.until - t.from)
	first := t.from / step * step
	for at := first; at <= t.until; at += step {
		if at < t.from {
			continue
		}
		x := svgMargin + svgNames + t.place(at, svgBars)
		d.raw(`<path d="M`, x, ` `, svgTop-6, `V`, bottom, `" stroke="#dddddd"/>`, "\n")
		d.label(x, svgTop-12, "middle", "", strconv.FormatFloat(float64(at)/float64(time.Millisecond), 'f', -1, 64)+" ms")
	}
}

// tick is the step of a scale: 1, 2 or 5 times a power of ten, so that there are at most svgTicks.
func tick(whole time.Duration) time.Duration {
	for step := time.Millisecond / 10; ; step *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if whole <= n*step*svgTicks {
				return n * step
			}
		}
	}
}

// draw draws one line, whose upper edge is at y.
func (t *timeline) draw(d *drawing, l line, y int) {
	weight := ""
	if l.heading {
		weight = "bold"
	}
	d.label(svgMargin+14*l.indent, y+14, "", weight, cut(l.name, svgName-2*l.indent))
	if l.heading {
		return
	}
	left := svgMargin + svgNames
	begin, end := left+t.place(l.begin, svgBars), left+t.place(l.end, svgBars)
	if l.moment {
		d.raw(`<path d="M`, begin, ` `, y+3, `l5 7l-5 7l-5 -7z" fill="`, fill(l.kind), `"/>`, "\n")
		d.label(begin+10, y+14, "", "", millis(l.begin)+" ms")
		return
	}
	d.raw(`<rect x="`, begin, `" y="`, y+3, `" width="`, max(end-begin, 1), `" height="14" fill="`, fill(l.kind), `"><title>`)
	d.text(l.name + ": " + millis(l.begin) + " to " + millis(l.end) + " ms").raw("</title></rect>\n")
	d.label(end+6, y+14, "", "", millis(l.end-l.begin)+" ms")
}

// fill is a colour that can be told from the others on paper and with colour-blind eyes (Okabe and Ito's palette).
func fill(k kind) string {
	switch k {
	case ofKernel:
		return "#cc79a7"
	case ofLauncher:
		return "#0072b2"
	case ofContainerd:
		return "#56b4e9"
	case ofDaemon:
		return "#009e73"
	case ofWarning:
		return "#e69f00"
	case ofFailure:
		return "#d55e00"
	}
	return "#999999"
}

// drawing is a document that is being written.
type drawing struct{ strings.Builder }

// raw adds markup: strings and numbers.
func (d *drawing) raw(parts ...any) *drawing {
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			d.WriteString(part)
		case int:
			d.WriteString(strconv.Itoa(part))
		}
	}
	return d
}

// text adds text, in which nothing is markup.
func (d *drawing) text(text string) *drawing {
	for _, r := range text {
		switch r {
		case '&':
			d.WriteString("&amp;")
		case '<':
			d.WriteString("&lt;")
		case '>':
			d.WriteString("&gt;")
		default:
			d.WriteRune(r)
		}
	}
	return d
}

// label adds text at a place.
func (d *drawing) label(x, y int, anchor, weight, text string) {
	d.raw(`<text x="`, x, `" y="`, y, `"`)
	if anchor != "" {
		d.raw(` text-anchor="`, anchor, `"`)
	}
	if weight != "" {
		d.raw(` font-weight="`, weight, `"`)
	}
	d.raw(`>`).text(text).raw("</text>\n")
}
