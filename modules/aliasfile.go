package modules

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// scanAliases finds what the table of a text would, by reading the text through once: for the first names of a run that
// is less work than to build the table. Almost every line is left at its first or second letter.
func scanAliases(r io.Reader, name string) ([]string, error) {
	var found []string
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull { // not of depmod's making, but the table takes it
			var rest []byte
			line = bytes.Clone(line)
			rest, err = lines.ReadBytes('\n')
			line = append(line, rest...)
		}
		if mayMatch(bytes.TrimSuffix(line, []byte{'\n'}), name) {
			for _, module := range readAliases(bytes.Clone(line)).find(name) {
				if !slices.Contains(found, module) {
					found = append(found, module)
				}
			}
		}
		if err == io.EOF {
			return found, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// mayMatch tells whether the literal text of a line's pattern is what the name begins with. A line of another form than
// depmod's is left to be looked at in full.
func mayMatch(line []byte, name string) bool {
	const word = "alias "
	if len(line) < len(word) || string(line[:len(word)]) != word {
		return false
	}
	for i, c := range line[len(word):] {
		switch c {
		case '*', '?', '[', '\\', '\t':
			return true
		case ' ', '\r':
			return i == 0 || i == len(name) || bytes.IndexByte(line[len(word)+i+1:], ' ') >= 0
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
	path  string
	mu    sync.Mutex
	known map[string][]string // what scans have found
	table *aliasTable
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
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer file.Close()
	if len(f.known) < scans {
		found, err := scanAliases(file, name)
		if err != nil {
			return nil, err
		}
		if f.known == nil {
			f.known = map[string][]string{}
		}
		f.known[name] = found
		return found, nil
	}
	text, err := os.ReadFile(f.path) // which makes room for all of it at once
	if err != nil {
		return nil, err
	}
	f.table, f.known = readAliases(text), nil
	return f.table.find(name), nil
}
