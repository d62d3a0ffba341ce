package launch

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"golang.org/x/sys/unix"
)

// service is a program that is kept running.
type service struct {
	name    string
	command pidone.Command
	// pipes tells that its output goes through us, so that its last lines can be told.
	pipes   bool
	to      io.Writer
	observe func(line string)

	backoff *pidone.Backoff
	process atomic.Pointer[pidone.Process]
	tail    *tail
	began   time.Time // the last start
	// again fires when it is to be started anew; nil while it runs.
	again <-chan time.Time
}

func newService(name string, command pidone.Command) *service {
	return &service{name: name, command: command, to: os.Stderr, backoff: pidone.DefaultBackoff()}
}

// start starts the program; meanwhile, which may be nil, is called while it is executed.
func (s *service) start(init *pidone.Init, meanwhile func()) error {
	spawning, err := s.begin(init)
	if err != nil {
		return err
	}
	if meanwhile != nil {
		meanwhile()
	}
	if err := spawning.Wait(); err != nil {
		s.process.Store(nil)
		return err
	}
	return nil
}

// begin starts the program, and does not wait until it is executed.
func (s *service) begin(init *pidone.Init) (*pidone.Spawning, error) {
	command := s.command
	// Also of a start that fails: what ran well before it is no reason to try again at once.
	s.began = time.Now()
	s.tail, s.again = &tail{observe: s.observe}, nil
	if s.pipes {
		w, err := s.tail.pipe(s.name, s.to, init.Go)
		if err != nil {
			return nil, fmt.Errorf("making a pipe for the output of %s: %w", s.name, err)
		}
		defer unix.Close(w) // the program has its own by then
		command.Stdout, command.Stderr = w, w
	}
	spawning, err := init.Begin(command)
	if err != nil {
		return nil, err
	}
	s.process.Store(spawning.Process)
	return spawning, nil
}

// running is the process, nil where the program is not running.
func (s *service) running() *pidone.Process {
	if s == nil {
		return nil
	}
	return s.process.Load()
}

// done fires when the program has ended; never where it is not running.
func (s *service) done() <-chan struct{} {
	if process := s.running(); process != nil {
		return process.Done()
	}
	return nil
}

func (s *service) due() <-chan time.Time {
	if s == nil {
		return nil
	}
	return s.again
}

// ended takes note of the end, and tells of it.
func (s *service) ended() (status pidone.Status, says string) {
	status = s.running().Status()
	s.process.Store(nil)
	says = fmt.Sprintf("%s ended after %v: %v", s.name, time.Since(s.began).Round(time.Millisecond), status)
	if last := s.tail.last(); last != "" {
		says += "; its last lines:\n" + last
	}
	return status, says
}

// restartLater has the program started anew after a pause, which it returns.
func (s *service) restartLater() time.Duration {
	pause := s.backoff.Next(time.Since(s.began))
	s.again = time.After(pause)
	return pause
}
