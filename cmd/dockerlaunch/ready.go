package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
	"github.com/spf13/pflag"
)

const (
	// readyLimit is how long `ready` takes where no --timeout is given: to ask once, or to wait.
	readyLimit = 5 * time.Second
	waitLimit  = time.Minute
	// waitPause is the time between two questions of `ready --wait`.
	waitPause = 50 * time.Millisecond
)

// The exit status of `ready`.
const (
	exitReady    = 0
	exitNotReady = 1
	exitUsage    = 2
)

// askReady is the verb `ready`: it asks the daemon at TARGET, at the address that its command line names, at DOCKER_HOST where that
// is a unix socket, or at the default socket, whether it answers. Beside a daemon that serves TLS alone, whose clients have DOCKER_HOST=tcp://..., it is the
// socket that is asked.
func askReady(args []string, stdout, stderr io.Writer) int {
	f := pflag.NewFlagSet("dockerlaunch ready", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	wait := f.Bool("wait", false, "")
	limit := f.Duration("timeout", 0, "")
	err := f.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return written(fmt.Fprint(stdout, helpText()))
	}
	var target ready.Target
	switch {
	case err != nil:
	case f.NArg() > 1:
		err = fmt.Errorf("ready takes one address, and got %q", f.Args())
	case *limit < 0:
		err = fmt.Errorf("--timeout %v: it is a time such as 10s", *limit)
	case f.NArg() == 1:
		target, err = ready.ParseTarget(f.Arg(0))
	default:
		target, err = readyTarget(os.Getenv("DOCKER_HOST"), startedDaemon(report.Path))
	}
	if err != nil {
		fmt.Fprintf(stderr, "dockerlaunch: %v\nTry: dockerlaunch help\n", err)
		return exitUsage
	}
	if *limit == 0 {
		*limit = readyLimit
		if *wait {
			*limit = waitLimit
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	if *wait {
		err = ready.Wait(ctx, target, waitPause)
	} else {
		err = ready.Ping(ctx, target)
	}
	if err != nil {
		fmt.Fprintf(stderr, "dockerlaunch: %v\n", err)
		return exitNotReady
	}
	return exitReady
}

// readyTarget is where the daemon is asked whose environment has this DOCKER_HOST, and which was started by this command line. As at
// its start, only a unix socket is read out of the variable. Where the command line names addresses, it is the first of them that
// is asked without certificates.
func readyTarget(dockerHost string, command []string) (ready.Target, error) {
	if len(command) > 1 {
		args := daemon.ParseArgs(command[1:])
		for _, host := range args.Values("host") {
			target, err := ready.ParseTarget(host)
			if err == nil && (target.Socket != "" || !(daemon.Effective{Args: args}).TLS()) {
				return target, nil
			}
		}
	}
	target, err := ready.ParseTarget(dockerHost)
	if err != nil || target.Socket == "" {
		return ready.ParseTarget("")
	}
	return target, nil
}

// startedDaemon is the command line of the daemon that the launcher started, as its report has it; nil where there is none, as
// before the first daemon was ready.
func startedDaemon(path string) []string {
	run, err := report.Read(path)
	if err != nil {
		return nil // then the default is right, or there is no daemon, which shows when it is asked
	}
	return run.Daemon
}
