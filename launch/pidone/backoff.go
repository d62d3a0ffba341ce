package pidone

import "time"

// Backoff says how long to wait before a process that ended is started again: each time twice as long, and short again after
// a run that went well.
type Backoff struct {
	Min   time.Duration // the first wait
	Max   time.Duration // the longest wait
	Reset time.Duration // a run of this length went well

	next time.Duration
}

// DefaultBackoff returns half a second doubling to 30 seconds, and half a second again after a run of a minute.
func DefaultBackoff() *Backoff {
	return &Backoff{Min: 500 * time.Millisecond, Max: 30 * time.Second, Reset: time.Minute}
}

// Next returns the wait after a run of the given length.
func (b *Backoff) Next(ran time.Duration) time.Duration {
	if ran >= b.Reset || b.next < b.Min {
		b.next = b.Min
	}
	wait := min(b.next, b.Max)
	b.next = b.Max
	if wait < b.Max/2 { // or the double could overflow
		b.next = 2 * wait
	}
	return wait
}
