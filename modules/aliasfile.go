package modules

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// scanAliases finds what the table of a text would, by reading the text through once: for the first names of a run that
// is less work than to build the table. Almost every line is left at its first or second letter.
func scanAliases(text, name string) []string {
	const word = "alias "
	// Most of the text is of one bus, whose lines begin alike.
	start := name[:min(8, len(name))]
	if strings.ContainsAny(start, "*?[\\ \t\r-") {
		start = ""
	}
	var found []string
	for text != "" {
		line, rest := text, ""
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, rest = text[:i], text[i+1:]
		}
		text = rest
		if !strings.HasPrefix(line, word) {
			continue
		}
		pattern := line[len(word):]
		if strings.HasPrefix(pattern, start) && !mayMatch(pattern[len(start):], name[len(start):]) || !mayMatch(pattern, name) {
			continue
		}
		for _, module := range readAliases([]byte(line)).find(name) {
			if !slices.Contains(found, module) {
				found = append(found, module)
			}
		}
	}
	return found
}

// mayMatch tells whether the literal text that a line's pattern begins with is what the name begins with. A line of another
// form than depmod's is left to be looked at in full.
func mayMatch(line, name string) bool {
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch c {
		case '*', '?', '[', '\\', '\t':
			return true
		case ' ', '\r':
			return i == 0 || i == len(name) || strings.IndexByte(line[i+1:], ' ') >= 0
		case '-':
			c = '_'
		}
		if i >= len(name) || name[i] != c {
			return false
		}
	}
	return true
}

// aliasFile is a file of aliases whose table is built when it has been asked for often enough.
type aliasFile struct {
	path   string
	mapped bool
	mu     sync.Mutex
	text   []byte              // once there was a scan, until there is a table
	known  map[string][]string // what scans have found
	table  *aliasTable
}

// scans is after how many names the table is built: it costs as much as half a dozen scans.
const scans = 4

func (f *aliasFile) find(name string) ([]string, error) {
	f.mu.Lock()
	if f.table == nil {
		defer f.mu.Unlock()
		return f.scan(name)
	}
	f.mu.Unlock()
	return f.table.find(name), nil // a table does not change
}

// scan answers as long as there is no table. A file that is missing holds no alias.
func (f *aliasFile) scan(name string) ([]string, error) {
	if found, ok := f.known[name]; ok {
		return found, nil
	}
	if f.known == nil {
		text, err := readBytes(f.path, f.mapped)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		f.text, f.known = text, map[string][]string{}
	}
	if len(f.known) < scans {
		found := scanAliases(textOf(f.text), name)
		f.known[name] = found
		return found, nil
	}
	if f.mapped {
		f.text = bytes.Clone(f.text) // the table changes it
	}
	f.table = readAliases(f.text)
	f.text, f.known = nil, nil
	return f.table.find(name), nil
}
