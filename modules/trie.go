package modules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// errTrie is what the errors about a damaged trie wrap.
var errTrie = errors.New("damaged index (run depmod)")

// trie is one of the files *.bin that depmod writes beside the text, the form that kmod's own modprobe reads: a radix tree,
// of which a look-up touches a few blocks. All numbers in it are big-endian. A node is, by the flags in the upper bits of
// where it is referred to: a zero-ended prefix; the first and last byte that have a child, with a reference for each byte
// between; the number of its values, and for each its priority and its zero-ended text (shared/util.h and libkmod-index.h
// of kmod tell the numbers).
type trie struct {
	path string
	file *os.File
	size int64
	root uint32
	data []byte // the file where it is mapped

	mu     sync.Mutex
	blocks map[int64][]byte
}

const (
	trieMagic   = 0xB007F457
	trieVersion = 2 // the upper half; a reader of 2.1 reads all of 2

	trieOffset    = 0x0fffffff
	trieHasPrefix = 0x80000000
	trieHasValues = 0x40000000
	trieHasChilds = 0x20000000

	trieBlock = 4 << 10
	// maxTrieSteps bounds the nodes that one look-up visits, and maxTrieKey the length of a key in bytes: a file may refer to
	// itself. The longest aliases have some hundred bytes.
	maxTrieSteps = 1 << 18
	maxTrieKey   = 1 << 14
	// maxTrieText bounds a value: a line of modules.dep with all that a module depends on.
	maxTrieText = 1 << 20
)

// openTrie opens a file. The error matches fs.ErrNotExist or errTrie where the text is to be read in its place.
//
// A file that is mapped costs less to read, and the whole process where somebody cuts it short in place, which depmod does
// not: reading it then ends in SIGBUS. So it is for a program that does nothing else, and not for an init.
func openTrie(path string, mapped bool) (*trie, error) {
	fd, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	// Package os has its poller watch a file with O_NONBLOCK; if it cannot be taken away, it does.
	unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
	f := os.NewFile(uintptr(fd), path)
	t := &trie{path: path, file: f, size: min(size, trieOffset), blocks: map[int64][]byte{}} // closed when nobody refers to it
	if mapped && t.size > 0 {
		// A filesystem that cannot map is read. What is mapped stays so to the end of the program.
		if data, err := unix.Mmap(fd, 0, int(t.size), unix.PROT_READ, unix.MAP_PRIVATE); err == nil {
			t.data = data
		}
	}
	c := cursor{t: t}
	magic, version := c.u32(), c.u32()
	t.root = c.u32()
	if c.err == nil && (magic != trieMagic || version>>16 != trieVersion) {
		c.err = fmt.Errorf("%s: %w: magic number %#x, version %#x", path, errTrie, magic, version)
	}
	return t, c.err
}

// block returns a part of the file, which does not change.
func (t *trie) block(at int64) ([]byte, error) {
	if at < 0 || at >= t.size {
		return nil, fmt.Errorf("%s: %w: it refers to byte %d of %d", t.path, errTrie, at, t.size)
	}
	if t.data != nil {
		return t.data[at:], nil
	}
	n := at / trieBlock
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.blocks[n]; ok {
		return b[at%trieBlock:], nil
	}
	b := make([]byte, min(trieBlock, t.size-n*trieBlock))
	if _, err := t.file.ReadAt(b, n*trieBlock); err != nil {
		return nil, err
	}
	t.blocks[n] = b
	return b[at%trieBlock:], nil
}

// cursor reads on from a place of the file, until its first error.
type cursor struct {
	t   *trie
	at  int64
	buf []byte
	err error
}

// fill sees that there is a byte to be read.
func (c *cursor) fill() bool {
	if c.err == nil && len(c.buf) == 0 {
		c.buf, c.err = c.t.block(c.at)
	}
	return c.err == nil
}

func (c *cursor) skip(n int64) {
	c.at += n
	c.buf = c.buf[min(n, int64(len(c.buf))):]
}

func (c *cursor) u8() byte {
	if !c.fill() {
		return 0
	}
	b := c.buf[0]
	c.skip(1)
	return b
}

func (c *cursor) u32() uint32 {
	if c.fill() && len(c.buf) >= 4 {
		n := binary.BigEndian.Uint32(c.buf)
		c.skip(4)
		return n
	}
	var n uint32
	for range 4 {
		n = n<<8 | uint32(c.u8())
	}
	return n
}

// text reads up to a zero byte. What it returns may be a part of the file, and is not to be written to.
func (c *cursor) text(limit int) []byte {
	var text []byte
	for c.fill() {
		if i := bytes.IndexByte(c.buf, 0); i >= 0 {
			end := c.buf[:i:i]
			c.skip(int64(i) + 1)
			if text == nil {
				return end
			}
			return append(text, end...)
		}
		text = append(text, c.buf...)
		c.skip(int64(len(c.buf)))
		if len(text) > limit {
			c.err = fmt.Errorf("%s: %w: a text without an end", c.t.path, errTrie)
		}
	}
	return nil
}

// trieNode is a node up to its values.
type trieNode struct {
	prefix      []byte
	first, last byte // no child where last is less
	children    int64
	values      cursor
	hasValues   bool
}

// node reads what a reference leads to; a reference of 0 is no node.
func (t *trie) node(ref uint32) (trieNode, error) {
	c := cursor{t: t, at: int64(ref & trieOffset)}
	n := trieNode{first: 1, hasValues: ref&trieHasValues != 0}
	if ref&trieHasPrefix != 0 {
		n.prefix = c.text(maxTrieKey)
	}
	if ref&trieHasChilds != 0 {
		n.first, n.last = c.u8(), c.u8()
		if n.children = c.at; n.first <= n.last {
			c.skip(4 * (int64(n.last) - int64(n.first) + 1))
		}
	}
	n.values = c
	return n, c.err
}

// child is the reference to the child for a byte, 0 where there is none.
func (t *trie) child(n trieNode, b byte) (uint32, error) {
	if b < n.first || b > n.last {
		return 0, nil
	}
	c := cursor{t: t, at: n.children + 4*int64(b-n.first)}
	ref := c.u32()
	return ref, c.err
}

type trieValue struct {
	priority uint32
	text     string
}

func (t *trie) valuesOf(n trieNode, values []trieValue) ([]trieValue, error) {
	if !n.hasValues {
		return values, nil
	}
	c := n.values
	for range c.u32() {
		v := trieValue{priority: c.u32()}
		v.text = textOf(c.text(maxTrieText))
		if c.err == nil && len(values) == maxTrieSteps {
			c.err = fmt.Errorf("%s: %w: too many values", t.path, errTrie)
		}
		if c.err != nil {
			break
		}
		values = append(values, v)
	}
	return values, c.err
}
