package files

import (
	"os"
	"sync"
	"time"
)

// Drafts are files that are on the disk under other names, ahead of a Batch that puts into their places those that are wanted: the
// disk then takes its time beside something else.
type Drafts struct {
	made  chan struct{} // closed when Make has ended
	mu    sync.Mutex
	files []*batched
}

// NewDrafts returns Drafts for one Make.
func NewDrafts() *Drafts { return &Drafts{made: make(chan struct{})} }

// Make writes those of the files that are missing, and waits for the disk. What cannot be written is no draft.
func (d *Drafts) Make(files []File) {
	defer close(d.made)
	for _, file := range files {
		f := &batched{File: file}
		if f.begin(); f.temp != nil {
			d.files = append(d.files, f)
		}
	}
	for _, f := range d.files {
		f.sync()
	}
}

// give hands over the draft of a file, and tells whether there is one.
func (d *Drafts) give(to *batched) bool {
	if d == nil {
		return false
	}
	<-d.made
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if f.temp != nil && f.File == to.File {
			*to, f.temp = *f, nil
			return true
		}
	}
	return false
}

// Drop removes what was not wanted. It waits at most for the limit: what a disk keeps that answers later is in nobody's way.
func (d *Drafts) Drop(limit time.Duration) {
	select {
	case <-d.made:
	case <-time.After(limit):
		return
	}
	for _, f := range d.files {
		if f := (&batched{File: f.File}); d.give(f) {
			// It was never a file of anybody's: where it cannot be removed there is no reader to be told of.
			_, _ = f.temp.Close(), os.Remove(f.temp.Name())
		}
	}
}
