package modules

import (
	"bytes"
	"math/bits"
	"slices"
)

// aliasTable finds the modules behind a name among tens of thousands of patterns. Patterns lie in a hash table by the
// literal text they begin with, so that a query looks once for each of its own beginnings that can be such a text: some
// dozens of look-ups instead of a scan. Entries are offsets into one text and hold no pointers, because the table is read
// anew by every run, and most of the time that takes goes into building it.
type aliasTable struct {
	text    []byte // normalized
	entries []aliasEntry
	heads   []int32 // by hash: 1 + the last entry, or 0
	lengths [256]bool
	longest int // length of the longest literal text
}

type aliasEntry struct {
	pattern, module       uint32 // offsets into the text
	patternLen, moduleLen uint16
	literalLen            uint16
	next                  int32 // 1 + the entry before in the same bucket, or 0
}

// FNV-1a (RFC 9923), of which a beginning's hash is a step on the way to the whole's.
const (
	fnvBasis = 2166136261
	fnvPrime = 16777619
)

func newAliasTable(size int) *aliasTable {
	return &aliasTable{entries: make([]aliasEntry, 0, size), heads: make([]int32, 1<<bits.Len(uint(size)))}
}

// add appends an alias.
func (t *aliasTable) add(pattern, module string) {
	at := len(t.text)
	t.text = append(append(append(t.text, Normalize(pattern)...), ' '), Normalize(module)...)
	t.enter(at, len(pattern), at+len(pattern)+1, len(module))
}

// enter puts what lies in the text into the table. Names longer than 64 KiB cannot be meant, and are left out.
func (t *aliasTable) enter(pattern, patternLen, module, moduleLen int) {
	if patternLen > 1<<16-1 || moduleLen > 1<<16-1 || pattern > 1<<32-1 || module > 1<<32-1 {
		return
	}
	if len(t.entries) >= 2*len(t.heads) {
		t.grow()
	}
	hash := uint32(fnvBasis)
	n := 0
	for _, c := range t.text[pattern : pattern+patternLen] {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			break
		}
		hash = (hash ^ uint32(c)) * fnvPrime
		n++
	}
	t.lengths[min(n, len(t.lengths)-1)] = true
	t.longest = max(t.longest, n)
	head := &t.heads[hash&uint32(len(t.heads)-1)]
	t.entries = append(t.entries, aliasEntry{
		pattern: uint32(pattern), patternLen: uint16(patternLen), module: uint32(module), moduleLen: uint16(moduleLen),
		literalLen: uint16(n), next: *head,
	})
	*head = int32(len(t.entries))
}

// grow makes room for four times as many entries. Only tables whose size was not known beforehand come here.
func (t *aliasTable) grow() {
	old := t.entries
	t.heads = make([]int32, 4*len(t.heads))
	t.entries = make([]aliasEntry, 0, 4*len(old))
	for _, e := range old {
		t.enter(int(e.pattern), int(e.patternLen), int(e.module), int(e.moduleLen))
	}
}

// find returns the modules whose patterns match a normalized name, in the order in which they were added, each once.
func (t *aliasTable) find(name string) []string {
	if t == nil {
		return nil
	}
	var hits []int32
	hash := uint32(fnvBasis)
	for n := 0; n <= t.longest; n++ {
		if t.lengths[min(n, len(t.lengths)-1)] {
			hits = t.bucket(hits, hash, name, n)
		}
		if n == len(name) {
			break
		}
		hash = (hash ^ uint32(name[n])) * fnvPrime
	}
	slices.Sort(hits)
	var found []string
	for _, hit := range hits {
		e := t.entries[hit]
		module := string(t.text[e.module : e.module+uint32(e.moduleLen)])
		if !slices.Contains(found, module) {
			found = append(found, module)
		}
	}
	return found
}

// bucket appends the entries that match the name and whose literal text is its first n bytes.
func (t *aliasTable) bucket(hits []int32, hash uint32, name string, n int) []int32 {
	for i := t.heads[hash&uint32(len(t.heads)-1)]; i != 0; {
		e := &t.entries[i-1]
		if int(e.literalLen) == n {
			pattern := t.text[e.pattern : e.pattern+uint32(e.patternLen)]
			if string(pattern[:n]) == name[:n] && matches(pattern[n:], name[n:]) {
				hits = append(hits, i-1)
			}
		}
		i = e.next
	}
	return hits
}

// readAliases reads the lines "alias PATTERN MODULE" of modules.alias and modules.symbols; others are comments. It keeps
// and changes the text.
func readAliases(text []byte) *aliasTable {
	normalizeLines(text)
	t := newAliasTable(bytes.Count(text, []byte{'\n'}))
	t.text = text
	for start := 0; start < len(text); {
		end := len(text)
		if i := bytes.IndexByte(text[start:], '\n'); i >= 0 {
			end = start + i
		}
		t.line(start, end)
		start = end + 1
	}
	return t
}

func (t *aliasTable) line(start, end int) {
	const word = "alias "
	if !bytes.HasPrefix(t.text[start:end], []byte(word)) {
		return
	}
	blank := func(i int) bool { return t.text[i] == ' ' || t.text[i] == '\t' || t.text[i] == '\r' }
	for end > start && blank(end-1) {
		end--
	}
	// The module is the last word, as an alias of a device's own making may hold blanks.
	module := end
	for module > start && !blank(module-1) {
		module--
	}
	start += len(word)
	stop := module
	for stop > start && blank(stop-1) {
		stop--
	}
	for start < stop && blank(start) {
		start++
	}
	if start < stop && module < end {
		t.enter(start, stop-start, module, end-module)
	}
}

// normalizeLines does to a text of many lines, in place, what Normalize does to each.
func normalizeLines(text []byte) {
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], '-')
		if i < 0 {
			return
		}
		at += i
		line := text[bytes.LastIndexByte(text[:at], '\n')+1 : at]
		if open := bytes.LastIndexByte(line, '['); open < 0 || bytes.IndexByte(line[open:], ']') >= 0 {
			text[at] = '_'
		}
		at++
	}
}
