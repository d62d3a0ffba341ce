package files

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// Batch makes several files at once. What takes time is to have each on the disk before it appears, and the disk has all of them
// as soon as one.
type Batch struct {
	once  sync.Once
	files []*batched
}

// batched is a file of a Batch, or of Drafts, and what became of it.
type batched struct {
	File
	temp   *os.File // what is written, and not in its place yet; nil where nothing is
	synced bool     // it is on the disk, or err tells why not
	kept   bool
	err    error
}

// Member is a file of a Batch.
type Member struct {
	File
	batch *Batch
	index int
}

// Add takes a file into the batch, before the first Apply.
func (b *Batch) Add(f File) Member {
	b.files = append(b.files, &batched{File: f})
	return Member{File: f, batch: b, index: len(b.files) - 1}
}

// Apply does what File.Apply does. The first of a batch that is applied makes all of them.
func (m Member) Apply(context.Context) (kept bool, err error) { return m.ApplyDraft(nil) }

// ApplyDraft is Apply out of what Drafts have of it, which may be nil.
func (m Member) ApplyDraft(d *Drafts) (kept bool, err error) {
	m.batch.once.Do(func() { m.batch.run(d) })
	f := m.batch.files[m.index]
	return f.kept, f.err
}

// run writes one file after the other, which waits for nothing, and then waits for the disk with all of them at once.
func (b *Batch) run(d *Drafts) {
	for _, f := range b.files {
		if !d.give(f) {
			f.begin()
		}
	}
	syncAll(b.files)
	for _, f := range b.files {
		f.finish()
	}
}

// syncAll waits until the disk has all that is written.
func syncAll(files []*batched) {
	var all sync.WaitGroup
	for _, f := range files {
		if f.temp != nil && !f.synced {
			all.Go(f.sync)
		}
	}
	all.Wait()
}

func (f *batched) begin() {
	defer f.recovered()
	f.temp, f.err = f.File.begin()
	f.kept = f.temp == nil && f.err == nil
}

func (f *batched) sync() {
	defer f.recovered()
	f.synced = true
	f.err = f.temp.Sync()
}

func (f *batched) finish() {
	defer f.recovered()
	if f.temp != nil {
		f.kept, f.err = f.File.finish(f.temp, f.err)
	}
}

// recovered makes a panic the error of its file alone.
func (f *batched) recovered() {
	if caught := recover(); caught != nil {
		f.err = fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
	}
}
