package launch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
)

// Main is the whole of a launcher that stays: it takes over signals and children, prepares the system, starts the daemon
// and stays its parent. On a machine it does not return: every way out, a panic in any goroutine too, ends in a shutdown,
// since a PID 1 that ends takes the kernel with it. Elsewhere it returns the exit status.
func Main(c Config) int {
	s := newSupervisor(c, host.FirstProcess())
	return s.main(func() error { return s.supervise(context.Background()) })
}

// End is the end of a program that Launch has not made the daemon: the message, and on a machine, whose PID 1 it is, all that
// Main does at its end. Elsewhere it returns the exit status.
func End(c Config, err error) int {
	return newSupervisor(c, host.FirstProcess()).main(func() error { return err })
}

// main takes over signals and children, does it, and ends.
func (s *supervisor) main(do func() error) int {
	defer func() {
		if caught := recover(); caught != nil {
			s.panicked(caught, debug.Stack())
		}
	}()
	spread() // before there is anything to be stopped for it
	init, err := pidone.Start(pidone.Options{OnPanic: s.panicked, Later: true, Hurry: !s.first})
	if err != nil {
		return s.end(err)
	}
	s.init, s.fatal.Signals = init, init.Signals()
	if s.first {
		init.CatchAll() // a boot takes longer than that, and its end may be asked for by any of them
		s.isKnown()
	}
	err = do()
	if s.ending() {
		s.idle()
	}
	s.removeSockets()
	var signal *SignalError
	if s.first && errors.As(err, &signal) {
		if action, ok := power.Request(signal.Signal); ok && action.Out() {
			err = s.shutDown(action)
		}
	}
	return s.end(err)
}

// end is the end of what main does. On a machine it does not return.
func (s *supervisor) end(err error) int {
	if s.first {
		s.beginEnd()
		s.fatal.End(err, ExitStatus(err))
	} else if err != nil {
		s.config.log().Error(err)
	}
	return ExitStatus(err)
}

// panicked is where a panic in any goroutine ends.
func (s *supervisor) panicked(value any, stack []byte) {
	s.beginEnd()
	s.fatal.End(fmt.Errorf("a mistake in the launcher itself, please report it: %v\n%s", value, stack), ExitCannotLaunch)
}
