package modules

import (
	"fmt"
	"slices"
	"sort"
)

// find returns the values of a key, by their priority.
func (t *trie) find(key string) ([]string, error) {
	w := trieWalk{trie: t}
	return w.result(w.descend(key, true))
}

// match returns the values of all keys that match a name as alias patterns, by their priority, each once.
func (t *trie) match(name string) ([]string, error) {
	w := trieWalk{trie: t}
	return w.result(w.descend(name, false))
}

// keys returns all keys.
func (t *trie) keys() ([]string, error) {
	w := trieWalk{trie: t}
	var keys []string
	root, err := w.step(t.root)
	if err == nil {
		err = w.collect(root, root.prefix, func(n trieNode, key []byte) error {
			keys = append(keys, string(key))
			return nil
		})
	}
	return keys, err
}

// trieWalk is a look-up in work.
type trieWalk struct {
	*trie
	steps  int
	values []trieValue
}

func (w *trieWalk) result(err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	sort.SliceStable(w.values, func(i, j int) bool { return w.values[i].priority < w.values[j].priority })
	var texts []string
	for _, v := range w.values {
		if !slices.Contains(texts, v.text) {
			texts = append(texts, v.text)
		}
	}
	return texts, nil
}

// special are the bytes with which the part of an alias pattern begins that is no mere text.
const special = "*?[\\"

func isSpecial(c byte) bool { return c == '*' || c == '?' || c == '[' || c == '\\' }

// descend follows the name as long as keys are mere text; where patterns branch off, all of those are tried.
func (w *trieWalk) descend(rest string, exact bool) error {
	try := func(n trieNode, pattern []byte) error {
		if !matches(pattern, rest) {
			return nil
		}
		var err error
		w.values, err = w.valuesOf(n, w.values)
		return err
	}
	for ref := w.root; ref != 0; {
		n, err := w.step(ref)
		if err != nil {
			return err
		}
		for i, c := range n.prefix {
			if !exact && isSpecial(c) {
				return w.collect(n, n.prefix[i:], try)
			}
			if rest == "" || rest[0] != c {
				return nil
			}
			rest = rest[1:]
		}
		if !exact {
			for i := range len(special) {
				if err := w.collectChild(n, special[i], nil, try); err != nil {
					return err
				}
			}
		}
		if rest == "" {
			w.values, err = w.valuesOf(n, w.values)
			return err
		}
		if !exact && isSpecial(rest[0]) {
			return nil // such a child is a pattern, and was tried
		}
		if ref, err = w.child(n, rest[0]); err != nil {
			return err
		}
		rest = rest[1:]
	}
	return nil
}

// step reads a node.
func (w *trieWalk) step(ref uint32) (trieNode, error) {
	if w.steps++; w.steps > maxTrieSteps {
		return trieNode{}, fmt.Errorf("%s: %w: it goes round in a circle", w.path, errTrie)
	}
	return w.node(ref)
}

// collect visits all nodes with values from one on, with their keys: key is that of the first, or its end.
func (w *trieWalk) collect(n trieNode, key []byte, visit func(trieNode, []byte) error) error {
	if len(key) > maxTrieKey {
		return fmt.Errorf("%s: %w: a key is longer than %d bytes", w.path, errTrie, maxTrieKey)
	}
	if n.hasValues {
		if err := visit(n, key); err != nil {
			return err
		}
	}
	for c := int(n.first); c <= int(n.last); c++ {
		if err := w.collectChild(n, byte(c), key, visit); err != nil {
			return err
		}
	}
	return nil
}

func (w *trieWalk) collectChild(n trieNode, c byte, key []byte, visit func(trieNode, []byte) error) error {
	ref, err := w.child(n, c)
	if err != nil || ref == 0 {
		return err
	}
	child, err := w.step(ref)
	if err != nil {
		return err
	}
	return w.collect(child, append(append(slices.Clip(key), c), child.prefix...), visit)
}
