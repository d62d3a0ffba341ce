package kconfig

import (
	"sort"
	"strings"
)

// UnknownOptionError is returned for an option that the table does not have.
type UnknownOptionError struct {
	Name string
	// Nearest are options of the table with similar names, best first.
	Nearest []string
}

func (e *UnknownOptionError) Error() string {
	text := "CONFIG_" + e.Name + " is not among the options that matter to Docker"
	if len(e.Nearest) > 0 {
		text += "; similar ones are CONFIG_" + strings.Join(e.Nearest, ", CONFIG_")
	}
	return text
}

// Explain tells all there is to know about an option, as lines of text: what it is good for and when, the kernels that have
// it, what became of it, and how to turn it on. The name may be in any case, with or without CONFIG_. One that the table does
// not have is an *UnknownOptionError.
func Explain(name string) (string, error) {
	name = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "CONFIG_")
	o := find(name)
	if o == nil {
		return "", &UnknownOptionError{Name: clip(name), Nearest: nearest(name)}
	}
	lost, todo := "lost without it", either(o.build(), o.fix)
	if o.marks&unwanted != 0 {
		lost, todo = "lost where it is on", either("build the kernel with CONFIG_"+o.name+" off", o.fix)
	}
	elsewhere := ""
	switch {
	case o.marks&listed != 0:
		elsewhere = "moby's contrib/check-config.sh lists it as generally necessary"
	case o.marks&extra != 0:
		elsewhere = "moby's contrib/check-config.sh lists it as optional"
	}
	var b strings.Builder
	b.WriteString("CONFIG_" + o.name + " (" + o.group.String() + ")\n")
	for _, line := range [...][2]string{
		{"asked for", o.asking()}, {"in kernels", o.kernels()}, {lost, o.lost}, {"as bad as", o.badness()},
		{"also served by", alternatives(o.alt)}, {"took its place", alternatives(o.instead)}, {"needs", alternatives(o.needs)},
		{"module", o.modules()}, {"what to do", todo}, {"to know", o.note}, {"elsewhere", elsewhere},
	} {
		if line[1] != "" {
			b.WriteString("  " + line[0] + ": " + line[1] + "\n")
		}
	}
	return b.String(), nil
}

func (o *option) asking() string {
	text := o.when.text()
	if o.asked != 0 {
		text += ", up to kernel " + o.asked.String()
	}
	switch {
	case o.marks&helper != 0:
		text += "; it has no question of its own where others select it"
	case o.marks&unwanted != 0:
		text += "; to be off"
	}
	return text
}

func (o *option) kernels() string {
	since, until := o.since.String(), o.until.String()
	switch {
	case o.marks&outside != 0 && o.until == 0:
		return "none of the mainline: it comes as a patch or a module of its own"
	case o.marks&outside != 0:
		return "patched ones, up to " + until
	case o.since == 0 && o.until == 0:
		return "all"
	case o.since == 0:
		return "up to " + until
	case o.until == 0:
		return since + " and later"
	}
	return since + " to " + until
}

func (o *option) badness() string {
	text := string(o.severity.severity())
	if o.worse != 0 {
		text += ", " + string(o.worst.severity()) + " " + o.worse.text()
	}
	return text
}

// alternatives writes a list with bounds in words.
func alternatives(list string) string {
	var parts []string
	for item := range strings.FieldsSeq(list) {
		if name, bound, ok := strings.Cut(item, "<="); ok {
			item = name + " (up to " + bound + ")"
		} else if name, bound, ok := strings.Cut(item, ">="); ok {
			item = name + " (from " + bound + " on)"
		}
		parts = append(parts, "CONFIG_"+item)
	}
	return strings.Join(parts, ", ")
}

// nearest are up to three options whose names differ little, or contain what was asked for.
func nearest(name string) []string {
	if len(name) > 60 || name == "" {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	for _, n := range Names() {
		d := distance(name, n)
		if len(name) >= 3 && strings.Contains(n, name) {
			d = min(d, 1)
		}
		if d <= max(2, len(name)/3) {
			all = append(all, candidate{n, d})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].distance < all[j].distance })
	var names []string
	for _, c := range all[:min(3, len(all))] {
		names = append(names, c.name)
	}
	return names
}

// distance is how many characters have to be put in, taken out or changed to make one name of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
