package storage

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// Identify tells what is on a disk or partition of the size (bytes). It reads no more than a few MiB, and what it reads decides on
// nothing but the result: no length or offset on the disk is followed without a bound.
//
// Signatures are looked for where the formats have them, for every format at once. One of a RAID, volume group or encrypted
// volume counts before those of filesystems, because a mirror's half shows the filesystem in it too. Two filesystems at once
// are Unknown, as nobody can tell which is the stale one.
//
// Where no signature is found the disk is Blank if all of these are zero, and Unknown otherwise:
//
//   - the first and the last 4 MiB;
//   - 64 KiB at each place where ext2/3/4 with any block size, xfs with four parts, btrfs or f2fs have copies of their
//     superblock, in case somebody wiped the beginning only;
//   - 4 KiB at each of 256 evenly spaced places.
//
// A disk of up to 64 MiB is read whole. So a disk is not taken for blank because the beginning was overwritten with zeros, but may
// be if almost all of it was.
//
// The error is that of reading.
func Identify(r io.ReaderAt, size int64) (Content, error) {
	d := &disk{r: r, size: size}
	if size <= 0 {
		return Content{}, errors.New("the size is not known")
	}
	var found []Content
	for _, probe := range probes() {
		if c, ok := probe(d); ok {
			found = append(found, c)
		}
		if d.err != nil {
			return Content{}, d.err
		}
	}
	c := choose(found)
	if c.Kind == "" {
		c, _ = probeWeak(d)
	}
	if c.Kind == "" {
		c = d.unsigned()
	}
	d.mark(&c)
	return c, d.err
}

func probes() []func(*disk) (Content, bool) {
	return []func(*disk) (Content, bool){
		probeMD, probeLUKS, probeLVM, probeBcache, probeZFS, probeVendorRAID, probeSwap,
		probeExt, probeXFS, probeBtrfs, probeF2FS, probeFAT, probeNTFS, probeExFAT, probeOthers,
		probeGPT, probeDOS,
	}
}

// choose makes one of all that was found.
func choose(found []Content) Content {
	of := func(kind Kind) (list []Content) {
		for _, c := range found {
			if c.Kind == kind {
				list = append(list, c)
			}
		}
		return list
	}
	if members := of(Member); len(members) > 0 {
		return members[0]
	}
	filesystems := of(Filesystem)
	if len(filesystems) > 1 {
		names := make([]string, len(filesystems))
		for i, c := range filesystems {
			names[i] = c.FSType
		}
		slices.Sort(names)
		return Content{Kind: Unknown, Detail: "signatures of " + strings.Join(names, " and ") + ": one of them is stale (wipefs(8) shows and removes them)"}
	}
	if len(filesystems) == 1 {
		return filesystems[0]
	}
	if tables := of(Table); len(tables) > 0 {
		return tables[0]
	}
	return Content{}
}

// disk reads bounded pieces and remembers the first error, so that the probes need not look at each.
type disk struct {
	r     io.ReaderAt
	size  int64
	err   error
	cache []piece
}

type piece struct {
	at   int64
	data []byte
}

const (
	headSize  = 128 << 10 // holds the signatures of most formats
	edge      = 4 << 20
	wholeDisk = 64 << 20
	samples   = 256
)

// bytes gives n bytes at an offset; fewer at the end of the disk, and none beyond it or after an error.
func (d *disk) bytes(at int64, n int) []byte {
	if at < 0 || at >= d.size || d.err != nil {
		return nil
	}
	n = int(min(int64(n), d.size-at))
	for _, p := range d.cache {
		if at >= p.at && at+int64(n) <= p.at+int64(len(p.data)) {
			return p.data[at-p.at:][:n]
		}
	}
	// The beginning and the end are asked for again and again.
	if begin := max(d.size-headSize, 0); at < headSize {
		d.cache = append(d.cache, piece{0, d.read(0, int(min(headSize, d.size)))})
	} else if at >= begin {
		d.cache = append(d.cache, piece{begin, d.read(begin, int(d.size-begin))})
	} else {
		return d.read(at, n)
	}
	if p := d.cache[len(d.cache)-1]; d.err == nil && at >= p.at && at+int64(n) <= p.at+int64(len(p.data)) {
		return p.data[at-p.at:][:n]
	}
	return d.read(at, n)
}

func (d *disk) read(at int64, n int) []byte {
	if d.err != nil {
		return nil
	}
	buf := make([]byte, n)
	got, err := d.r.ReadAt(buf, at)
	if got < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		d.err = fmt.Errorf("reading %d bytes at %d: %w", n, at, err)
		return nil
	}
	return buf
}

// has tells whether a string stands at an offset.
func (d *disk) has(at int64, magic string) bool {
	return string(d.bytes(at, len(magic))) == magic
}

// unsigned tells Blank from Unknown where there is no signature.
func (d *disk) unsigned() Content {
	at, value := d.firstByte()
	switch {
	case d.err != nil:
		return Content{}
	case at < 0:
		return Content{Kind: Blank}
	}
	detail := fmt.Sprintf("no known signature, but the byte at %d is %#02x", at, value)
	if at == 0 && value == 0xff && allAre(d.bytes(0, 64<<10), 0xff) {
		detail = "every byte is 0xff, as on some new flash; if it really holds nothing, write zeros to its first and last 4 MiB"
	}
	return Content{Kind: Unknown, Detail: detail}
}

// firstByte gives the offset of a byte that is not zero, -1 where there is none.
func (d *disk) firstByte() (int64, byte) {
	for _, s := range d.spots() {
		for at := s.at; at < s.at+s.size; at += 1 << 20 {
			data := d.read(at, int(min(1<<20, s.at+s.size-at)))
			if i := slices.IndexFunc(data, func(b byte) bool { return b != 0 }); i >= 0 {
				return at + int64(i), data[i]
			}
		}
	}
	return -1, 0
}

type spot struct{ at, size int64 }

// spots lists what is read of a disk before it is called blank, in ascending order and within the disk.
func (d *disk) spots() []spot {
	if d.size <= wholeDisk {
		return []spot{{0, d.size}}
	}
	list := []spot{{0, edge}, {d.size - edge, edge}}
	around := func(at int64) { list = append(list, spot{at, 64 << 10}) }
	// ext2/3/4 has copies in the groups 1, 3, 5, 7 and their powers; a group is 8 blocks for each byte of a block, and
	// begins one block later where blocks have 1 KiB.
	for _, block := range []int64{1 << 10, 2 << 10, 4 << 10} {
		for _, group := range []int64{1, 3, 5, 7, 9, 25, 27, 49, 81, 125} {
			around(group * block * 8 * block)
		}
	}
	// mkfs.xfs makes four allocation groups of a small disk, of 1 TiB each from 4 TiB on.
	for i := int64(1); i < 4; i++ {
		around(d.size/4*i&^0xfff - 32<<10)
		around(i << 40)
	}
	around(64 << 20)  // btrfs
	around(256 << 30) // btrfs
	for i := int64(1); i < samples; i++ {
		list = append(list, spot{d.size / samples * i &^ 0xfff, 4 << 10})
	}
	list = slices.DeleteFunc(list, func(s spot) bool { return s.at < 0 || s.at >= d.size })
	for i := range list {
		list[i].size = min(list[i].size, d.size-list[i].at)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].at < list[j].at })
	return list
}

func allAre(data []byte, value byte) bool {
	return len(data) > 0 && !slices.ContainsFunc(data, func(b byte) bool { return b != value })
}
