package launch

import (
	"context"

	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"golang.org/x/sys/unix"
)

// earlySignals takes the signals that come before there is a daemon, until done is closed. Once known is closed, the first that
// ends says so of calls stop with a *SignalError. It returns the others, which are for the daemon.
func earlySignals(signals <-chan unix.Signal, known, done <-chan struct{}, ends func(unix.Signal) bool, stop context.CancelCauseFunc) (kept []unix.Signal) {
	isKnown := false
	for {
		var came []unix.Signal
		select {
		case signal := <-signals:
			came = []unix.Signal{signal}
		case <-known:
			known, isKnown = nil, true
			came, kept = kept, nil
		case <-done:
			return kept
		}
		for _, signal := range came {
			if isKnown && ends(signal) {
				stop(&SignalError{Signal: signal})
			} else {
				kept = append(kept, signal)
			}
		}
	}
}

// endsBoot tells whether a signal ends the preparations: on a machine, whose PID 1 this is, one that asks for the machine's end.
func (s *supervisor) endsBoot(signal unix.Signal) bool {
	s.passOn(signal)
	if !s.first {
		return asksToStop(signal)
	}
	action, ok := power.Request(signal)
	return ok && action.Out()
}

// asksToStop tells whether a signal asks a program to end. HUP is no such request: it asks to read the configuration
// again, which is about to be read anyway.
func asksToStop(s unix.Signal) bool {
	return s == unix.SIGTERM || s == unix.SIGINT || s == unix.SIGQUIT
}
