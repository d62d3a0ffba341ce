package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// helloTimeout bounds the import of the hello image and its container's run.
const helloTimeout = time.Minute

// run does the whole thing; it returns nil when ctx's end was the reason and everything is gone.
func run(ctx context.Context, cfg config, out, errOut io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("it makes namespaces, mounts and network devices, and needs root: run it with sudo")
	}
	began := time.Now()
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	log, err := openLog(cfg, errOut)
	if err != nil {
		return err
	}
	defer log.Close()
	sb, err := sandbox.Start(ctx, sandbox.Options{
		Root: cfg.root, State: cfg.state, Launcher: cfg.launcher, Argv: cfg.args,
		Stdout: log, Stderr: log, NAT: cfg.nat,
	})
	// Only now it is sure that the state, and with it the log that is there, is not another sandbox's.
	if placeErr := log.place(err == nil); placeErr != nil || err != nil {
		if err == nil {
			err = sb.Stop(context.Background())
		}
		return errors.Join(interrupted(ctx, err), placeErr)
	}
	say("started      PID %d, log in %s", sb.PID(), log.name)
	if sb.Volatile() {
		say("             what is written to / is not kept: %s cannot hold an overlay's upper layer", cfg.state)
	}
	err = session(ctx, cfg, sb, began, say, out)
	if ctx.Err() != nil {
		say("\nstopping     %v: the daemon ends its containers, which may take %v", context.Cause(ctx), sandbox.DefaultStopTimeout)
	}
	stopped := time.Now()
	// Not ctx, which is what has just ended. Stop has its own bounds.
	stopErr := sb.Stop(context.Background())
	if ctx.Err() != nil && stopErr == nil {
		say("stopped      after %s, nothing is left but %s", ms(time.Since(stopped)), cfg.state)
	}
	return errors.Join(interrupted(ctx, err), stopErr)
}

// session is the time from the launcher's start to the end of ctx or of the launcher.
func session(ctx context.Context, cfg config, sb *sandbox.Sandbox, began time.Time, say func(string, ...any), out io.Writer) error {
	ready, cancel := context.WithTimeout(ctx, cfg.timeout)
	defer cancel()
	if err := sb.Ready(ready); err != nil {
		return err
	}
	say("ready        the daemon answered after %s", ms(time.Since(began)))
	if cfg.hello != "" {
		if err := hello(ctx, sb, cfg.hello, say, out); err != nil {
			return errors.Join(err, early(sb))
		}
	}
	say("In another terminal, as root:\n\n  export DOCKER_HOST=%s\n", sb.DockerHost())
	say("Published ports answer at %s: after `docker run -p 8080:80 ...` it is http://%s:8080", sb.Addr(), sb.Addr())
	say("Ctrl-C ends it.")
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-sb.Done():
		return sb.Exit()
	}
}

// early is the launcher's end where that is why a client failed.
func early(sb *sandbox.Sandbox) error {
	select {
	case <-sb.Done():
		return sb.Exit()
	case <-time.After(time.Second):
		return nil
	}
}

// interrupted drops an error whose reason is that ctx has ended, but keeps the launcher's own end.
func interrupted(ctx context.Context, err error) error {
	if end := (*sandbox.ExitError)(nil); ctx.Err() != nil && !errors.As(err, &end) {
		return nil
	}
	return err
}

// logFile is where the launcher and the daemon write to.
type logFile struct {
	io.WriteCloser
	name string // where it is to be found
	temp string // where it is until it is placed; empty for standard error
}

// openLog opens the log under a name of its own.
func openLog(cfg config, errOut io.Writer) (*logFile, error) {
	if cfg.verbose {
		return &logFile{WriteCloser: nopCloser{errOut}, name: "stderr"}, nil
	}
	if err := os.MkdirAll(cfg.state, 0o711); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	f, err := os.CreateTemp(cfg.state, ".dockerd.log-")
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return &logFile{WriteCloser: f, name: filepath.Join(cfg.state, "dockerd.log"), temp: f.Name()}, nil
}

// place puts the log in the place of an earlier run's, or throws it away where nothing was started.
func (l *logFile) place(started bool) error {
	switch {
	case l.temp == "":
		return nil
	case !started:
		return os.Remove(l.temp)
	default:
		return os.Rename(l.temp, l.name)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func ms(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// indent shifts a container's output, so that it is told from this program's own.
func indent(text string) string {
	return "  | " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  | ")
}
