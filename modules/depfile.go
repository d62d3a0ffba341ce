package modules

import (
	"fmt"
	"math/bits"
	"strings"
)

// depTable finds the line of a module in the text of modules.dep. It holds nothing but where each line begins, because most
// runs ask for a handful of some thousand modules, and the time they take is that of reading the file.
type depTable struct {
	text  string
	slots []uint32 // by the hash of the name, and where that is taken the next: 1 + where the line begins, or 0
	n     int
}

// maxText is the largest index or configuration that is read, in bytes; the largest of distributions have some megabytes.
const maxText = 64 << 20

// readDeps reads modules.dep (modules.dep(5)): "PATH: PATH...", one line a module. Of two lines for the same module the
// second counts.
func readDeps(text string) (*depTable, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%d bytes are more than an index can have", len(text))
	}
	// A line of Debian's has 150 bytes, so that half of the slots or more stay free; with shorter lines the table grows.
	t := &depTable{text: text, slots: make([]uint32, max(16, 1<<bits.Len(uint(len(text)/64))))}
	number := 0
	for start := 0; start < len(text); {
		number++
		end := len(text)
		if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
			end = start + i
		}
		line := text[start:end]
		colon := strings.IndexByte(line, ':')
		if colon < 0 || line[0] <= ' ' || line[0] == '#' {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				start = end + 1
				continue
			}
			colon = strings.IndexByte(line, ':')
		}
		name := ""
		if colon >= 0 {
			name = baseName(strings.TrimSpace(line[:colon]))
		}
		if name == "" {
			return nil, fmt.Errorf("line %d: %q is not a path, a colon and paths", number, line)
		}
		if 2*(t.n+1) > len(t.slots) {
			t.grow()
		}
		t.enter(start, name)
		start = end + 1
	}
	return t, nil
}

// baseName is NameOf without the normal form.
func baseName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if dot := strings.IndexByte(name, '.'); dot >= 0 {
		name = name[:dot]
	}
	return name
}

func (t *depTable) enter(start int, name string) {
	for i := nameHash(name); ; i++ {
		slot := &t.slots[i&uint32(len(t.slots)-1)]
		if *slot == 0 {
			t.n++
		} else if there := baseName(t.path(*slot - 1)); there != name && (len(there) != len(name) || Normalize(there) != Normalize(name)) {
			continue
		}
		*slot = uint32(start) + 1
		return
	}
}

func (t *depTable) grow() {
	old := t.slots
	t.slots, t.n = make([]uint32, 4*len(old)), 0
	for _, slot := range old {
		if slot != 0 {
			t.enter(int(slot-1), baseName(t.path(slot-1)))
		}
	}
}

// nameHash is FNV-1a with - and _ alike.
func nameHash(name string) uint32 {
	hash := uint32(fnvBasis)
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '-' {
			c = '_'
		}
		hash = (hash ^ uint32(c)) * fnvPrime
	}
	return hash
}

// path is the text of a line that was read before, up to its colon.
func (t *depTable) path(start uint32) string {
	line := t.text[start:]
	return strings.TrimSpace(line[:strings.IndexByte(line, ':')])
}

func (t *depTable) find(name string) (record, bool, error) {
	for i := nameHash(name); ; i++ {
		slot := t.slots[i&uint32(len(t.slots)-1)]
		if slot == 0 {
			return record{}, false, nil
		}
		if there := baseName(t.path(slot - 1)); len(there) == len(name) && Normalize(there) == name {
			line, _, _ := strings.Cut(t.text[slot-1:], "\n")
			r, ok := parseRecord(line)
			return r, ok, nil
		}
	}
}

func (t *depTable) names() ([]string, error) {
	names := make([]string, 0, t.n)
	for _, slot := range t.slots {
		if slot != 0 {
			names = append(names, Normalize(baseName(t.path(slot-1))))
		}
	}
	return names, nil
}
