package spdx

import (
	"errors"
	"slices"
	"strings"
)

// errNotMachineReadable is a copyright file that is not in Debian's machine-readable format.
var errNotMachineReadable = errors.New("the copyright file is not machine-readable")

// copyright is what a machine-readable copyright file says of licences.
// See https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/.
type copyright struct {
	// synopses are the first lines of the License fields of its Files paragraphs, sorted, each once.
	synopses []string
	// texts are the licences' texts, by the short name in lower case.
	texts map[string]string
}

// parseCopyright reads a copyright file. The error is errNotMachineReadable for one that does not say that it is in the format.
func parseCopyright(text string) (*copyright, error) {
	c := &copyright{texts: map[string]string{}}
	for i, p := range paragraphs(text) {
		if i == 0 {
			format := p["format"]
			if format == "" {
				format = p["format-specification"]
			}
			if lower := strings.ToLower(format); !strings.Contains(lower, "copyright-format") && !strings.Contains(lower, "dep5") && !strings.Contains(lower, "dep-5") {
				return nil, errNotMachineReadable
			}
			continue
		}
		synopsis, body, _ := strings.Cut(p["license"], "\n")
		if synopsis = strings.Join(strings.Fields(synopsis), " "); synopsis == "" {
			continue
		}
		if body = strings.TrimSpace(body); body != "" {
			key := strings.ToLower(synopsis)
			if old := c.texts[key]; old == "" {
				c.texts[key] = body
			} else if old != body && !strings.Contains(old, body) {
				c.texts[key] = old + "\n\n" + body
			}
		}
		if _, ok := p["files"]; ok {
			c.synopses = append(c.synopses, synopsis)
		}
	}
	slices.Sort(c.synopses)
	if c.synopses = slices.Compact(c.synopses); len(c.synopses) == 0 {
		return nil, errNotMachineReadable
	}
	return c, nil
}

// paragraphs reads deb822(5): fields by lower-case name, continued lines without their leading space, " ." for an empty one.
func paragraphs(text string) []map[string]string {
	var (
		all  []map[string]string
		now  map[string]string
		last string
	)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			now, last = nil, ""
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last == "" {
				continue
			}
			line = line[1:]
			if strings.TrimSpace(line) == "." {
				line = ""
			}
			now[last] += "\n" + line
		default:
			name, value, ok := strings.Cut(line, ":")
			if last = ""; !ok {
				continue
			}
			if now == nil {
				now = map[string]string{}
				all = append(all, now)
			}
			last = strings.ToLower(name)
			now[last] = strings.TrimSpace(value)
		}
	}
	return all
}

// expression gives all licences as one SPDX expression (annex D), and those that the SPDX list lacks with their texts, under
// names that begin with prefix.
func (c *copyright) expression(prefix string) (string, []ExtractedLicence) {
	refs := map[string]ExtractedLicence{}
	var parts []string
	for _, synopsis := range c.synopses {
		name := func(short string) string {
			if id := spdxName(short); id != "" {
				return id
			}
			id := prefix + clean(strings.ReplaceAll(short, " ", "-"))
			text := c.texts[strings.ToLower(short)]
			if text == "" {
				text = c.texts[strings.ToLower(synopsis)]
			}
			if text == "" {
				text = "The package's copyright file has no text for the licence that it calls " + short + "."
			}
			refs[id] = ExtractedLicence{LicenseID: id, Name: short, ExtractedText: text}
			return id
		}
		parts = append(parts, convert(synopsis, name))
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	var out []ExtractedLicence
	for _, id := range sortedKeys(refs) {
		out = append(out, refs[id])
	}
	if len(parts) == 1 {
		return parts[0], out
	}
	for i, p := range parts {
		if strings.Contains(p, " ") {
			parts[i] = "(" + p + ")"
		}
	}
	return strings.Join(parts, " AND "), out
}

// convert writes a synopsis as an SPDX expression: short names with "and" and "or" between them, "and" binding more, and a
// comma before either less. A short name takes "with … exception" with it.
func convert(synopsis string, name func(short string) string) string {
	groups := strings.Split(synopsis, ", ")
	out := ""
	for i, group := range groups {
		operator := ""
		if i > 0 {
			operator = " AND " // a bare comma
			for _, o := range []struct{ word, operator string }{{"and ", " AND "}, {"or ", " OR "}} {
				if rest, ok := cutFold(group, o.word); ok {
					group, operator = rest, o.operator
				}
			}
			if out != "" {
				out = bracket(out)
			}
		}
		one := alternatives(group, name)
		if out != "" && one != "" {
			out += operator + bracket(one)
		} else {
			out += one
		}
	}
	if out == "" {
		return name(synopsis)
	}
	return out
}

func bracket(s string) string {
	if strings.Contains(s, " ") {
		return "(" + s + ")"
	}
	return s
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// alternatives converts a synopsis without commas.
func alternatives(group string, name func(string) string) string {
	var out, short []string
	flush := func() {
		if len(short) > 0 {
			out = append(out, name(strings.Join(short, " ")))
			short = nil
		}
	}
	for _, word := range strings.Fields(group) {
		switch strings.ToLower(word) {
		case "and", "or":
			flush()
			if len(out) > 0 && out[len(out)-1] != "AND" && out[len(out)-1] != "OR" {
				out = append(out, strings.ToUpper(word))
			}
		default:
			short = append(short, strings.TrimSuffix(word, ","))
		}
	}
	flush()
	if n := len(out); n > 0 && (out[n-1] == "AND" || out[n-1] == "OR") {
		out = out[:n-1]
	}
	return strings.Join(out, " ")
}
