// Command dockerlaunch turns a bare kernel, or a privileged container made from scratch, into a running Docker host: it
// mounts and makes what Docker needs and is missing, checks the rest, starts the Docker daemon and stays its parent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/power"
	ociruntime "github.com/dockerlaunch/dockerlaunch/launch/runtime"
	"github.com/dockerlaunch/dockerlaunch/modules"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// version is set by the linker.
var version string

func main() {
	if host.FirstProcess() {
		os.Exit(first(os.Args[1:], os.Stderr)) // whatever it is called: nobody else is there to do PID 1's work
	}
	switch applet := filepath.Base(os.Args[0]); {
	case applet == verbModprobe:
		os.Exit(modules.Modprobe(os.Args[1:], os.Getenv("MODPROBE_OPTIONS"), os.Stdout, os.Stderr))
	case power.IsApplet(applet):
		os.Exit(power.Applet(applet, os.Args[1:], os.Stdout, os.Stderr))
	case ociruntime.Called(os.Args[0]):
		os.Exit(ociruntime.Main(os.Args, os.Environ(), os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// first is main for PID 1 of a machine. It does not return: a PID 1 that ends takes the kernel with it. No word is a verb here, and
// none that is wrong is worth the machine; see boot.
func first(args []string, stderr io.Writer) int {
	config := new(call).complete(stderr)
	defer func() {
		if caught := recover(); caught != nil {
			launch.End(config, fmt.Errorf("a mistake in the launcher itself, please report it: %v\n%s", caught, debug.Stack()))
		}
	}()
	if call, err := parse(args); err == nil && call.verb == "" && call.config.Exec {
		// An init that has done what is a machine's itself has the daemon follow it.
		ctx := catchSignals()
		config = call.complete(stderr)
		return launch.End(config, launch.Launch(ctx, config))
	}
	config.Boot = func(c launch.Config, line bootline.Line) (launch.Config, []error) { return boot(c, line, args) }
	return launch.Main(config)
}

// run is main without the process around it: arguments in, exit status out.
func run(args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if caught := recover(); caught != nil {
			fmt.Fprintf(stderr, "dockerlaunch: a mistake in the launcher itself, please report it: %v\n%s", caught, debug.Stack())
			status = launch.ExitCannotLaunch
		}
	}()
	if len(args) > 0 && args[0] == verbModprobe {
		return modules.Modprobe(args[1:], os.Getenv("MODPROBE_OPTIONS"), stdout, stderr)
	}
	if len(args) > 0 && args[0] == verbReady {
		return askReady(args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == verbTimeline {
		return timeline(args[1:], os.Getenv, os.Stdin, stdout, stderr)
	}
	if len(args) > 0 && args[0] == verbCheck {
		return runCheck(args[1:], stdout, stderr)
	}
	// Nothing but reading words comes before the signal handlers, which differ for those who stay and those who exec.
	call, err := parse(args)
	if err == nil && call.verb == "" {
		return start(call, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "dockerlaunch: %v\nTry: dockerlaunch help\n", err)
		return launch.ExitStatus(&launch.UsageError{Err: err})
	}
	switch call.verb {
	case verbHelp:
		return written(fmt.Fprint(stdout, helpText()))
	case verbVersion:
		return written(fmt.Fprintf(stdout, "dockerlaunch %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
	}
	config := call.complete(stderr)
	if err := printPlan(config, call.json, stdout); err != nil {
		config.Log.Error(err)
		return launch.ExitStatus(err)
	}
	return 0
}

// complete adds what comes from outside the command line.
func (c *call) complete(stderr io.Writer) launch.Config {
	config := c.config
	config.Environ, config.Version = os.Environ(), versionText()
	config.Debug = c.debug || launch.DebugWanted(os.Getenv("DOCKER_LAUNCH_DEBUG"))
	config.Log = logger(stderr, config.Debug)
	return config
}

// start launches the daemon and returns the exit status. With --exec it returns on failure only.
func start(call *call, stderr io.Writer) int {
	if call.config.Exec {
		ctx := catchSignals()
		config := call.complete(stderr)
		err := launch.Launch(ctx, config)
		config.Log.Error(err)
		return launch.ExitStatus(err)
	}
	return launch.Main(call.complete(stderr))
}

// catchSignals takes over the signals that would end this process and returns a context that the first request to stop
// cancels. Handlers, unlike ignored signals, do not outlive the exec of the daemon: it starts with the defaults.
func catchSignals() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	caught := make(chan os.Signal, 16)
	go func() {
		// Each takes the runtime two switches of threads, for which nobody has to wait.
		for _, s := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGPIPE} {
			// What was ignored stays so, for the daemon too: that is how nohup and a shell's & keep a program going.
			if !signal.Ignored(s) {
				signal.Notify(caught, s)
			}
		}
		for s := range caught {
			switch s := s.(unix.Signal); s {
			case unix.SIGHUP, unix.SIGPIPE:
				// HUP asks to read the configuration again, which is about to be read anyway; a reader of our messages
				// that went away is no reason not to start the daemon.
			default:
				cancel(&launch.SignalError{Signal: s})
			}
		}
	}()
	return ctx
}

// logger writes the launcher's messages in the form that dockerd's own have.
func logger(w io.Writer, debugging bool) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "2006-01-02T15:04:05.000000000Z07:00"})
	if debugging {
		log.SetLevel(logrus.DebugLevel)
	}
	return log
}

// written turns the failure to write a short answer into an exit status.
func written(_ int, err error) int {
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return 1
	}
	return 0
}

func versionText() string {
	if version != "" {
		return version
	}
	return "(built without make)"
}
