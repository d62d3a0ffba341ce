// Command sandbox runs a launcher as PID 1 of namespaces of its own on a root tree, waits until its Docker daemon answers,
// runs a container of the hello image in it, and stays until it is told to end. It is the program behind `make run`.
//
//	sandbox --root TREE --state FOLDER [flags] [-- LAUNCHER ARGUMENTS]
//
// It exits with 0 after Ctrl-C, SIGTERM or SIGHUP and a clean end, 1 when something failed or the daemon ended by itself,
// 2 for a wrong command line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"golang.org/x/sys/unix"
)

// config is the command line.
type config struct {
	root, state, launcher, hello string
	nat, verbose                 bool
	timeout                      time.Duration
	args                         []string
}

func main() {
	sandbox.Init()
	cfg, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(2)
	}
	ctx, stop := untilSignal()
	defer stop()
	giveBack, err := takeTerminal()
	if err != nil {
		// It only means that Ctrl-C reaches make as well.
		fmt.Fprintln(os.Stderr, "sandbox:", err)
	}
	if err := errors.Join(run(ctx, cfg, os.Stdout, os.Stderr), giveBack()); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func parse(args []string, usage io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.StringVar(&c.root, "root", "build/rootfs", "root tree, which stays as it is")
	fs.StringVar(&c.state, "state", "build/run", "folder for what is written inside, and for Docker's data; kept")
	fs.StringVar(&c.launcher, "launcher", "", "launcher to run as PID 1; without it, the one in the tree")
	fs.StringVar(&c.hello, "hello", "", "static program to run in a container once the daemon answers")
	fs.BoolVar(&c.nat, "nat", false, "let containers reach what this machine reaches (docker pull)")
	fs.BoolVar(&c.verbose, "verbose", false, "show the launcher's and the daemon's log here instead of in STATE/dockerd.log")
	fs.DurationVar(&c.timeout, "timeout", time.Minute, "how long the daemon may take to answer")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	c.args = fs.Args()
	if len(c.args) > 0 && !dashed(args, len(c.args)) {
		return c, fmt.Errorf("%q is no flag: the launcher's arguments come behind --", c.args[0])
	}
	if c.timeout <= 0 {
		return c, fmt.Errorf("--timeout %v: it must be more than 0", c.timeout)
	}
	return c, nil
}

// dashed tells whether "--" stands before the last n arguments.
func dashed(args []string, n int) bool {
	i := len(args) - n - 1
	return i >= 0 && args[i] == "--"
}

// untilSignal returns a context that ends with the first signal that asks this program to end. Later ones change nothing:
// a second Ctrl-C must not leave things behind.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var ending []os.Signal
	for _, s := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		// What nohup or a shell's & has set aside stays so.
		if !signal.Ignored(s) {
			ending = append(ending, s)
		}
	}
	c := make(chan os.Signal, 1)
	if len(ending) > 0 { // none would mean all
		signal.Notify(c, ending...)
	}
	// A reader of this program's output that goes away must not end it before it has cleaned up.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	go func() {
		for s := range c {
			cancel(errSignal{s})
		}
	}()
	return ctx, func() { cancel(nil) }
}

// errSignal is why the context of run has ended.
type errSignal struct{ sig os.Signal }

func (e errSignal) Error() string { return e.sig.String() }
