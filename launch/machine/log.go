package machine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The kernel takes ten records within five seconds from a writer to /dev/kmsg and drops the rest without a word, where
// kernel.printk_devkmsg is "ratelimit", its default (kernel/printk/printk.c, DEFAULT_RATELIMIT_BURST).
const (
	kmsgBurst    = 10
	kmsgInterval = 5 * time.Second
)

// Log takes the launcher's messages on a machine and brings each to the kernel's log, to the console, or both, by its
// Verbosity. It is for many goroutines.
type Log struct {
	Verbosity Verbosity
	// Kmsg and Console may each be nil.
	Kmsg, Console *Outlet
	// Limited tells that the kernel limits the rate of what is written to its log: kernel.printk_devkmsg is not "on", and was
	// not set to it either. What the kernel would drop then goes to the console alone. Off is the value "off".
	Limited, Off bool
	// Now is time.Now where nil.
	Now func() time.Time

	mu    sync.Mutex
	since time.Time
	count int
}

// Write writes a message of one or more lines. It does not wait longer than a second, whatever the console does. The error is
// joined of those with which the kernel's log and the console refused it, or one before it; a message that the kernel's log
// refuses is shown on the console.
func (l *Log) Write(level Level, text string) error { return l.write(l.Verbosity, level, text) }

// Loud writes a message to be seen whatever the verbosity: the last words of a launcher that cannot go on. As an Emergency,
// every kernel prints it to its consoles.
func (l *Log) Loud(level Level, text string) error {
	return l.write(Verbosity{Console: Debug, Kmsg: Debug, Kernel: l.Verbosity.Kernel}, level, text)
}

func (l *Log) write(v Verbosity, level Level, text string) error {
	toKmsg, toConsole := v.Route(level, l.Kmsg != nil && !l.Off)
	var errs []error
	if toKmsg {
		for _, record := range Records(level, text) {
			if !l.room() {
				toConsole = level <= v.Console
				break
			}
			if err := l.Kmsg.Write(record); err != nil {
				errs = append(errs, err)
				toConsole = level <= v.Console
				break
			}
		}
	}
	if toConsole && l.Console != nil {
		for _, line := range Lines(text) {
			if err := l.Console.Write(line); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Flush waits until everything is written, or ctx ends.
func (l *Log) Flush(ctx context.Context) error {
	var errs []error
	for _, o := range []*Outlet{l.Kmsg, l.Console} {
		if o != nil {
			errs = append(errs, o.Flush(ctx))
		}
	}
	return errors.Join(errs...)
}

// Close ends the goroutines behind it. What is not flushed is dropped.
func (l *Log) Close() {
	for _, o := range []*Outlet{l.Kmsg, l.Console} {
		if o != nil {
			o.Close()
		}
	}
}

// room tells whether the kernel takes one more record now.
func (l *Log) room() bool {
	if !l.Limited {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.Now != nil {
		now = l.Now()
	}
	if d := now.Sub(l.since); d > kmsgInterval || d < 0 {
		l.since, l.count = now, 0
	}
	l.count++
	return l.count <= kmsgBurst
}
