package launch

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"golang.org/x/sys/unix"
)

// flushLimit bounds the wait for a console that takes nothing.
const flushLimit = 2 * time.Second

// newFatal is the end of a launcher that cannot go on. It needs nothing of what the launcher does before: on a machine, where it
// is the only way out, it stands ready before the first signal can come.
func (s *supervisor) newFatal() *power.Fatal {
	if s.first {
		return &power.Fatal{
			Machine: true, FindPanic: findPanic, Asked: s.sooner, Tell: s.lastWords,
			Stop: func(ctx context.Context) {
				steps := s.wayOut(power.Reboot, nil)
				// Nobody is there to hurry it.
				steps.DaemonLimit = min(steps.DaemonLimit, stopForever)
				power.Quiesce(ctx, steps)
			},
			StopLimit: stopForever + 5*time.Minute, // each step of it has a bound of its own
		}
	}
	return &power.Fatal{
		Tell: func(text string) { s.config.log().Error(text) },
		Stop: func(ctx context.Context) {
			ctx, cancel := context.WithTimeoutCause(ctx, min(s.daemonLimit(), stopForever), errors.New("out of time"))
			defer cancel()
			if err := s.stopDaemon(ctx); err != nil {
				s.config.log().Error(err)
			}
		},
		StopLimit: stopForever + time.Minute, Exit: os.Exit,
	}
}

// findPanic reads panic= of the kernel command line. What cannot be read, without /proc, says nothing.
func findPanic() power.Panic {
	line, _ := os.ReadFile("/proc/cmdline")
	kernel, _ := os.ReadFile("/proc/sys/kernel/panic")
	return power.ParsePanic(wordsOf(bootline.Parse(string(line))), string(kernel))
}

// wordsOf are the words of the kernel command line without quotes.
func wordsOf(line bootline.Line) []string {
	words := make([]string, len(line.Words))
	for i, w := range line.Words {
		words[i] = w.String()
	}
	return words
}

// lastWords shows what has to be seen whatever the verbosity. There is nobody left to tell that it could not be told.
func (s *supervisor) lastWords(text string) {
	log := s.log.Load()
	if log == nil {
		log = earlyLog()
		s.log.Store(log)
	}
	if log.Kmsg != nil || log.Console != nil {
		_ = log.Loud(machine.Emergency, text)
		_ = flush(log)
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer func() { _ = recover() }() // as above
		_, _ = os.Stderr.WriteString("dockerlaunch: " + text + "\n")
	}()
	select {
	case <-written:
	case <-time.After(flushLimit):
	}
}

// earlyLog is the log of a machine that has not come to look at itself. Emergencies are shown by every kernel.
func earlyLog() *machine.Log {
	log := &machine.Log{Verbosity: machine.Verbosity{Console: machine.Info, Kmsg: machine.Info, Kernel: 1}, Limited: true}
	if path := machine.ConsoleDevice([]string{"/dev/kmsg"}); path != "" {
		log.Kmsg = machine.OpenKmsg(path)
	}
	if path := machine.ConsoleDevice([]string{"/dev/console"}); path != "" {
		log.Console = machine.OpenTerminal(path)
	}
	return log
}

// flush writes out what waits, before another program takes this one's place. What the console does not take is told nowhere.
func (s *supervisor) flush() {
	if log := s.log.Load(); log != nil {
		_ = flush(log)
	}
}

// flush waits until the messages are out, within a bound.
func flush(log *machine.Log) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), flushLimit, errors.New("out of time"))
	defer cancel()
	return log.Flush(ctx)
}

// beginEnd takes note that the launcher cannot go on: from now on nothing is started any more.
func (s *supervisor) beginEnd() { s.once.Do(func() { close(s.over) }) }

// ending tells whether the launcher cannot go on, so that what happens to the daemon is another goroutine's business.
func (s *supervisor) ending() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// idle leaves everything to the end that another goroutine has begun. It does not return.
func (s *supervisor) idle() {
	for signal := range s.init.Signals() {
		s.passOn(signal)
	}
}

// passOn gives a signal to the end, where that has begun, and tells whether it has.
func (s *supervisor) passOn(signal unix.Signal) bool {
	if !s.ending() {
		return false
	}
	if action, ok := power.Request(signal); ok && action.Out() {
		select {
		case s.sooner <- action:
		default: // one is asked for already
		}
	}
	return true
}

// means tells whether a signal is for the daemon, and says so where it is not: on a machine that is SIGHUP alone, as what ends
// the daemon would otherwise end it behind the machine's back.
func (s *supervisor) means(signal unix.Signal) bool {
	if _, ok := power.Request(signal); ok || !s.first {
		return true
	}
	s.config.log().Warnf("%s was sent to PID 1, which asks a machine for nothing: it is ignored", pidone.SignalName(signal))
	return false
}
