package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// maxSysctlLine bounds a line of sysctl.d. The kernel takes no value of more than a page.
const maxSysctlLine = 16 << 10

// Setting is one kernel parameter and the value it is to have.
type Setting struct {
	// Name is the path below /proc/sys, "vm/max_map_count", perhaps with wildcards.
	Name  string `json:"name"`
	Value string `json:"value"`
	// Source is the file or the table that says so, Why the reason.
	Source string `json:"source"`
	Why    string `json:"why,omitempty"`
	// AtLeast keeps a higher number that stands there already.
	AtLeast bool `json:"at_least,omitempty"`
	// IfThere leaves out what this kernel has not; Optional also what it refuses: "-name = value" in sysctl.d.
	IfThere  bool `json:"if_there,omitempty"`
	Optional bool `json:"optional,omitempty"`
}

func (s Setting) pattern() bool { return strings.ContainsAny(s.Name, "*?[") }

// SysctlFile is what one file of sysctl.d says.
type SysctlFile struct {
	Settings []Setting
	// Excluded are names that no pattern is to match: lines of the form "-name".
	Excluded []string
	// Problems are lines that were not understood. They are skipped.
	Problems []string
}

// SysctlName turns a name into the path below /proc/sys, by sysctl.d(5): where the first separator is a slash, it is a path
// already; where it is a dot, dots are separators and slashes stand for dots. The error says why it is none.
func SysctlName(name string) (string, error) {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		name = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	for element := range strings.SplitSeq(name, "/") {
		switch {
		case element == "" || element == "." || element == "..":
			return "", fmt.Errorf("%q is no name of a kernel parameter", name)
		case strings.ContainsAny(element, " \t\x00"):
			return "", fmt.Errorf("the name %q of a kernel parameter has a blank in it", name)
		}
	}
	return name, nil
}

// ParseSysctl reads a file in the format of sysctl.d(5).
func ParseSysctl(r io.Reader, source string) (SysctlFile, error) {
	var f SysctlFile
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSysctlLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if err := f.line(line, source); err != nil {
			f.Problems = append(f.Problems, fmt.Sprintf("%s:%d: %v", source, n, err))
		}
	}
	if err := lines.Err(); err != nil {
		return f, fmt.Errorf("reading %s: %w", source, err)
	}
	return f, nil
}

func (f *SysctlFile) line(line, source string) error {
	key, value, assigns := strings.Cut(line, "=")
	key, optional := strings.CutPrefix(strings.TrimSpace(key), "-")
	name, err := SysctlName(strings.TrimSpace(key))
	switch {
	case err != nil:
		return err
	case strings.ContainsRune(value, 0):
		return errors.New("the value has a zero byte in it")
	case assigns:
		f.Settings = append(f.Settings, Setting{Name: name, Value: strings.TrimSpace(value), Source: source, Optional: optional})
	case optional:
		f.Excluded = append(f.Excluded, name)
	default:
		return fmt.Errorf("%q is neither name = value nor -name", line)
	}
	return nil
}

// CommandLineSysctls reads "sysctl.NAME=VALUE" out of the kernel command line, split into words. The kernel sets them itself
// since 5.8 (fs/proc/proc_sysctl.c, do_sysctl_args), all dots being separators; what is missing then is set again here, and
// nothing overrides it.
func CommandLineSysctls(words []string) []Setting {
	var out []Setting
	for _, word := range words {
		if word == "--" {
			break
		}
		rest, ok := strings.CutPrefix(word, "sysctl")
		key, value, assigns := strings.Cut(rest, "=")
		if !ok || !assigns || key == "" || key[0] != '.' && key[0] != '/' {
			continue
		}
		name, err := SysctlName(strings.ReplaceAll(key[1:], ".", "/"))
		if err != nil {
			continue // the kernel has said so
		}
		out = append(out, Setting{Name: name, Value: value, Source: "the kernel command line"})
	}
	return out
}

// MergeSysctls joins what several sources say, the most important last. Of settings of one name the last counts. A pattern
// yields to settings by name, whatever their order, and to exclusions; what comes out has the patterns first.
func MergeSysctls(sources ...SysctlFile) SysctlFile {
	var all SysctlFile
	place := map[string]int{}
	for _, source := range sources {
		all.Excluded = append(all.Excluded, source.Excluded...)
		all.Problems = append(all.Problems, source.Problems...)
		for _, s := range source.Settings {
			if i, ok := place[s.Name]; ok {
				all.Settings[i] = s
				continue
			}
			place[s.Name] = len(all.Settings)
			all.Settings = append(all.Settings, s)
		}
	}
	sort.SliceStable(all.Settings, func(i, j int) bool { return all.Settings[i].pattern() && !all.Settings[j].pattern() })
	return all
}

// holds tells whether a value that stands there is right. The kernel writes several numbers with tabs between them.
func (s Setting) holds(now string) bool {
	is, want := strings.Fields(now), strings.Fields(s.Value)
	if slices.Equal(is, want) {
		return true
	}
	if !s.AtLeast || len(is) != 1 || len(want) != 1 {
		return false
	}
	a, errA := strconv.ParseInt(is[0], 0, 64)
	b, errB := strconv.ParseInt(want[0], 0, 64)
	return errA == nil && errB == nil && a >= b
}
