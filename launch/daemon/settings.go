package daemon

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultConfigFile is where dockerd looks for its daemon.json (cmd/dockerd/daemon_unix.go). Under RootlessKit it is
// another place, which this package does not know.
const DefaultConfigFile = "/etc/docker/daemon.json"

// Setting is one option on a command line.
type Setting struct {
	// Option is the long name, also where the user wrote the short one. Of an unknown option it is what stands behind the
	// dashes.
	Option string
	// Value is the value given, and "true" for a bool without one.
	Value string
	// Written is the option as the user wrote it, with a value only where both are one word: "-H", "-H=unix://".
	Written string
	// Index is the place of its first word in the arguments.
	Index int
	// Known is false for an option that the table does not have: a mistake, or a newer Docker.
	Known bool
	// Wrong tells why dockerd will not take it, or is "".
	Wrong string
}

// Settings is what a command line says to dockerd. The zero value says nothing.
type Settings struct {
	all      []Setting
	operands []string
}

// ParseArgs reads dockerd's arguments, without the program's name. There is no error: what dockerd would refuse is kept
// and told by Unknown, Wrong and Operands. The arguments are those of today; Translate is for older ones.
func ParseArgs(args []string) Settings {
	var s Settings
	for _, t := range tokenize(args, todayDialect) {
		switch t.kind {
		case operandToken:
			s.operands = append(s.operands, t.value)
			continue
		case dashesToken:
			continue
		}
		one := Setting{Option: t.option.Name, Value: t.value, Written: args[t.first], Index: t.first, Known: t.known, Wrong: t.wrong()}
		if t.short {
			end := len(args[t.first])
			if t.known && !t.attached {
				end = t.at + 1
			}
			one.Written = "-" + args[t.first][t.at:end]
		}
		if t.known && t.option.Bool() && !t.hasValue {
			one.Value = "true"
		}
		s.all = append(s.all, one)
	}
	return s
}

// wrong checks what can be checked without knowing more than the table: bools and numbers as pflag reads them.
func (t token) wrong() string {
	switch {
	case t.bad != "":
		return t.bad
	case t.missing:
		return "a value is missing"
	case !t.known || !t.hasValue:
		return ""
	}
	switch t.option.Type {
	case "bool":
		if _, err := strconv.ParseBool(t.value); err != nil {
			return fmt.Sprintf("%q is neither true nor false", t.value)
		}
	case "int":
		if _, err := strconv.ParseInt(t.value, 0, 64); err != nil {
			return fmt.Sprintf("%q is not a number", t.value)
		}
	}
	return ""
}

// All returns every setting in the order of the command line.
func (s Settings) All() []Setting { return append([]Setting(nil), s.all...) }

// Has reports whether the option, by its long name, is given.
func (s Settings) Has(option string) bool {
	_, ok := s.find(option)
	return ok
}

// Value returns the option's value; where it is given more than once, the last, which is the one dockerd takes of an
// option that is not repeatable.
func (s Settings) Value(option string) (string, bool) {
	one, ok := s.find(option)
	return one.Value, ok
}

// Values returns the values of all uses of an option, in order.
func (s Settings) Values(option string) []string {
	var values []string
	for _, one := range s.all {
		if one.Option == option && one.Known {
			values = append(values, one.Value)
		}
	}
	return values
}

// Bool returns the value of a bool option; ok is false where it is not given, or given as neither true nor false.
func (s Settings) Bool(option string) (value, ok bool) {
	text, ok := s.Value(option)
	if !ok {
		return false, false
	}
	value, err := strconv.ParseBool(text)
	return value, err == nil
}

// Where tells where the option is given, as the user wrote it; "" where it is not.
func (s Settings) Where(option string) string {
	one, ok := s.find(option)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(one.Written, "=")
	if !strings.HasPrefix(name, "--") {
		name = name[:min(2, len(name))] // without a value that follows the letter
	}
	return name + " on the command line"
}

// Unknown returns the options that the table does not have.
func (s Settings) Unknown() []Setting {
	return s.filter(func(one Setting) bool { return !one.Known && one.Wrong == "" })
}

// Wrong returns the settings that dockerd will not take: a missing value, a bool that is none.
func (s Settings) Wrong() []Setting {
	return s.filter(func(one Setting) bool { return one.Wrong != "" })
}

// TooNew returns the settings that a dockerd of this version does not have yet; none where it is not known.
func (s Settings) TooNew(version Version) []Setting {
	return s.filter(func(one Setting) bool {
		o, ok := Lookup(one.Option)
		return ok && one.Known && !version.has(o.Since, Version{})
	})
}

// Operands returns the words that are neither options nor values. dockerd takes none and refuses to start.
func (s Settings) Operands() []string { return append([]string(nil), s.operands...) }

// ConfigFile returns the path of daemon.json and whether the user named it: then it must exist. An empty path means
// that no file is read.
func (s Settings) ConfigFile() (path string, explicit bool) {
	if path, ok := s.Value("config-file"); ok {
		return path, true
	}
	return DefaultConfigFile, false
}

func (s Settings) find(option string) (Setting, bool) {
	for i := len(s.all) - 1; i >= 0; i-- {
		if s.all[i].Option == option && s.all[i].Known {
			return s.all[i], true
		}
	}
	return Setting{}, false
}

func (s Settings) filter(want func(Setting) bool) []Setting {
	var found []Setting
	for _, one := range s.all {
		if want(one) {
			found = append(found, one)
		}
	}
	return found
}
