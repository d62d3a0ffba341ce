package files

import (
	"context"
	"fmt"
	"sync"
)

// Batch makes several files beside each other. What takes time is to have each on the disk before it appears, and the disk has
// all of them as soon as one.
type Batch struct {
	files   []File
	once    sync.Once
	results []result
}

type result struct {
	kept bool
	err  error
}

// Member is a file of a Batch.
type Member struct {
	File
	batch *Batch
	index int
}

// Add takes a file into the batch, before the first Apply.
func (b *Batch) Add(f File) Member {
	b.files = append(b.files, f)
	return Member{File: f, batch: b, index: len(b.files) - 1}
}

// Apply does what File.Apply does. The first of a batch that is applied makes all of them.
func (m Member) Apply(ctx context.Context) (kept bool, err error) {
	m.batch.once.Do(func() { m.batch.run(ctx) })
	r := m.batch.results[m.index]
	return r.kept, r.err
}

func (b *Batch) run(ctx context.Context) {
	b.results = make([]result, len(b.files))
	var all sync.WaitGroup
	for i, f := range b.files {
		all.Add(1)
		go func() {
			defer all.Done()
			r := &b.results[i]
			defer func() {
				if caught := recover(); caught != nil {
					r.err = fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
				}
			}()
			r.kept, r.err = f.Apply(ctx)
		}()
	}
	all.Wait()
}
