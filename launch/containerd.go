package launch

import (
	"errors"
	"fmt"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
	"github.com/dockerlaunch/dockerlaunch/launch/sockets"
	"golang.org/x/sys/unix"
)

// executeLimit bounds the wait for containerd's execution where the daemon has ended already.
const executeLimit = time.Second

// startContainerd starts containerd, or has it started beside the daemon.
func (s *supervisor) startContainerd() error {
	c := s.plan.Containerd
	s.containerd = newService("containerd", pidone.Command{
		Path: c.Program, Args: append([]string{c.Program}, c.Args()...), Env: environWithout(environWith(s.config.Environ, s.plan.Command.Env), ready.NotifyVar),
		Stdin: pidone.Null, Stdout: 2, Session: true,
	})
	s.containerd.pipes, s.containerd.to = s.pipes(), s.output()
	if s.machine() {
		if err := s.runContainerd(); err != nil {
			return err
		}
		s.watchContainerd()
		return nil
	}
	s.besideDaemon = s.beginContainerd
	return nil
}

// watchContainerd watches for the moment in which containerd answers.
func (s *supervisor) watchContainerd() {
	address := s.plan.Containerd.Address
	s.init.Go(func() {
		// The pauses become longer: nobody waits for the answer, and on a slow machine asking takes processor time from containerd.
		for begin := time.Now(); time.Since(begin) < containerdLimit; time.Sleep(max(5*time.Millisecond, time.Since(begin)/16)) {
			// An error is a socket that cannot be made for want of descriptors or memory: the daemon will tell.
			if up, err := sockets.Answers(address); up && err == nil {
				s.record.event("containerd", "answers")
				close(s.containerdUp)
				return
			}
		}
	})
}

// beginContainerd starts containerd while dockerd is executed, which takes as long as half of all other steps: dockerd has more to
// do until it asks for containerd than containerd has until it answers. A machine, which is not in such a hurry, starts and waits
// for one after the other.
func (s *supervisor) beginContainerd() {
	executed := make(chan error, 1)
	s.executed = executed
	failed := func(err error) { executed <- &StepError{Step: "containerd", Err: startError(err)} }
	spawning, err := s.containerd.begin(s.init)
	if err != nil {
		failed(err)
		return
	}
	s.init.Go(func() {
		if err := spawning.Wait(); err != nil {
			failed(err)
			return
		}
		executed <- nil
	})
	s.containerdStarted(spawning.Process)
	s.watchContainerd()
}

// containerdExecuted takes note of what became of the first start, and ends the daemon where containerd was not executed.
func (s *supervisor) containerdExecuted(err error) error {
	s.executed = nil
	if err == nil {
		return nil
	}
	return errors.Join(err, s.record.failed(err), s.killDaemon())
}

func (s *supervisor) runContainerd() error {
	if s.ending() {
		return nil // see startDaemon
	}
	if err := s.containerd.start(s.init, nil); err != nil {
		return startError(err)
	}
	s.containerdStarted(s.containerd.running())
	return nil
}

// containerdStarted takes note of a containerd. It runs, whatever becomes of its PID file: an error would have another one started
// beside it.
func (s *supervisor) containerdStarted(process *pidone.Process) {
	s.record.event("containerd", "started")
	if err := s.plan.Containerd.Started(process.PID()); err != nil {
		s.config.log().Warnf("%v. Lost: a dockerd that is started without the launcher does not find this containerd", err)
	}
}

// containerdAnswered tells whether containerd has been up.
func (s *supervisor) containerdAnswered() bool {
	select {
	case <-s.containerdUp:
		return true
	default:
		return false
	}
}

// stopContainerd stops containerd, which by now has nobody to serve.
func (s *supervisor) stopContainerd() error {
	process := s.containerd.running()
	if process == nil {
		return nil
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := process.Signal(signal); err != nil && !errors.Is(err, pidone.ErrEnded) {
			if signal == unix.SIGKILL {
				return fmt.Errorf("stopping containerd: %w", err)
			}
			s.config.log().Warnf("stopping containerd: %v; killing it", err)
			continue
		}
		select {
		case <-process.Done():
			return s.plan.Containerd.Stopped()
		case <-time.After(containerdStopLimit):
			s.config.log().Warnf("containerd did not end within %v of %s", containerdStopLimit, pidone.SignalName(signal))
		}
	}
	return nil
}
