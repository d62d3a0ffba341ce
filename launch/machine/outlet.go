package machine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// outletBytes bounds what waits for a sink that does not take it.
	outletBytes = 128 << 10
	// patience is how long a message waits until it is out. A serial line of 9600 baud takes a second for a full record.
	patience = 250 * time.Millisecond
)

// errClosed is what writing to a closed outlet gives.
var errClosed = errors.New("the outlet is closed")

// Outlet writes records to a sink that may stop taking them for good, as a serial line does whose other end holds it by flow
// control. Write gets a record out before it returns where the sink is well, so that the last words are not lost; where it is
// not, it waits a quarter of a second, and from then on not at all until the sink has caught up. What waits is bounded: the
// oldest records give way, and a note tells how many.
type Outlet struct {
	sink func(record []byte, stop <-chan struct{}) error
	note func(lost int) string // the record that tells of lost ones

	mu      sync.Mutex
	queue   []string
	bytes   int
	lost    int
	added   uint64 // records ever queued
	written uint64 // of these, written, failed or lost
	behind  bool   // somebody has waited in vain, and the sink has not caught up since
	err     error
	changed chan struct{} // closed and replaced when written or queue changes
	stop    chan struct{}
	closed  bool
}

// newOutlet starts the goroutine that feeds the sink. The sink gives up when stop is closed.
func newOutlet(sink func(record []byte, stop <-chan struct{}) error, note func(lost int) string) *Outlet {
	o := &Outlet{sink: sink, note: note, changed: make(chan struct{}), stop: make(chan struct{})}
	go o.run()
	return o
}

// Write queues a record and waits, within bounds, until it is out. The error is the sink's, of this record or one before.
func (o *Outlet) Write(record string) error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return errClosed
	}
	for len(o.queue) > 0 && o.bytes+len(record) > outletBytes {
		o.bytes -= len(o.queue[0])
		o.queue = o.queue[1:]
		o.lost++
		o.written++
	}
	o.queue = append(o.queue, record)
	o.bytes += len(record)
	o.added++
	mine, wait := o.added, !o.behind
	o.wake()
	o.mu.Unlock()
	if !wait {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	if o.reached(mine, timer.C, nil) {
		return o.takeErr()
	}
	o.mu.Lock()
	o.behind = o.written < o.added
	o.mu.Unlock()
	return nil
}

// Flush waits until everything is out, or ctx ends.
func (o *Outlet) Flush(ctx context.Context) error {
	o.mu.Lock()
	all := o.added
	o.mu.Unlock()
	if !o.reached(all, nil, ctx.Done()) {
		return fmt.Errorf("waiting for messages to be written: %w", context.Cause(ctx))
	}
	return o.takeErr()
}

// Close ends the goroutine; what is still queued is dropped.
func (o *Outlet) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.stop)
		o.wake()
	}
}

// wake tells everybody who waits to look again. The lock is held.
func (o *Outlet) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// reached waits until n records are dealt with.
func (o *Outlet) reached(n uint64, timer <-chan time.Time, done <-chan struct{}) bool {
	for {
		o.mu.Lock()
		ok, changed := o.written >= n || o.closed, o.changed
		o.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer:
			return false
		case <-done:
			return false
		}
	}
}

func (o *Outlet) takeErr() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.err
	o.err = nil
	return err
}

func (o *Outlet) run() {
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.closed {
			changed := o.changed
			o.mu.Unlock()
			<-changed
			o.mu.Lock()
		}
		if o.closed {
			o.mu.Unlock()
			return
		}
		var lost string
		if o.lost > 0 {
			lost = o.note(o.lost)
			o.lost = 0
		}
		record := o.queue[0]
		o.queue = o.queue[1:]
		o.bytes -= len(record)
		o.mu.Unlock()

		var err error
		if lost != "" {
			err = o.put(lost)
		}
		if err == nil {
			err = o.put(record)
		}

		o.mu.Lock()
		o.written++
		if err != nil {
			o.err = err
		}
		if len(o.queue) == 0 {
			o.behind = false
		}
		o.wake()
		o.mu.Unlock()
	}
}

// put calls the sink. A panic there must not end PID 1.
func (o *Outlet) put(record string) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
		}
	}()
	return o.sink([]byte(record), o.stop)
}
