package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
	"golang.org/x/sys/unix"
)

// DaemonError tells that the daemon ran and ended with another status than 0.
type DaemonError struct {
	Daemon string
	Status pidone.Status
}

func (e *DaemonError) Error() string { return fmt.Sprintf("%s: %v", e.Daemon, e.Status) }

const (
	// containerdLimit bounds the wait for containerd's socket; the daemon waits for it as long.
	containerdLimit = time.Minute
	// containerdStopLimit bounds the wait for containerd's end, which takes milliseconds where nothing is stuck.
	containerdStopLimit = 10 * time.Second
	// killLimit bounds the wait for the end of a daemon that was killed. What lasts longer is in the kernel's hands.
	killLimit = 2 * time.Second
)

// settleAfter is when, after the daemon was started, that is done which can wait: its start and containerd's need the processors
// more.
const settleAfter = 50 * time.Millisecond

// supervisor is one launch whose daemon is a child.
type supervisor struct {
	config Config
	init   *pidone.Init
	plan   *Plan
	begin  time.Time

	containerd, dockerd *service
	// besideDaemon is called once, while the daemon is executed; it may be nil.
	besideDaemon func()
	// containerdUp is closed when containerd answers for the first time.
	containerdUp chan struct{}
	// executed tells whether containerd was executed at its first start; nil where that is known.
	executed <-chan error
	// stopping is set by the first request to stop.
	stopping  bool
	forwarder *pidone.Forwarder
	// notify hears the daemon say that it is ready; nil where it cannot be heard.
	notify *ready.Receiver
	record *recorder
	// first tells that this is PID 1 of a machine.
	first bool
	// boot is what there is beside on a machine; nil elsewhere, and before /proc could be read.
	boot *boot
	// log is where the messages of a machine go; nil elsewhere, and before its console is known.
	log atomic.Pointer[machine.Log]
	// fatal is the end of a launcher that cannot go on; over is closed, once, when it begins, and sooner is what others are asked
	// for then.
	fatal  *power.Fatal
	over   chan struct{}
	once   sync.Once
	sooner chan power.Action
	// known is closed when it is known what signals ask for here: those of a machine's PID 1, or a daemon's.
	known   chan struct{}
	isKnown func()
	// early are the signals that came while there was no daemon to forward them to.
	early []unix.Signal
	// preload is the context of the loading of images, which endPreload ends; loading tells that it has begun.
	preload    context.Context
	endPreload context.CancelFunc
	loading    bool
}

func newSupervisor(c Config, first bool) *supervisor {
	s := &supervisor{
		config: c, begin: time.Now(), containerdUp: make(chan struct{}), first: first,
		known: make(chan struct{}), over: make(chan struct{}), sooner: make(chan power.Action, 1),
	}
	s.preload, s.endPreload = context.WithCancel(context.Background())
	s.isKnown = sync.OnceFunc(func() { close(s.known) })
	s.record = newRecorder(s.begin, c.Version)
	s.fatal = s.newFatal()
	return s
}

// supervise prepares the system for the Docker daemon, starts it as a child and stays its parent: it forwards signals to
// it, and keeps a containerd running beside it. In a container the daemon's end is supervise's: nil for exit status 0, else
// a *DaemonError. On a machine a daemon that ends is started again.
func (s *supervisor) supervise(ctx context.Context) error {
	// See Launch: namespaces are a thread's own, and all children are to have the same.
	runtime.LockOSThread()
	err := s.prepare(ctx)
	if err == nil {
		err = s.listenForReady()
	}
	if err != nil {
		return errors.Join(err, s.record.failed(err), s.stopContainerd())
	}
	return s.run()
}

// prepare does all that comes before the daemon. Signals that ask to stop end it, and on a machine those that ask for its end.
func (s *supervisor) prepare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	prepared, listened := make(chan struct{}), make(chan struct{})
	s.init.Go(func() {
		defer close(listened)
		s.early = earlySignals(s.init.Signals(), s.known, prepared, s.endsBoot, cancel)
	})
	a := goAhead()
	plan, report, err := prepare(ctx, s.config, func(p *Plan) Hooks {
		s.plan = p
		if p.Habitat != host.Machine {
			s.isKnown()
		}
		hooks := s.hooks()
		hooks.ahead = a
		return hooks
	}, func(ctx context.Context) (Config, error) {
		err := s.bootMachine(ctx)
		return s.config, err
	})
	a.end()
	close(prepared)
	<-listened
	s.plan = plan
	switch {
	case ctx.Err() != nil:
		// What fails meanwhile is no reason to refuse it.
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.Cause(ctx)) {
			s.config.log().Warn(err)
		}
		err = context.Cause(ctx)
	case err != nil:
	default:
		s.config.log().Infof("starting %s, %v after the launcher (%d steps done, %d stood already, %d warnings)", plan.Command.Path,
			time.Since(s.begin).Round(time.Millisecond), report.Count(Done), report.Count(Kept), report.Count(Warned))
	}
	cancel(nil)
	return err
}

func (s *supervisor) hooks() Hooks {
	return Hooks{Observe: s.observe, StartContainerd: s.startContainerd, MakeCertificates: s.makeCertificates, AskVersion: s.askVersion}
}

// take applies a plan of the machine's.
func (s *supervisor) take(ctx context.Context, p *Plan) (*Report, error) {
	return take(ctx, p, func(*Plan) Hooks { return s.hooks() })
}

// pipes tells whether the output of what we start goes through us. On a terminal it does not, as programs write otherwise
// to one, and on a person's host the daemon may outlive us.
func (s *supervisor) pipes() bool {
	switch s.plan.Habitat {
	case host.Machine:
		return true
	case host.Container:
		_, err := unix.IoctlGetTermios(2, unix.TCGETS)
		return err != nil
	default:
		return false
	}
}

// output is where the output of what we start goes.
func (s *supervisor) output() io.Writer {
	if log := s.log.Load(); log != nil {
		return &consoleWriter{log: log}
	}
	return os.Stderr
}

// run starts the daemon and stays with it to its end.
func (s *supervisor) run() error {
	s.dockerd = newService(s.plan.Command.Path, s.daemonCommand())
	s.dockerd.pipes, s.dockerd.to, s.dockerd.observe = s.pipes(), s.output(), s.record.daemonSays
	if s.boot != nil {
		s.later()
	}
	if s.config.PanicAfter > 0 {
		s.panicAfter(s.config.PanicAfter)
	}
	if err := s.startDaemon(); err != nil {
		return errors.Join(err, s.record.failed(err), s.stopContainerd())
	}
	time.AfterFunc(settleAfter, func() { s.init.Go(s.settle) })
	for {
		if s.ending() {
			s.idle()
		}
		select {
		case <-s.over:
		case event, ok := <-s.events():
			if !ok {
				s.deaf()
				break
			}
			s.heard(event)
		case signal := <-s.init.Signals():
			if s.passOn(signal) {
				break
			}
			if s.machine() {
				if action, ok := power.Request(signal); ok && action.Out() {
					return s.shutDown(action)
				}
			}
			if err := s.signal(signal); err != nil {
				return errors.Join(err, s.stopContainerd())
			}
		case err := <-s.executed:
			if err := s.containerdExecuted(err); err != nil {
				return err
			}
		case <-s.containerd.done():
			if s.executed != nil {
				if err := s.containerdExecuted(<-s.executed); err != nil {
					return err
				}
			}
			status, says := s.containerd.ended()
			if !s.containerdAnswered() && !s.machine() {
				// One that cannot start at all will not start in half a second either, and dockerd would wait a minute for it.
				s.config.log().Error(says)
				err := &DaemonError{Daemon: s.containerd.command.Path, Status: status}
				return errors.Join(err, s.record.failed(err), s.killDaemon())
			}
			s.config.log().Errorf("%s\nstarting it again in %v", says, s.containerd.restartLater())
		case <-s.containerd.due():
			if err := s.runContainerd(); err != nil {
				s.config.log().Errorf("%v; trying again in %v", err, s.containerd.restartLater())
			}
		case <-s.dockerd.done():
			if s.ending() {
				break
			}
			// A daemon may end before it is known that containerd could not be executed, and perhaps for that.
			if s.executed != nil {
				select {
				case err := <-s.executed:
					if err := s.containerdExecuted(err); err != nil {
						return err
					}
				case <-time.After(executeLimit):
				}
			}
			status, says := s.dockerd.ended()
			if s.stopping || !s.restarts() {
				err := s.daemonEnd(status)
				if err != nil {
					err = errors.Join(err, s.record.failed(err)) // unless it was ready before
				}
				return errors.Join(err, s.stopContainerd())
			}
			s.config.log().Errorf("%s\nstarting it again in %v", says, s.dockerd.restartLater())
		case <-s.dockerd.due():
			if err := s.startDaemon(); err != nil {
				s.config.log().Errorf("%v; trying again in %v", err, s.dockerd.restartLater())
			}
		}
	}
}

// settle catches the signals that do no harm uncaught, about which dockerd does nothing before it is up, and gives back pages.
func (s *supervisor) settle() {
	s.init.CatchAll()
	if err := givePagesBack(); err != nil {
		s.config.log().Debug(err)
	}
}

// killDaemon ends a daemon that cannot work.
func (s *supervisor) killDaemon() error {
	process := s.dockerd.running()
	if process == nil {
		return nil
	}
	if err := process.Signal(unix.SIGKILL); err != nil && !errors.Is(err, pidone.ErrEnded) {
		return fmt.Errorf("stopping %s: %w", s.plan.Command.Path, err)
	}
	select {
	case <-process.Done():
	case <-time.After(killLimit):
	}
	return nil
}

// restarts tells whether a daemon that ends is started again.
func (s *supervisor) restarts() bool { return s.machine() || s.config.Restart }

func (s *supervisor) machine() bool { return s.first }

// daemonEnd is the error for the daemon's exit status.
func (s *supervisor) daemonEnd(status pidone.Status) error {
	if status.ExitCode() == 0 {
		return nil
	}
	return &DaemonError{Daemon: s.plan.Command.Path, Status: status}
}

// signal forwards a signal to the daemon alone: containerd and the shims have to outlive it while it stops its containers
// (moby issues 31459 and 38978).
func (s *supervisor) signal(signal unix.Signal) error {
	if !s.means(signal) {
		return nil
	}
	asksToStop := asksToStop(signal) && !s.machine() // where it asks for something else, or as QUIT for nothing
	if s.dockerd.running() == nil {
		if asksToStop {
			return &SignalError{Signal: signal}
		}
		s.early = append(s.early, signal)
		return nil
	}
	s.stopping = s.stopping || asksToStop
	if s.stopping {
		s.endPreload()
	}
	if err := s.forwarder.Forward(signal); err != nil {
		s.config.log().Warnf("forwarding %s to %s: %v", pidone.SignalName(signal), s.plan.Command.Path, err)
	}
	return nil
}

func (s *supervisor) daemonCommand() pidone.Command {
	command := s.plan.Command
	c := pidone.Command{
		Path: command.Path, Args: append([]string{command.Path}, command.Args...), Env: environWith(s.config.Environ, command.Env),
	}
	if s.plan.opened != nil {
		c.Files, c.ListenFDs = *s.plan.opened, true
	} else if files := s.config.handedOver(inherited); files != nil {
		c.Files, c.ListenFDs = files, true
	}
	if s.plan.Habitat == host.Container {
		c.Foreground = true
	}
	if s.notify != nil {
		c.Env = environWith(c.Env, []Variable{{Name: ready.NotifyVar, Value: s.notify.Addr()}})
	}
	return c
}

func (s *supervisor) startDaemon() error {
	if s.ending() {
		return nil // it would only stand in the way of the end
	}
	beside := s.besideDaemon
	s.besideDaemon = nil
	if err := s.dockerd.start(s.init, beside); err != nil {
		return startError(err)
	}
	s.record.event("dockerd", "started")
	s.forwarder = pidone.NewForwarder(s.dockerd.running())
	early := s.early
	s.early = nil
	for _, signal := range early {
		if err := s.signal(signal); err != nil {
			return err
		}
	}
	return nil
}

// startError makes a program that cannot be executed an *ExecError, which has an exit status of its own.
func startError(err error) error {
	var e *pidone.ExecError
	if !errors.As(err, &e) || e.Stage != pidone.StageExec {
		return err
	}
	_, statErr := os.Stat(e.Path)
	return &ExecError{Daemon: e.Path, Err: e.Err, Found: !errors.Is(statErr, fs.ErrNotExist)}
}
