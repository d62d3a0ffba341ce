package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
)

// versionLimit bounds how long the daemon's version is waited for. It takes 30 ms where the program's file is in memory.
const versionLimit = 5 * time.Second

// knowing takes the daemon's version, where it is known, into account: what it does not take any more is left out of its
// arguments, each with a notice.
func knowing(e daemon.Effective, version daemon.Version) daemon.Effective {
	e.Version = version
	if !e.Command.IsDockerd() || !version.Known() {
		return e
	}
	args, notices := daemon.Fit(e.Command.Args, version)
	if len(notices) > 0 {
		e.Command.Args, e.Command.Notices = args, slices.Concat(e.Command.Notices, notices)
		e.Args = daemon.ParseArgs(args)
	}
	return e
}

// askVersion begins to ask the daemon for its version, where the plan depends on it and nothing tells it; else it returns nil.
func (h Hooks) askVersion(ctx context.Context, p *Plan) <-chan daemon.Version {
	if h.AskVersion == nil || !p.needsVersion || p.Err() != nil {
		return nil
	}
	return h.AskVersion(ctx, p.Command.Path)
}

// fit makes the daemon's command line anew where its version was asked for. Steps do not depend on it.
func (p *Plan) fit(c Config, f Facts, asked <-chan daemon.Version) error {
	if asked == nil {
		return nil
	}
	f.Daemon.Version = <-asked
	if !f.Daemon.Version.Known() {
		return nil
	}
	again, err := NewPlan(c, f)
	if err != nil {
		return err
	}
	for _, notice := range again.Command.Notices {
		if !slices.Contains(p.Command.Notices, notice) {
			c.log().Info(notice)
		}
	}
	p.Command, p.DaemonVersion = again.Command, again.DaemonVersion
	return nil
}

// askVersion runs the daemon to learn its version, beside everything else, and remembers it for the next start. The channel
// gives the zero Version where that did not work.
func (s *supervisor) askVersion(ctx context.Context, path string) <-chan daemon.Version {
	answer := make(chan daemon.Version, 1)
	s.init.Go(func() {
		defer close(answer)
		version, err := s.daemonVersion(ctx, path)
		if err != nil {
			s.config.log().Warnf("asking for the daemon's version: %v. Lost: flags that only newer versions know", err)
		}
		answer <- version
	})
	return answer
}

func (s *supervisor) daemonVersion(ctx context.Context, path string) (daemon.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	id, err := daemon.Identify(path)
	if err != nil {
		return daemon.Version{}, err
	}
	runner := programRunner{init: s.init, env: environWithout(s.config.Environ, ready.NotifyVar), say: s.announce, limit: versionLimit}
	code, output, err := runner.Run(ctx, path, "--version")
	if err != nil {
		return daemon.Version{}, err
	}
	if code != 0 {
		return daemon.Version{}, fmt.Errorf("%s --version ended with status %d: %.200s", path, code, strings.TrimSpace(output))
	}
	version, err := daemon.ParseVersion(output)
	if err != nil {
		return daemon.Version{}, err
	}
	return version, daemon.VersionFiles{}.Remember(id, version)
}
