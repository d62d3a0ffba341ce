package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

const (
	// stopMargin is what the daemon gets beyond its own shutdown timeout.
	stopMargin = 10 * time.Second
	// stopForever is what it gets where that is without end.
	stopForever = 10 * time.Minute
)

// daemonLimit bounds the daemon's end.
func (s *supervisor) daemonLimit() time.Duration {
	switch {
	case s.plan == nil: // and so there is no daemon
		return stopMargin
	case s.plan.shutdownTimeout < 0:
		return stopForever
	}
	return time.Duration(s.plan.shutdownTimeout)*time.Second + stopMargin
}

// shutDown ends the machine. It returns only where even that failed.
func (s *supervisor) shutDown(action power.Action) error {
	s.stopping = true
	s.announce("going down: " + string(action))
	again, done := make(chan struct{}, 2), make(chan struct{})
	s.init.Go(func() {
		for {
			select {
			case signal := <-s.init.Signals():
				s.passOn(signal)
				if a, ok := power.Request(signal); ok && a.Out() {
					select {
					case again <- struct{}{}:
					default: // it is in a hurry already
					}
				}
			case <-done:
				return // what comes now is for the end that did not come
			}
		}
	})
	err := power.Shutdown(context.Background(), s.wayOut(action, again))
	close(done)
	if err == nil {
		err = errors.New("the shutdown has ended, and the machine has not")
	}
	return err
}

// wayOut are the steps of a shutdown.
func (s *supervisor) wayOut(action power.Action, again <-chan struct{}) power.Steps {
	return power.Steps{
		Action: action, Machine: true, Again: again,
		StopDaemon: s.stopDaemon, DaemonLimit: s.daemonLimit(),
		Save: func(ctx context.Context) error {
			if s.boot == nil {
				return nil // there is nothing yet
			}
			s.boot.cancel()
			return machine.Save(ctx, s.boot.options)
		},
		Unmount: func(ctx context.Context) error {
			s.letGo()
			report, err := mounts.UnmountAll{Keep: []string{"/proc", "/sys", "/dev"}, Loops: true}.Run(ctx)
			for _, r := range report.Results {
				if r.Outcome == mounts.Detached || r.Outcome == mounts.Stuck {
					err = errors.Join(err, errors.New(r.String()))
				}
			}
			return err
		},
		Tell: func(problem bool, text string) {
			level := machine.Notice
			if problem {
				level = machine.Error
			}
			log := s.log.Load()
			if log == nil {
				s.lastWords(text)
				return
			}
			// The console and the kernel's log are the last to hear; where both fail there is nobody else.
			_ = log.Write(level, text)
		},
	}
}

// letGo closes what would keep the data-root and /run busy.
func (s *supervisor) letGo() {
	tell := func(err error) {
		if err != nil {
			s.config.log().Warn(err)
		}
	}
	if s.notify != nil {
		tell(s.notify.Close())
	}
	if s.plan == nil {
		return
	}
	if s.plan.lock != nil && s.plan.lock.lock != nil {
		tell(s.plan.lock.lock.Unlock())
	}
	if s.plan.opened != nil {
		for _, fd := range *s.plan.opened {
			tell(unix.Close(fd))
		}
		*s.plan.opened = nil
	}
}

// stopDaemon asks the daemon to stop and waits for it, and then for containerd. A daemon that is sent an image does not end before
// it has it.
func (s *supervisor) stopDaemon(ctx context.Context) error {
	s.endPreload()
	process := s.dockerd.running()
	if process == nil {
		return s.stopContainerd()
	}
	if err := process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, pidone.ErrEnded) {
		return errors.Join(err, s.stopContainerd())
	}
	select {
	case <-process.Done():
		return s.stopContainerd()
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended: %w", s.plan.Command.Path, context.Cause(ctx))
	}
}
