package kconfig

import (
	"slices"
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
	var b strings.Builder
	say := func(what, text string) {
		if text != "" {
			b.WriteString("  " + what + ": " + text + "\n")
		}
	}
	b.WriteString("CONFIG_" + o.name + " (" + o.group + ")\n")
	say("asked for", o.asking())
	say("in kernels", o.kernels())
	if o.marks&unwanted != 0 {
		say("lost where it is on", o.lost)
	} else {
		say("lost without it", o.lost)
	}
	say("as bad as", o.weight())
	say("also served by", alternatives(o.alt))
	say("took its place", prefixed(o.instead))
	say("needs", alternatives(o.needs))
	say("module", o.modules())
	if o.marks&unwanted != 0 {
		say("what to do", either("build the kernel with CONFIG_"+o.name+" off", o.fix))
	} else {
		say("what to do", either(o.build(), o.fix))
	}
	say("to know", o.note)
	switch {
	case o.marks&listed != 0:
		say("elsewhere", "moby's contrib/check-config.sh lists it as generally necessary")
	case o.marks&extra != 0:
		say("elsewhere", "moby's contrib/check-config.sh lists it as optional")
	}
	return b.String(), nil
}

func (o *option) asking() string {
	text := o.when.text()
	if o.asked != "" {
		text += ", up to kernel " + o.asked
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
	switch {
	case o.marks&outside != 0 && o.until == "":
		return "none of the mainline: it comes as a patch or a module of its own"
	case o.marks&outside != 0:
		return "patched ones, up to " + o.until
	case o.since == "" && o.until == "":
		return "all"
	case o.since == "":
		return "up to " + o.until
	case o.until == "":
		return o.since + " and later"
	}
	return o.since + " to " + o.until
}

func (o *option) weight() string {
	text := string(o.severity)
	if o.worse != 0 {
		text += ", " + string(o.worst) + " " + o.worse.text()
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

func prefixed(name string) string {
	if name == "" {
		return ""
	}
	return "CONFIG_" + name
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
	slices.SortStableFunc(all, func(a, b candidate) int { return a.distance - b.distance })
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
