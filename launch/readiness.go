package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
)

// notifySocket is where dockerd tells us that it is ready.
const notifySocket = "/run/dockerlaunch/notify"

// listenForReady makes the socket at which dockerd says that it is ready. Another daemon keeps the NOTIFY_SOCKET that it
// was given.
func (s *supervisor) listenForReady() error {
	s.record.planned(s.plan)
	if !s.plan.isDockerd {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(notifySocket), 0o755); err != nil {
		return fmt.Errorf("making a folder for the daemon's word that it is ready: %w", err)
	}
	receiver, err := ready.Listen(notifySocket)
	if err != nil {
		return err
	}
	s.notify = receiver
	return nil
}

// removeSockets leaves no socket behind of which nobody answers, as dockerd does with its own.
func (s *supervisor) removeSockets() {
	if s.plan == nil || s.plan.opened == nil || *s.plan.opened == nil {
		return
	}
	for _, host := range s.plan.hosts {
		if path, ok := strings.CutPrefix(host, "unix://"); ok {
			_ = os.Remove(path) // one that stays is replaced by the next start
		}
	}
}

// events is what the daemon says; never anything where it is not listened to.
func (s *supervisor) events() <-chan ready.Event {
	if s.notify == nil {
		return nil
	}
	return s.notify.Events()
}

// deaf takes note that the socket for the daemon's word is gone. Its channel is closed, and would be heard for ever.
func (s *supervisor) deaf() {
	err := s.notify.Close()
	s.notify = nil
	s.config.log().Warnf("%v. Lost: the message that %s is ready, the report of this start, and the supervisor's word of it; "+
		"a SIGHUP that came before stays unsent", err, s.plan.Command.Path)
}

// heard takes the daemon's word that it is ready, and hands it on to whoever wants to know it of us.
func (s *supervisor) heard(event ready.Event) {
	if s.dockerd.running() == nil || event.PID != s.dockerd.running().PID() {
		return // of a container that got hold of the socket's name, or of a daemon that has ended since
	}
	outer := s.config.getenv(ready.NotifyVar)
	if event.Stopping {
		if err := ready.Notify(outer, ready.StateStopping); err != nil {
			s.config.log().Warn(err)
		}
	}
	if !event.Ready {
		return
	}
	took := time.Since(s.begin)
	s.announce(fmt.Sprintf("%s is ready, %v after the launcher", s.plan.Command.Path, took.Round(time.Millisecond)))
	if err := s.forwarder.Ready(); err != nil {
		s.config.log().Warnf("handing on the SIGHUP that came before: %v", err)
	}
	if err := s.record.ready(took); err != nil {
		s.config.log().Warn(err)
	}
	if err := ready.Notify(outer, ready.StateReady); err != nil {
		s.config.log().Warn(err)
	}
	if s.boot != nil {
		s.boot.release()
	}
	if err := giveBack(); err != nil {
		s.config.log().Debug(err)
	}
	s.loadImages()
}

// observe logs a result and keeps it for the report.
func (s *supervisor) observe(r Result) {
	s.config.logResult(r)
	s.record.step(r)
}

// announce says what a person at a machine's console waits for, also where only problems are shown there.
func (s *supervisor) announce(text string) {
	log := s.log.Load()
	if log == nil {
		s.config.log().Info(text)
		return
	}
	if err := log.Loud(machine.Notice, text); err != nil {
		s.config.log().Warnf("the console does not take messages: %v", err)
	}
}
