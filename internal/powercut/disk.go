package powercut

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

// SectorSize is the unit that a disk writes whole or not at all, in bytes.
const SectorSize = 512

// cacheLimit is how much the cache holds, in bytes. A disk whose cache is full writes it out without being asked.
const cacheLimit = 64 << 20

// ErrCut is what everybody is told who uses a disk without power.
var ErrCut = errors.New("the disk has no power")

// Disk is a disk with a volatile write cache, on an image in a file. Its methods may be called by several goroutines.
type Disk struct {
	mu    sync.Mutex
	image *os.File
	size  int64
	// cache has, by the number of the sector, all that was written to it since the last flush, oldest first: any of it may
	// be what reaches the medium last.
	cache  map[int64][][]byte
	cached int
	cut    bool
	gone   chan struct{} // closed with cut
	// writes is after how many more writes the power goes; 0 is never.
	writes int
}

// Loss tells what a cut has taken.
type Loss struct {
	Cached int // sectors that were written and not flushed
	Lost   int // of these, the sectors that do not have their last content
}

// String is a sentence for a log.
func (l Loss) String() string {
	return fmt.Sprintf("%d sectors were not flushed, %d of them lost their last content", l.Cached, l.Lost)
}

// Open opens the image, whose size is a whole number of sectors.
func Open(path string) (*Disk, error) {
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	info, err := image.Stat()
	if err == nil && info.Size()%SectorSize != 0 {
		err = fmt.Errorf("%s has %d bytes, which is no whole number of sectors", path, info.Size())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk: %w", err), image.Close())
	}
	return &Disk{image: image, size: info.Size(), cache: map[int64][][]byte{}, gone: make(chan struct{})}, nil
}

// Size is the disk's size in bytes.
func (d *Disk) Size() int64 { return d.size }

// check tells whether the disk can do something with n bytes at an offset.
func (d *Disk) check(n int, off int64) error {
	switch {
	case d.cut:
		return ErrCut
	case off < 0 || off%SectorSize != 0 || n%SectorSize != 0:
		return fmt.Errorf("%d bytes at %d are no whole sectors: %w", n, off, os.ErrInvalid)
	case off > d.size-int64(n):
		return fmt.Errorf("%d bytes at %d are not on a disk of %d: %w", n, off, d.size, os.ErrInvalid)
	}
	return nil
}

// ReadAt reads whole sectors, as they were written last.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(len(p), off); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(io.NewSectionReader(d.image, off, int64(len(p))), p); err != nil {
		return 0, err
	}
	if len(d.cache) > 0 {
		for at := 0; at < len(p); at += SectorSize {
			if versions := d.cache[(off+int64(at))/SectorSize]; versions != nil {
				copy(p[at:], versions[len(versions)-1])
			}
		}
	}
	return len(p), nil
}

// WriteAt writes whole sectors into the cache.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(len(p), off); err != nil {
		return 0, err
	}
	kept := slices.Clone(p)
	for at := 0; at < len(kept); at += SectorSize {
		n := (off + int64(at)) / SectorSize
		d.cache[n] = append(d.cache[n], kept[at:at+SectorSize])
	}
	if d.writes > 0 {
		if d.writes--; d.writes == 0 {
			d.off()
			return 0, ErrCut
		}
	}
	if d.cached += len(p); d.cached > cacheLimit {
		return len(p), d.writeOut()
	}
	return len(p), nil
}

// Flush returns when all that was written is safe.
func (d *Disk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return ErrCut
	}
	return d.writeOut()
}

// writeOut empties the cache onto the medium.
func (d *Disk) writeOut() error {
	run := make([]byte, 0, 1<<20)
	next := int64(-1) // the sector behind the run
	write := func() error {
		if len(run) == 0 {
			return nil
		}
		_, err := d.image.WriteAt(run, next*SectorSize-int64(len(run)))
		run = run[:0]
		return err
	}
	for _, n := range d.sectors() {
		if n != next || len(run) == cap(run) {
			if err := write(); err != nil {
				return err
			}
		}
		versions := d.cache[n]
		run, next = append(run, versions[len(versions)-1]...), n+1
	}
	if err := write(); err != nil {
		return err
	}
	clear(d.cache)
	d.cached = 0
	return nil
}

func (d *Disk) sectors() []int64 {
	list := make([]int64, 0, len(d.cache))
	for n := range d.cache {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// Off takes the power away. Nothing is answered from now on, and what lies in the cache is for Cut to decide about.
func (d *Disk) Off() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off()
}

func (d *Disk) off() {
	if !d.cut {
		d.cut = true
		close(d.gone)
	}
}

// Gone is closed when the power is.
func (d *Disk) Gone() <-chan struct{} { return d.gone }

// OffAfter takes the power away in the course of the n-th write from now on, which is never answered: between two flushes, where
// Off would seldom come.
func (d *Disk) OffAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes = n
}

// Cut is Off, and leaves in the image what the medium could have: of each sector that was not flushed, the content from
// before or any that was written since. How many have reached the medium differs from cut to cut, from none to all. The disk
// is closed then.
func (d *Disk) Cut(r *rand.Rand) (Loss, error) {
	d.Off()
	d.mu.Lock()
	defer d.mu.Unlock()
	loss := Loss{Cached: len(d.cache)}
	reached := []float64{0, 0.1, 0.5, 0.9, 1}[r.IntN(5)]
	for _, n := range d.sectors() {
		versions := d.cache[n]
		if r.Float64() >= reached {
			versions = versions[:r.IntN(len(versions))] // one of the older ones, of which the first is on the medium already
			loss.Lost++
		}
		if len(versions) == 0 {
			continue
		}
		if _, err := d.image.WriteAt(versions[len(versions)-1], n*SectorSize); err != nil {
			return loss, errors.Join(fmt.Errorf("disk: %w", err), d.image.Close())
		}
	}
	clear(d.cache)
	return loss, d.image.Close()
}

// Close writes the cache out, as a disk does that is turned off in order.
func (d *Disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if !d.cut {
		err = d.writeOut()
	}
	d.off()
	return errors.Join(err, d.image.Close())
}
