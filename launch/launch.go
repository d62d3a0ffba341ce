// Package launch turns the system it runs on into one that Docker runs on, starts the Docker daemon there, and stays with it.
//
// It is one story: a Config (what the user asked for) and Facts (what the system is like) make a Plan, steps in lanes that
// are taken beside each other; applying the plan gives a Report; then the daemon is started.
//
// Main is the whole launcher: it stays the daemon's parent, reaps, forwards signals, keeps a containerd running beside it,
// and on a machine, whose PID 1 it is, does the boot and the shutdown too.
//
// LaunchDocker, and Launch for a Config, prepare the system and have the daemon take this process's place. They leave out
// what is a machine's alone (disks, network, shutdown), and are for an init that does that itself:
//
//	err := launch.LaunchDocker("/usr/bin/dockerd", "-s", "overlay2")
//	log.Print(err) // it returns only on failure
//	os.Exit(launch.ExitStatus(err))
package launch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/sirupsen/logrus"
)

// LaunchDocker prepares the system for the Docker daemon and executes it in place of the calling program, with the same
// PID, environment and open files. docker is the daemon's path, or a name to look up in PATH, or "" for dockerd; the
// command lines of Docker's first releases ("docker", "-d") are understood. It returns only on failure; ExitStatus tells
// the exit status that the dockerlaunch command would end with.
//
// DOCKER_LAUNCH_DEBUG=true in the environment makes it log each step. It unshares namespaces where that is called for,
// so that after a failure the calling thread is to be left to end.
func LaunchDocker(docker string, args ...string) error {
	c := Config{Environ: os.Environ()}
	if docker != "" {
		c.Daemon = append([]string{docker}, args...)
	} else if len(args) > 0 {
		c.Daemon = append([]string{"dockerd"}, args...)
	}
	if DebugWanted(os.Getenv("DOCKER_LAUNCH_DEBUG")) {
		log := logrus.New()
		log.SetLevel(logrus.DebugLevel)
		c.Log = log
	}
	return Launch(context.Background(), c)
}

// Launch does what LaunchDocker does for a Config. Until the daemon is executed, ctx may end it, between two steps; its
// cause is then the error.
func Launch(ctx context.Context, c Config) error {
	// Namespaces and the mask of signals are a thread's own, and the thread that calls execve(2) becomes the daemon's
	// first. It is not unlocked: what is not fit for the daemon any more must not serve other goroutines.
	runtime.LockOSThread()
	spread()
	begin := time.Now()
	c.Exec = true
	a := goAhead()
	plan, report, err := prepare(ctx, c, func(*Plan) Hooks { return Hooks{Observe: c.logResult, ahead: a} }, nil)
	a.end()
	if err != nil {
		return err
	}
	c.log().Infof("starting %s, %v after the launcher (%d steps done, %d stood already, %d warnings)", plan.Command.Path,
		time.Since(begin).Round(time.Millisecond), report.Count(Done), report.Count(Kept), report.Count(Warned))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return execute(plan.Command, c.Environ)
}

// prepare does all that comes before the daemon. hooks gives what a plan is applied with; boot, which may be nil, does what
// a machine needs beside, and completes the Config.
func prepare(ctx context.Context, c Config, hooks func(*Plan) Hooks, boot func(context.Context) (Config, error)) (*Plan, *Report, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	look := Observe
	if boot != nil && host.FirstProcess() {
		look = func(Config) (f Facts, err error) { // the rest, when the boot has made it
			_, _, err = f.observeBase()
			return f, err
		}
	}
	facts, err := look(c)
	if err != nil {
		return nil, nil, err
	}
	// What stands before all else comes first, and then the system is looked at again: without /proc little is to be seen.
	first := &Plan{Habitat: facts.Host.Habitat, lane: LaneSystem}
	first.base(facts)
	report, err := take(ctx, first, hooks)
	if err != nil {
		return nil, report, err
	}
	if report.Count(Done) > 0 {
		if facts, err = look(c); err != nil {
			return nil, report, err
		}
	}
	if boot != nil && facts.Host.Habitat == host.Machine {
		if c, err = boot(ctx); err != nil {
			return nil, report, err
		}
		if facts, err = Observe(c); err != nil {
			return nil, report, err
		}
	}
	plan, err := NewPlan(c, facts)
	if err != nil {
		return nil, report, err
	}
	for _, notice := range plan.Command.Notices {
		c.log().Info(notice)
	}
	// The whole plan begins with the steps that were just taken, which are told and counted once.
	plan.Steps = plan.Steps[len(first.Steps):]
	asked := hooks(plan).askVersion(ctx, plan)
	rest, err := take(ctx, plan, hooks)
	rest.Results = append(report.Results, rest.Results...)
	if err == nil {
		err = plan.fit(c, facts, asked)
	}
	return plan, rest, err
}

// take applies a plan, unless something stands in its way.
func take(ctx context.Context, p *Plan, hooks func(*Plan) Hooks) (*Report, error) {
	if err := p.Err(); err != nil {
		return &Report{}, err
	}
	return p.Apply(ctx, hooks(p))
}

func (c Config) logResult(r Result) {
	switch r.Outcome {
	case Warned:
		c.log().Warn(r.Reason)
	case Failed:
		// It is the launch's error, and told as such.
	default:
		// One for each step is made: not for nobody.
		if l, ok := c.log().(interface{ IsLevelEnabled(logrus.Level) bool }); ok && !l.IsLevelEnabled(logrus.DebugLevel) {
			return
		}
		line := string(r.Outcome) + ": " + r.Step
		if r.Reason != "" {
			line += " (" + r.Reason + ")"
		}
		if r.Outcome == Done {
			line += " in " + r.Took.Round(time.Microsecond).String()
		}
		c.log().Debug(line)
	}
}

// execute replaces this process. argv[0] is the daemon's path, as a shell that found it in PATH passes it.
func execute(command Command, environ []string) error {
	argv := append([]string{command.Path}, command.Args...)
	err := syscall.Exec(command.Path, argv, environWith(environ, command.Env))
	_, statErr := os.Stat(command.Path)
	return &ExecError{Daemon: command.Path, Err: err, Found: !errors.Is(statErr, fs.ErrNotExist)}
}

// environWith sets variables in an environment. All entries keep their order and their bytes, but those of a variable
// that is set: an empty entry of the same name in front of it would win in some programs.
func environWith(environ []string, set []Variable) []string {
	var all []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		replaced := false
		for _, v := range set {
			replaced = replaced || v.Name == name
		}
		if !replaced {
			all = append(all, entry)
		}
	}
	for _, v := range set {
		all = append(all, v.Name+"="+v.Value)
	}
	return all
}

// environWithout leaves a variable out of an environment.
func environWithout(environ []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}
