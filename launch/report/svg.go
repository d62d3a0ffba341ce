package report

import (
	"io"
	"strconv"
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
	bottom := svgTop + svgRow*len(t.lines)
	width, height := strconv.Itoa(svgWidth), strconv.Itoa(bottom+svgRow*len(t.notes)+svgMargin)
	var b page
	b.add(`<svg xmlns="http://www.w3.org/2000/svg" width="`, width, `" height="`, height, `" viewBox="0 0 `, width, ` `, height,
		`" font-family="sans-serif" font-size="12">`, "\n<title>")
	b.text(t.title)
	b.add("</title>\n", `<rect width="100%" height="100%" fill="#ffffff"/>`, "\n")
	b.label(svgMargin, 22, ` font-weight="bold"`, cut(t.title, 130))
	t.scale(&b, bottom)
	for i := range t.lines {
		t.draw(&b, &t.lines[i], svgTop+svgRow*i)
	}
	for i, note := range t.notes {
		b.label(svgMargin, bottom+svgRow*i+14, "", cut(note, 150))
	}
	b.add("</svg>\n")
	_, err := w.Write(b)
	return err
}

// scale draws a line for each round number of milliseconds.
func (t *timeline) scale(b *page, bottom int) {
	step := tick(t.until - t.from)
	for at := t.from / step * step; at <= t.until; at += step {
		x := svgMargin + svgNames + t.place(at, svgBars)
		b.add(`<path d="M`, strconv.Itoa(x), ` `, strconv.Itoa(svgTop-6), `V`, strconv.Itoa(bottom), `" stroke="#dddddd"/>`, "\n")
		b.label(x, svgTop-12, ` text-anchor="middle"`, millis(at)+" ms")
	}
}

// tick is the step of a scale: 1, 2 or 5 times a power of ten, so that there are at most svgTicks.
func tick(whole time.Duration) time.Duration {
	for step := time.Millisecond / 10; ; step *= 10 {
		for _, n := range [...]time.Duration{1, 2, 5} {
			if whole <= n*step*svgTicks {
				return n * step
			}
		}
	}
}

// draw draws one line, whose upper edge is at y.
func (t *timeline) draw(b *page, l *line, y int) {
	style := ""
	if l.shape == heading {
		style = ` font-weight="bold"`
	}
	b.label(svgMargin+14*l.indent, y+14, style, cut(l.name, svgName-2*l.indent))
	if l.shape == heading {
		return
	}
	begin := svgMargin + svgNames + t.place(l.begin, svgBars)
	end := svgMargin + svgNames + t.place(l.end, svgBars)
	top := strconv.Itoa(y + 3)
	after := millis(l.end-l.begin) + " ms"
	if l.shape == moment {
		after = millis(l.begin) + " ms"
		b.add(`<path d="M`, strconv.Itoa(begin), ` `, top, `l5 7l-5 7l-5 -7z" fill="`, fill(l.kind), `"/>`, "\n")
	} else {
		b.add(`<rect x="`, strconv.Itoa(begin), `" y="`, top, `" width="`, strconv.Itoa(max(end-begin, 1)), `" height="14" fill="`, fill(l.kind), `"><title>`)
		b.text(l.name + ": " + millis(l.begin) + " to " + millis(l.end) + " ms")
		b.add("</title></rect>\n")
	}
	b.label(end+8, y+14, "", after)
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

// text adds text, in which nothing is markup.
func (p *page) text(text string) {
	for i := range len(text) {
		switch text[i] {
		case '&':
			p.add("&amp;")
		case '<':
			p.add("&lt;")
		case '>':
			p.add("&gt;")
		default:
			p.add(text[i : i+1])
		}
	}
}

// label adds text at a place; attributes are further ones, each with a space in front.
func (p *page) label(x, y int, attributes, text string) {
	p.add(`<text x="`, strconv.Itoa(x), `" y="`, strconv.Itoa(y), `"`, attributes, `>`)
	p.text(text)
	p.add("</text>\n")
}
