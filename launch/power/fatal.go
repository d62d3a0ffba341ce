package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Panic is what panic= of the kernel command line says: what becomes of a machine that cannot go on.
type Panic struct {
	// Seconds after which the machine reboots; negative: at once; zero: never.
	Seconds int
	// Given is false where nobody said anything.
	Given bool
}

// ParsePanic reads panic= out of the kernel command line, split into words. The last one counts. kernel is the text of
// /proc/sys/kernel/panic, "" where that is not known: what is not 0 there was said by somebody since, or when the kernel was
// built (CONFIG_PANIC_TIMEOUT).
func ParsePanic(words []string, kernel string) Panic {
	var p Panic
	for _, word := range words {
		if word == "--" {
			break
		}
		value, ok := strings.CutPrefix(word, "panic=")
		if n, err := strconv.ParseInt(value, 0, 32); ok && err == nil {
			p = Panic{Seconds: int(n), Given: true}
		}
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(kernel), 10, 32); err == nil && n != 0 {
		p = Panic{Seconds: int(n), Given: true}
	}
	return p
}

// defaultCountdown is how long the message of a fatal error can be read where panic= does not say.
const defaultCountdown = 10 * time.Second

// Fatal is the one end of a PID 1 that cannot go on, for errors and for panics: the message; a count-down in which it can be
// read; the steps of a shutdown as far as they go; sync; and reboot(2), by what panic= says. Should PID 1 return instead, the
// kernel would panic with "Attempted to kill init!", and nothing would be written to the disks.
type Fatal struct {
	// Machine is false in a container: there the end is the message, Stop and Exit.
	Machine bool
	// Panic decides; where it is not given, the machine reboots after the count-down. With panic=0 it stays until it is asked
	// to go by a signal.
	Panic Panic
	// FindPanic, where it is not nil, gives Panic at the end: so that there is an end before /proc could be read.
	FindPanic func() Panic
	// Countdown is used where Panic is not given, 10 s where zero.
	Countdown time.Duration
	// Then is what ends the machine, Reboot where empty.
	Then Action
	// Signals cut the count-down short, and choose the action by Request. It may be nil.
	Signals <-chan unix.Signal
	// Asked does the same for buttons, and for signals that another goroutine took. It may be nil.
	Asked <-chan Action
	// Tell shows a message on the console and in the kernel's log, whatever their verbosity. It must not wait without a bound.
	Tell func(text string)
	// Stop stops what runs before the end: Quiesce with the caller's steps. StopLimit bounds it, three minutes where zero.
	Stop      func(context.Context)
	StopLimit time.Duration
	// Exit is os.Exit where nil.
	Exit func(status int)

	ended  atomic.Bool
	system system
	after  func(time.Duration) <-chan time.Time // time.After where nil
}

// Recover is deferred in every goroutine of a PID 1: a panic there ends in End, with the stack in the message.
func (f *Fatal) Recover() {
	if caught := recover(); caught != nil {
		f.End(fmt.Errorf("a mistake in the launcher itself, please report it: %v\n%s", caught, debug.Stack()), 2)
	}
}

// End is the end. In a container the process exits with the status, on a machine it never returns. A second call, from another
// goroutine, waits for ever beside the first.
func (f *Fatal) End(cause error, status int) {
	if cause == nil {
		cause = errors.New("the launcher has come to its end")
	}
	if f.ended.Swap(true) {
		f.tell("and then: " + cause.Error())
		f.forever(nil)
	}
	if !f.Machine {
		f.tell(cause.Error())
		f.stop()
		f.exit(status)
		return
	}
	defer func() {
		// Whatever goes wrong in here, this goroutine must not end the process.
		if caught := recover(); caught != nil {
			_ = f.system.complete().reboot(Reboot, true) // it returns where it failed, and then there is nothing left to try
			f.forever(nil)
		}
	}()
	f.machine(cause)
}

func (f *Fatal) machine(cause error) {
	f.system = f.system.complete()
	f.tell("cannot go on: " + cause.Error())
	f.findPanic()
	action := f.Then
	if !action.Out() {
		action = Reboot
	}
	action = f.countdown(action)
	f.stop()
	f.bound(0, syncLimit, "writing everything to the disks", f.system.sync)
	for _, action := range []Action{action, Reboot, Halt} {
		f.tell(string(action) + " now")
		f.tell(f.system.reboot(action, true).Error())
	}
	f.tell("nothing ends this machine: turn it off")
	f.forever(nil)
}

func (f *Fatal) findPanic() {
	defer func() {
		// What panic= says is not worth the end: then it counts as not given.
		_ = recover()
	}()
	if f.FindPanic != nil {
		f.Panic = f.FindPanic()
	}
}

// countdown waits as long as panic= says, and returns what is to be done.
func (f *Fatal) countdown(action Action) Action {
	left := f.Countdown
	if left == 0 {
		left = defaultCountdown
	}
	if f.Panic.Given {
		left = time.Duration(f.Panic.Seconds) * time.Second
	}
	switch {
	case left < 0:
		return action
	case left == 0:
		f.tell("panic=0: this machine stays as it is, until Ctrl-Alt-Del, the power button or a signal")
		return f.forever(func(a Action) bool { return a.Out() })
	}
	for left > 0 {
		f.tell(fmt.Sprintf("%s in %v (Ctrl-Alt-Del, the power button or a signal: at once)", action, left))
		part := min(left, 5*time.Second)
		select {
		case <-f.timer(part):
			left -= part
		case s := <-f.Signals:
			if asked, ok := Request(s); ok && asked.Out() {
				return asked
			}
			left -= part // one that asks for nothing does not make the wait longer
		case asked := <-f.Asked:
			if asked.Out() {
				return asked
			}
			left -= part
		}
	}
	return action
}

// forever waits until a signal asks for what until accepts; without until, for good. The timer is for the Go runtime, which
// ends a process whose goroutines all wait for each other.
func (f *Fatal) forever(until func(Action) bool) Action {
	signals, asked := f.Signals, f.Asked
	if until == nil {
		signals, asked = nil, nil
	}
	for {
		select {
		case s, open := <-signals:
			if !open {
				signals = nil
			}
			if a, ok := Request(s); ok && until(a) {
				return a
			}
		case a := <-asked:
			if until(a) {
				return a
			}
		case <-time.After(time.Hour):
		}
	}
}

func (f *Fatal) stop() {
	if f.Stop == nil {
		return
	}
	f.bound(f.StopLimit, 3*time.Minute, "stopping what runs", func(ctx context.Context) error {
		f.Stop(ctx)
		return nil
	})
}

func (f *Fatal) bound(limit, otherwise time.Duration, what string, do func(context.Context) error) {
	if limit == 0 {
		limit = otherwise
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, errors.New("out of time"))
	defer cancel()
	if err := bounded(ctx, do); err != nil {
		f.tell(fmt.Sprintf("%s: %v", what, err))
	}
}

func (f *Fatal) tell(text string) {
	defer func() {
		// A message that cannot be shown must not keep the machine from its end, and there is nobody left to tell.
		_ = recover()
	}()
	if f.Tell != nil {
		f.Tell(text)
	}
}

func (f *Fatal) timer(d time.Duration) <-chan time.Time {
	if f.after != nil {
		return f.after(d)
	}
	return time.After(d)
}

func (f *Fatal) exit(status int) {
	if f.Exit != nil {
		f.Exit(status)
		return
	}
	os.Exit(status)
}
