package main

import (
	"encoding"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// flagSet is the flags of a command line, in the syntax of github.com/spf13/pflag, dockerd's parser, as far as it is used here.
// That module itself, with the standard library's flags, CSV and package net behind it, would cost the launcher 100 KB.
type flagSet struct {
	flags []*cliFlag
	// daemonFollows ends the flags at the first word that is none.
	daemonFollows bool
	args          []string
}

// cliFlag is one flag.
type cliFlag struct {
	name  string
	short byte // 0 for none
	// usage may have a word between backquotes: it stands for the value.
	usage, initial string
	value          flagValue
	hidden         bool
	// changed tells that the flag was given.
	changed bool
}

// flagValue is what a flag sets.
type flagValue interface {
	Set(text string) error
	String() string
	// Type is the word for the value where the usage has none.
	Type() string
}

// errHelp is what parse returns for --help and -h where these are no flags of the set.
var errHelp = errors.New("help was asked for")

func (s *flagSet) add(value flagValue, name, usage string) *cliFlag {
	f := &cliFlag{name: name, usage: usage, value: value, initial: value.String()}
	s.flags = append(s.flags, f)
	return f
}

func (s *flagSet) boolean(p *bool, name, usage string) *cliFlag {
	return s.add((*boolValue)(p), name, usage)
}

func (s *flagSet) text(p *string, name, initial, usage string) {
	*p = initial
	s.add((*textValue)(p), name, usage)
}

func (s *flagSet) duration(p *time.Duration, name, usage string) *cliFlag {
	return s.add((*durationValue)(p), name, usage)
}

// lookup finds a flag, nil where there is none.
func (s *flagSet) lookup(name string) *cliFlag {
	if i := slices.IndexFunc(s.flags, func(f *cliFlag) bool { return f.name == name }); i >= 0 {
		return s.flags[i]
	}
	return nil
}

// changed tells whether a flag was given.
func (s *flagSet) changed(name string) bool {
	f := s.lookup(name)
	return f != nil && f.changed
}

// bare tells whether the flag takes a value only behind =.
func (f *cliFlag) bare() bool { return f.value.Type() == "bool" }

// set gives a flag its value.
func (f *cliFlag) set(text string) error {
	if err := f.value.Set(text); err != nil {
		return fmt.Errorf("invalid argument %q for %q flag: %w", text, f.spelled(), err)
	}
	f.changed = true
	return nil
}

func (f *cliFlag) spelled() string {
	if f.short != 0 {
		return "-" + string(f.short) + ", --" + f.name
	}
	return "--" + f.name
}

// parse reads a command line; the words that are no flags are in args after it.
func (s *flagSet) parse(args []string) error {
	s.args = nil
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var err error
		switch {
		case word == "--":
			s.args = append(s.args, args...)
			return nil
		case strings.HasPrefix(word, "--"):
			args, err = s.long(word, args)
		case len(word) > 1 && word[0] == '-':
			err = s.short(word[1:])
		case s.daemonFollows:
			s.args = append(append(s.args, word), args...)
			return nil
		default:
			s.args = append(s.args, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// long reads --NAME, --NAME=VALUE or --NAME and the next word, and returns what follows.
func (s *flagSet) long(word string, next []string) ([]string, error) {
	name, value, given := strings.Cut(word[2:], "=")
	if name == "" || name[0] == '-' {
		return nil, fmt.Errorf("bad flag syntax: %s", word)
	}
	f := s.lookup(name)
	switch {
	case f == nil && name == "help":
		return nil, errHelp
	case f == nil:
		return nil, fmt.Errorf("unknown flag: --%s", name)
	case given:
	case f.bare():
		value = "true"
	case len(next) == 0:
		return nil, fmt.Errorf("flag needs an argument: --%s", name)
	default:
		value, next = next[0], next[1:]
	}
	return next, f.set(value)
}

// short reads letters, of which no flag takes a value.
func (s *flagSet) short(letters string) error {
	for i := range len(letters) {
		at := slices.IndexFunc(s.flags, func(f *cliFlag) bool { return f.short == letters[i] })
		if at < 0 && letters[i] == 'h' {
			return errHelp
		}
		if at < 0 {
			return fmt.Errorf("unknown shorthand flag: %q in -%s", letters[i], letters[i:])
		}
		if err := s.flags[at].set("true"); err != nil {
			return err
		}
	}
	return nil
}

// usages is the help for all flags that are not hidden.
func (s *flagSet) usages() string {
	var left, right []string
	width := 0
	for _, f := range s.flags {
		if f.hidden {
			continue
		}
		line := "      --" + f.name
		if f.short != 0 {
			line = "  -" + string(f.short) + ", --" + f.name
		}
		word := f.value.Type()
		if f.bare() {
			word = ""
		}
		before, quoted, ok := strings.Cut(f.usage, "`")
		usage := f.usage
		if quoted, after, closed := strings.Cut(quoted, "`"); ok && closed {
			word, usage = quoted, before+quoted+after
		}
		if word != "" {
			line += " " + word
		}
		switch {
		case f.initial == "" || f.initial == "false" || f.initial == "0s":
		case f.value.Type() == "string":
			usage += fmt.Sprintf(" (default %q)", f.initial)
		default:
			usage += " (default " + f.initial + ")"
		}
		left, right, width = append(left, line), append(right, usage), max(width, len(line))
	}
	var b strings.Builder
	for i := range left {
		b.WriteString(left[i] + strings.Repeat(" ", width-len(left[i])+3) + right[i] + "\n")
	}
	return b.String()
}

type boolValue bool

func (v *boolValue) Set(text string) error {
	b, err := strconv.ParseBool(text)
	*v = boolValue(b)
	return err
}

func (v *boolValue) String() string { return strconv.FormatBool(bool(*v)) }

func (v *boolValue) Type() string { return "bool" }

type textValue string

func (v *textValue) Set(text string) error { *v = textValue(text); return nil }

func (v *textValue) String() string { return string(*v) }

func (v *textValue) Type() string { return "string" }

type durationValue time.Duration

func (v *durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	*v = durationValue(d)
	return err
}

func (v *durationValue) String() string { return time.Duration(*v).String() }

func (v *durationValue) Type() string { return "duration" }

// codedValue is a value that reads and writes itself.
type codedValue struct {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

func (v codedValue) Set(text string) error { return v.UnmarshalText([]byte(text)) }

func (v codedValue) String() string {
	text, err := v.MarshalText()
	if err != nil {
		return "" // a value that cannot be shown is shown as none
	}
	return string(text)
}

func (v codedValue) Type() string { return "" }
