package modules

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
)

// aliasLookup finds the modules whose patterns match a normalized name, in depmod's order, each once.
type aliasLookup func(name string) ([]string, error)

// aliasesIn are the aliases of "modules.alias" or "modules.symbols": depmod's trie, or the text of the same. It is read with
// the first name that needs it, as most runs of modprobe are asked for a plain name. A file that is missing holds none.
func aliasesIn(dir, file string, mapped bool) aliasLookup {
	open := sync.OnceValues(func() (aliasLookup, error) {
		t, err := openTrie(filepath.Join(dir, file+".bin"), mapped)
		if err == nil {
			return remembering(t.match), nil
		} else if !useText(err) {
			return nil, err
		}
		text, err := readBytes(filepath.Join(dir, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return readAliases(text).lookup, nil
	})
	return func(name string) ([]string, error) {
		find, err := open()
		if err != nil {
			return nil, err
		}
		return find(name)
	}
}

// remembering asks once for each name: soft dependencies ask for the same ones again and again.
func remembering(find aliasLookup) aliasLookup {
	var mu sync.Mutex
	known := map[string][]string{}
	return func(name string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		if found, ok := known[name]; ok {
			return found, nil
		}
		found, err := find(name)
		if err == nil {
			known[name] = found
		}
		return found, err
	}
}

// useText tells whether there is no trie that can be used, so that the text is to be read.
func useText(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errTrie) }

// lookup is find as an aliasLookup.
func (t *aliasTable) lookup(name string) ([]string, error) { return t.find(name), nil }
