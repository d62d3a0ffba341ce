package modules

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// record is one module of the index. Its dependencies are either the tail of a line of modules.dep, parsed when someone
// asks, or a list of names that came from the module itself.
type record struct {
	path string // below the folder of modules, or absolute
	line string // "kernel/a.ko kernel/b.ko": all it depends on, the first needed last
	deps []string
}

// dependencies are the names of all modules that must be loaded before this one, in an order that is valid.
func (r record) dependencies() []string {
	if r.deps != nil || r.line == "" {
		return r.deps
	}
	names := make([]string, 0, strings.Count(r.line, " ")+1)
	for file := range strings.FieldsSeq(r.line) {
		names = append(names, NameOf(file))
	}
	slices.Reverse(names)
	return names
}

// parseRecord reads a line of modules.dep.
func parseRecord(line string) (r record, ok bool) {
	path, deps, ok := strings.Cut(line, ":")
	r = record{path: strings.TrimSpace(path), line: strings.TrimSpace(deps)}
	return r, ok && baseName(r.path) != ""
}

// recordSource knows all modules that can be loaded.
type recordSource interface {
	// find finds a module by its normalized name.
	find(name string) (record, bool, error)
	// names are the normalized names of all modules, in no order.
	names() ([]string, error)
}

// recordsIn reads modules.dep of the folder dir: depmod's trie, or the text of the same.
func recordsIn(dir string, mapped bool) (recordSource, error) {
	t, err := openTrie(filepath.Join(dir, "modules.dep.bin"), mapped)
	if err == nil {
		return &depTrie{trie: t, dir: dir, known: map[string]record{}}, nil
	} else if !useText(err) {
		return nil, err
	}
	path := filepath.Join(dir, "modules.dep")
	text, err := readText(path)
	if err != nil {
		return nil, err
	}
	table, err := readDeps(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return table, nil
}

// depTrie is modules.dep.bin: by the name of a module its line. It remembers what was found: the modules that many others
// depend on are asked for again and again.
type depTrie struct {
	*trie
	dir   string // what paths are below
	mu    sync.Mutex
	known map[string]record
}

func (t *depTrie) find(name string) (record, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.known[name]; ok {
		return r, true, nil
	}
	lines, err := t.trie.find(name)
	if err != nil || len(lines) == 0 {
		return record{}, false, err
	}
	r, ok := parseRecord(lines[len(lines)-1])
	if !ok {
		return r, false, fmt.Errorf("%s: %w: %q is not a path, a colon and paths", t.path, errTrie, lines)
	}
	r.deps = r.dependencies()
	if r.path[0] != '/' && t.dir[0] == '/' {
		r.path = t.dir + "/" + r.path // once, as the path is asked for as often as the module
	}
	t.known[name] = r
	return r, true, nil
}

func (t *depTrie) names() ([]string, error) { return t.keys() }

// scanned are the modules of a folder without indexes.
type scanned map[string]*record

func (s scanned) find(name string) (record, bool, error) {
	r, ok := s[name]
	if !ok {
		return record{}, false, nil
	}
	return *r, true, nil
}

func (s scanned) names() ([]string, error) { return slices.Collect(maps.Keys(s)), nil }
