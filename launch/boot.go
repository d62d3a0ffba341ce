package launch

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/machine"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

// saveEvery is how often a machine writes down its clock and a new entropy seed, for the sake of power cuts.
const saveEvery = 10 * time.Minute

// boot is what the supervisor has to do with a machine beside its daemon. It is nil in a container.
type boot struct {
	line    bootline.Line
	options machine.Options
	facts   machine.Facts
	// network is what the interfaces are given.
	network network.Config
	// settled is closed when the drivers of the devices are loaded, configured when an interface has its first address.
	settled      <-chan struct{}
	configured   chan struct{}
	isConfigured func()
	// begun is closed when the storage driver's module is loaded, or cannot be. rest is over, by release, when the daemon is ready,
	// or coldplugLimit after the boot's begin: then that is loaded which nobody waits for.
	begun   chan struct{}
	rest    context.Context
	release context.CancelFunc
	// cancel ends what goes on in the background.
	cancel context.CancelFunc
	ctx    context.Context
}

// bootMachine does what a machine needs before Docker can be thought of: options of the command line, a root on which
// containers can be started, console and log, drivers, disks and network. It is called when /proc, /sys, /dev and /run
// are there.
func (s *supervisor) bootMachine(ctx context.Context) error {
	data, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("reading the kernel command line: %w", err)
	}
	line := bootline.Parse(string(data))
	b := &boot{line: line, configured: make(chan struct{}), begun: make(chan struct{})}
	b.isConfigured = sync.OnceFunc(func() { close(b.configured) })
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.rest, b.release = context.WithTimeout(b.ctx, coldplugLimit)
	s.boot = b
	words := wordsOf(line)
	facts := machine.Observe("")
	b.facts = facts
	// The kernel's log takes all messages only once it was told to, by one of the steps below.
	s.useLog(facts.Log(words, false))
	var mistakes []error
	if s.config.Boot != nil {
		s.config, mistakes = s.config.Boot(s.config, line)
	}
	s.verbose(s.log.Load())
	s.watchButtons()
	if err := s.switchRoot(ctx); err != nil {
		return err
	}
	if err := s.leaveInitramfs(ctx); err != nil {
		return err
	}
	s.collectLess()

	p := &Plan{Habitat: host.Machine, lane: LaneSystem}
	for i, mistake := range mistakes {
		p.add(Step{Name: fmt.Sprintf("options, problem %d", i+1), Verdict: Warn, Note: mistake.Error()})
	}
	b.options = machine.Options{Habitat: host.Machine, Words: words, Hostname: s.config.Hostname, StateDir: s.config.StateDir}
	steps, problems := machine.Early(b.options, facts)
	p.machine(steps)
	p.problems("kernel parameters", problems)
	ips, err := line.IPs()
	if err != nil {
		p.problems("ip=", []string{err.Error()})
	}
	b.network = network.FromBootLine(append(s.config.IPs, ips...))
	if _, err = s.take(ctx, p); err != nil {
		return err
	}
	s.useLog(facts.Log(words, true))
	return s.disks(ctx)
}

// useLog has all messages go to another log. What waits in the one before is written first, within a bound.
func (s *supervisor) useLog(log *machine.Log) {
	s.verbose(log)
	before := s.log.Swap(log)
	s.config.Log = machineLogger(log)
	if before == nil {
		return
	}
	if err := flush(before); err != nil {
		s.config.log().Warnf("%v. Lost on the console: what it had not taken yet", err)
	}
	before.Close()
}

// verbose has the console show everything, where that was asked for.
func (s *supervisor) verbose(log *machine.Log) {
	if s.config.Debug {
		log.Verbosity.Console = machine.Debug
	}
}

// leaveInitramfs moves the root, and starts this program anew from there: the memory of the old root would not be freed
// while it runs from it. What it has done by then it finds done.
func (s *supervisor) leaveInitramfs(ctx context.Context) error {
	p := &Plan{Habitat: host.Machine, lane: LaneSystem}
	p.root(s.config)
	if _, err := s.take(ctx, p); err != nil || !p.rootMoved {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // who starts anew knows nothing of what was asked for
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("looking for this program in the new root: %w", err)
	}
	s.flush()
	if err := unix.Exec(exe, os.Args, s.config.Environ); err != nil {
		return fmt.Errorf("executing %s in the new root: %w", exe, err)
	}
	return nil
}

// machine adds steps of package machine, of which Docker runs without any.
func (p *Plan) machine(steps []machine.Step) {
	for _, step := range steps {
		p.add(Step{Name: step.Name, Why: step.Why, Verdict: Do, Action: losing{step.Action, step.Lost}})
	}
}

// problems adds warnings about what was written wrong.
func (p *Plan) problems(of string, texts []string) {
	for i, text := range texts {
		p.add(Step{Name: fmt.Sprintf("%s, problem %d", of, i+1), Verdict: Warn, Note: text})
	}
}

// losing is an action whose error tells what is lost.
type losing struct {
	machine.Action
	Lost string `json:"lost"`
}

// Apply does what the action does.
func (l losing) Apply(ctx context.Context) (kept bool, err error) {
	if kept, err = l.Action.Apply(ctx); err != nil {
		return kept, fmt.Errorf("%w. Lost: %s", err, l.Lost)
	}
	return kept, nil
}

// The ways out of the initramfs.
const (
	RootAuto = "auto" // RootBind where the initramfs is a tmpfs, else RootCopy: a ramfs has no limit and no attributes
	RootCopy = "copy" // a tmpfs of its own, whose content is no part of the initramfs any more
	RootBind = "bind" // a bind mount of the initramfs
	RootKeep = "keep" // the initramfs itself, on which no container starts but with DOCKER_RAMDISK
)

// root plans the way out of the initramfs: pivot_root(2) does not work there, and so no container starts.
func (p *Plan) root(c Config) {
	s := Step{Name: "root", Why: "no container starts while / is the kernel's initramfs", Required: true}
	info, err := mounts.Read()
	var fs unix.Statfs_t
	if err == nil {
		err = unix.Statfs("/", &fs)
	}
	move := mounts.RootMove{InPlace: c.RootMove == RootBind || c.RootMove == RootAuto && fs.Type == unix.TMPFS_MAGIC}
	switch {
	case err != nil:
		s.Verdict, s.Note = Refuse, err.Error()
	case !move.Needed(info):
		s.Verdict, s.Note = Keep, "it is a mount like any other"
	case c.RootMove == RootKeep:
		s.Verdict, s.Note = Warn, "/ stays the initramfs, as was asked. Lost: every container, unless DOCKER_RAMDISK is set"
	default:
		s.Verdict, s.Action = Do, move
		p.rootMoved = !move.InPlace
	}
	p.add(s)
}

// panicAfter is the hidden way to see what becomes of a mistake in the launcher.
func (s *supervisor) panicAfter(d time.Duration) {
	s.init.Go(func() {
		time.Sleep(d)
		panic("asked for by the option panic-after")
	})
}

// later does what belongs to the background once the machine runs.
func (s *supervisor) later() {
	b := s.boot
	s.init.Go(func() {
		root, err := s.dataRoot()
		if err == nil {
			err = storage.SyncImages(b.ctx, root)
		}
		if err != nil {
			s.config.log().Warnf("%v. Lost: images that were new half a minute before a power cut", err)
		}
	})
	s.init.Go(func() {
		machine.KeepSaving(b.ctx, b.options, saveEvery, func(err error) { s.config.log().Warn(err) })
	})
}

// watchButtons makes a machine's buttons signals to its PID 1, which are obeyed at any time: in the boot, while the machine runs,
// in the count-down of a fatal error, and to hurry a shutdown.
func (s *supervisor) watchButtons() {
	ctx := s.boot.ctx
	// Another goroutine may put another log in the place of this one.
	warn := func(text string) { _ = s.log.Load().Write(machine.Warning, text) }
	s.init.Go(func() {
		err := power.WatchButtons(ctx, "", func(a power.Action) {
			if err := unix.Kill(unix.Getpid(), a.Signal()); err != nil {
				warn(fmt.Sprintf("handing on the button for %s: %v", a, err))
			}
		})
		if err != nil {
			warn(fmt.Sprintf("%v. Lost: the power button", err))
		}
	})
}

// startNetwork has the interfaces get their addresses, beside everything else: nothing waits for them.
func (s *supervisor) startNetwork() {
	named := s.config.Hostname != ""
	s.init.Go(func() {
		err := network.Run(s.boot.ctx, s.boot.network, network.Callbacks{
			Event: func(e network.Event) {
				if e.Kind == network.Problem {
					s.config.log().Warnf("network: %s", e.Text)
					return
				}
				s.config.log().Infof("network: %s", e.Text)
				if e.Kind == network.Configured {
					s.boot.isConfigured()
				}
			},
			Hostname: func(name string) error {
				if named || s.boot.facts.EtcHostname != "" {
					return nil
				}
				parsed, err := machine.ParseHostname(name)
				if err != nil {
					return err
				}
				_, err = machine.SetHostname{Name: parsed}.Apply(s.boot.ctx)
				return err
			},
			Panic: s.panicked,
		})
		if s.boot.ctx.Err() == nil {
			s.config.log().Errorf("the network is left to itself: %v", err)
		}
	})
}
