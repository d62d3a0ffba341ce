// Package bootline reads the kernel's command line as the kernel itself does, and the launcher's own options on it and in
// files. It only parses: what the words come to is decided elsewhere. The grammar is that of
// Documentation/admin-guide/kernel-parameters.rst, next_arg in lib/cmdline.c and parse_args in kernel/params.c.
package bootline

import "strings"

// Word is one parameter of a command line.
type Word struct {
	// Key is the parameter's name as it was written; SameKey compares names as the kernel does.
	Key string `json:"key"`
	// Value is what stands behind the first "=", without the quotes around it.
	Value string `json:"value,omitempty"`
	// HasValue tells "key=" from "key".
	HasValue bool `json:"has_value,omitempty"`
}

// String is the word as the kernel would hand it to init: without quotes.
func (w Word) String() string {
	if w.HasValue {
		return w.Key + "=" + w.Value
	}
	return w.Key
}

// Line is a command line understood.
type Line struct {
	// Words are the kernel's parameters, in order.
	Words []Word `json:"words,omitempty"`
	// InitArgs are the words behind "--", which the kernel hands to init and does not look at.
	InitArgs []string `json:"init_args,omitempty"`
}

// Parse reads a command line, as /proc/cmdline has it. Every text is a command line: there are no errors.
func Parse(text string) Line {
	// The kernel's line is a C string.
	text, _, _ = strings.Cut(text, "\x00")
	var l Line
	for text = skipSpaces(text); text != ""; {
		var w Word
		w, text = next(text)
		if w.Key == "--" && !w.HasValue {
			l.initArgs(text)
			break
		}
		l.Words = append(l.Words, w)
	}
	return l
}

func (l *Line) initArgs(text string) {
	for text != "" {
		var w Word
		w, text = next(text)
		l.InitArgs = append(l.InitArgs, w.String())
	}
}

// next takes the first word off a text that does not begin with a space. Quotes keep spaces, cannot be escaped, and are
// taken off only where they stand around the whole word or around the whole value.
func next(text string) (w Word, rest string) {
	quoted := text[0] == '"'
	inside := quoted
	if quoted {
		text = text[1:]
	}
	equals, end := 0, 0 // an "=" at the very beginning belongs to the name
	for ; end < len(text) && (inside || !isSpace(text[end])); end++ {
		switch {
		case text[end] == '=' && equals == 0:
			equals = end
		case text[end] == '"':
			inside = !inside
		}
	}
	word := text[:end]
	unquoted := false
	if equals == 0 {
		w.Key = word
	} else {
		w.Key, w.Value, w.HasValue = word[:equals], word[equals+1:], true
		if strings.HasPrefix(w.Value, `"`) {
			w.Value, unquoted = strings.CutSuffix(w.Value[1:], `"`)
		}
	}
	if quoted && !unquoted {
		if w.HasValue {
			w.Value = strings.TrimSuffix(w.Value, `"`)
		} else {
			w.Key = strings.TrimSuffix(w.Key, `"`)
		}
	}
	return w, skipSpaces(text[end:])
}

// isSpace is the kernel's isspace, whose table (lib/ctype.c) has the no-break space of Latin-1 among the spaces.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' || c == 0xa0 }

func skipSpaces(text string) string {
	for text != "" && isSpace(text[0]) {
		text = text[1:]
	}
	return text
}

// SameKey tells whether two names are one to the kernel, to which "-" and "_" are the same (dash2underscore in
// kernel/params.c).
func SameKey(a, b string) bool {
	return len(a) == len(b) && strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}

// Get returns the value of the last word of that name: the kernel's own parameters overwrite one another. It is "" for a
// word without a value.
func (l Line) Get(key string) (value string, ok bool) {
	for _, w := range l.Words {
		if SameKey(w.Key, key) {
			value, ok = w.Value, true
		}
	}
	return value, ok
}

// Has tells whether there is a word of that name.
func (l Line) Has(key string) bool {
	_, ok := l.Get(key)
	return ok
}

// All returns the values of all words of that name, in order, as for console= and ip=, which add up.
func (l Line) All(key string) []string {
	var values []string
	for _, w := range l.Words {
		if SameKey(w.Key, key) {
			values = append(values, w.Value)
		}
	}
	return values
}
