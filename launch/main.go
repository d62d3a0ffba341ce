package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
)

// Main is the whole of a launcher that stays: it takes over signals and children, prepares the system, starts the daemon
// and stays its parent. On a machine it does not return: every way out, a panic in any goroutine too, ends in a shutdown,
// since a PID 1 that ends takes the kernel with it. Elsewhere it returns the exit status.
func Main(c Config) int {
	s := &supervisor{config: c, begin: time.Now(), containerdUp: make(chan struct{}), known: make(chan struct{})}
	s.preload, s.endPreload = context.WithCancel(context.Background())
	s.isKnown = sync.OnceFunc(func() { close(s.known) })
	s.record = newRecorder(s.begin, c.Version)
	defer func() {
		if caught := recover(); caught != nil {
			s.panicked(caught, debug.Stack())
		}
	}()
	init, err := pidone.Start(pidone.Options{OnPanic: s.panicked, Later: true})
	if err != nil {
		c.log().Error(err)
		return ExitCannotLaunch
	}
	s.init = init
	err = s.supervise(context.Background())
	if s.boot == nil {
		if err != nil {
			s.config.log().Error(err)
		}
		return ExitStatus(err)
	}
	var signal *SignalError
	if errors.As(err, &signal) {
		if action, ok := power.Request(signal.Signal); ok && action.Out() {
			err = s.shutDown(action)
		}
	}
	s.boot.fatal.End(err, ExitStatus(err))
	return ExitStatus(err)
}

// panicked is where a panic in any goroutine ends.
func (s *supervisor) panicked(value any, stack []byte) {
	err := fmt.Errorf("a mistake in the launcher itself, please report it: %v\n%s", value, stack)
	s.ending.Store(true)
	if s.boot != nil {
		s.boot.fatal.End(err, ExitCannotLaunch)
	}
	end := power.Fatal{
		Tell: func(text string) { s.config.log().Error(text) },
		Stop: func(ctx context.Context) {
			if err := s.stopDaemon(ctx); err != nil {
				s.config.log().Error(err)
			}
		},
		StopLimit: min(s.daemonLimit(), stopForever), Exit: os.Exit,
	}
	end.End(err, ExitCannotLaunch)
}
