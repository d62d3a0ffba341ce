// Package render writes the report of a check for people and for programs.
package render

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// Options say how a report looks.
type Options struct {
	// Width is how many columns there are; DefaultWidth where it is 0, and never less than MinWidth.
	Width int
	// Color is for terminals.
	Color bool
	// Verbose shows also what is fine, what few need and what is not asked for.
	Verbose bool
}

// DefaultWidth is that of a report that goes to no terminal, and MinWidth the least, in columns.
const (
	DefaultWidth = 100
	MinWidth     = 40
)

// JSON writes a report as docs/check.schema.json has it.
func JSON(w io.Writer, r *check.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// rank orders findings, the worst first; what is not shown but for Verbose begins with minor.
type rank int

const (
	fatal rank = iota
	degraded
	open // fatal, if it should be missing
	minor
	unknown
	needless
	fine
	ranks
)

func rankOf(f *finding.Finding) rank {
	switch {
	case f.Bad() && f.Severity == finding.Fatal:
		return fatal
	case f.Bad() && f.Severity == finding.Degraded:
		return degraded
	case f.Bad():
		return minor
	case f.Status == finding.Unknown && f.Severity == finding.Fatal:
		return open
	case f.Status == finding.Unknown:
		return unknown
	case f.Status == finding.NotApplicable:
		return needless
	}
	return fine
}

func (r rank) label() (text, color string) {
	switch r {
	case fatal:
		return "FATAL", "1;31"
	case degraded:
		return "lost", "33"
	case open, unknown:
		return "unknown", "36"
	case minor:
		return "minor", "2"
	case needless:
		return "unasked", "2"
	}
	return "ok", "32"
}

// printer collects the text.
type printer struct {
	Options
	strings.Builder
}

// Text writes a report for a person: the verdict, what it is about, and by area what is lost, the worst first.
func Text(w io.Writer, r *check.Report, o Options) error {
	p := &printer{Options: o}
	if p.Width == 0 {
		p.Width = DefaultWidth
	}
	p.Width = max(p.Width, MinWidth)
	counts := [ranks]int{}
	for i := range r.Findings {
		counts[rankOf(&r.Findings[i])]++
	}
	p.wrap(0, 0, p.paint(verdict(r.Verdict, counts)))
	p.wrap(0, 0, about(r))
	p.areas(r.Findings)
	if !o.Verbose {
		p.rest(r, counts)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// verdict is the first line, and its colour.
func verdict(v finding.Conclusion, counts [ranks]int) (text, color string) {
	switch v {
	case finding.WillFail:
		return "Docker will not run: " + count(counts[fatal], "thing is", "things are") + " missing that it cannot do without.", "1;31"
	case finding.WithLoss:
		var parts []string
		if n := counts[degraded]; n > 0 {
			parts = append(parts, count(n, "feature is", "features are")+" lost")
		}
		if n := counts[open]; n > 0 {
			parts = append(parts, count(n, "thing", "things")+" that it cannot do without could not be told")
		}
		return "Docker will run, but " + strings.Join(parts, ", and ") + ".", "1;33"
	}
	return "Docker will run.", "1;32"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// about tells what was judged.
func about(r *check.Report) string {
	release := r.Kernel.Release
	if release == "" {
		release = "of unknown release"
	}
	parts := []string{"kernel " + release + " (" + r.Kernel.Source + ")"}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+value)
		}
	}
	c := r.Conditions
	add("cgroup ", c.Cgroup)
	add("Docker ", c.Docker)
	add("iptables ", string(c.Firewall))
	add("data-root on ", c.DataFS)
	add("as a ", string(c.For))
	return strings.Join(parts, ", ")
}

// areaOrder is that of the areas whose worst findings are alike.
var areaOrder = [...]finding.Area{finding.Kernel, finding.Cgroup, finding.Storage, finding.Program, finding.Limit, finding.Security}

// areas writes what there is of each area, that with the worst finding first and the worst of each first.
func (p *printer) areas(findings []finding.Finding) {
	var written [len(areaOrder)]bool
	last := open
	if p.Verbose {
		last = fine
	}
	for worst := range last + 1 {
		for i, area := range areaOrder {
			if written[i] || !has(findings, area, worst) {
				continue
			}
			written[i] = true
			p.WriteString("\n" + p.paint(string(area), "1") + "\n")
			for r := worst; r <= last; r++ {
				for k := range findings {
					if f := &findings[k]; f.Area == area && rankOf(f) == r {
						p.finding(f)
					}
				}
			}
		}
	}
}

func has(findings []finding.Finding, area finding.Area, r rank) bool {
	for i := range findings {
		if findings[i].Area == area && rankOf(&findings[i]) == r {
			return true
		}
	}
	return false
}

// column is where the text of findings begins.
const column = 10

func (p *printer) finding(f *finding.Finding) {
	r := rankOf(f)
	label, color := r.label()
	name := strings.TrimPrefix(f.ID, string(f.Area)+".")
	if f.Bad() {
		name += " is " + string(f.Status)
	}
	p.WriteString("  " + p.paint(label, color) + strings.Repeat(" ", column-2-len(label)))
	if r >= open && f.Note != "" {
		p.wrap(column, column, name+": "+f.Note)
	} else {
		p.wrap(column, column, name)
	}
	// Where the note begins by saying the same once more, the rest of it does.
	if why := strings.TrimPrefix(f.Note, name+", "); r < open && why != "" {
		p.field("why", why)
	}
	if f.Bad() && f.Lost != "" {
		p.field("lost", f.Lost)
	}
	if f.Fix != "" && r != fine {
		p.field("do", f.Fix)
	}
}

func (p *printer) field(name, text string) {
	p.WriteString(strings.Repeat(" ", column) + p.paint(name, "2") + strings.Repeat(" ", 6-len(name)))
	p.wrap(column+6, column+6, text)
}

// rest names what is left out.
func (p *printer) rest(r *check.Report, counts [ranks]int) {
	var names []string
	for i := range r.Findings {
		if f := &r.Findings[i]; rankOf(f) == minor {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(f.ID, "kernel."), "CONFIG_"))
		}
	}
	p.WriteString("\n")
	if len(names) > 0 {
		p.wrap(0, 2, "Missing too, and needed by few: "+strings.Join(names, ", "))
	}
	text := count(counts[fine], "thing is", "things are") + " fine"
	if n := counts[unknown]; n > 0 {
		text += ", " + strconv.Itoa(n) + " of less weight could not be told"
	}
	p.wrap(0, 0, text+"; --verbose shows all, --explain CONFIG_X tells about an option.")
}

func (p *printer) paint(text, color string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// wrap writes text, of which used columns of the line are taken, in lines of the width, indented from the second on.
func (p *printer) wrap(used, indent int, text string) {
	first := true
	for word := range strings.FieldsSeq(text) {
		length := columns(word)
		switch {
		case first:
		case used+1+length > p.Width:
			p.WriteString("\n" + strings.Repeat(" ", indent))
			used = indent
		default:
			p.WriteString(" ")
			used++
		}
		p.WriteString(word)
		used, first = used+length, false
	}
	p.WriteString("\n")
}

// columns is how wide a word is, without the codes of colours.
func columns(word string) int {
	n := utf8.RuneCountInString(word)
	for rest := word; ; {
		_, after, ok := strings.Cut(rest, "\x1b[")
		if !ok {
			return n
		}
		code, tail, _ := strings.Cut(after, "m")
		n -= 3 + len(code)
		rest = tail
	}
}
