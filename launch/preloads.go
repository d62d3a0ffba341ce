package launch

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/preload"
	"github.com/dockerlaunch/dockerlaunch/launch/ready"
)

// imageFolder is a folder of image archives, and the daemon that is to have them.
type imageFolder struct {
	dir, dataRoot string
	target        ready.Target
}

// imageArchives plans which images are loaded once the daemon is ready.
func (p *Plan) imageArchives(c Config, e daemon.Effective) {
	if !p.isDockerd {
		return
	}
	images := imageFolder{dir: c.Preload, dataRoot: files.DataRoot(e.DataRoot()).Path}
	if images.dir == "" {
		images.dir = preload.DefaultDir
	}
	hosts := p.hosts
	if len(hosts) == 0 {
		hosts = e.Hosts()
	}
	s := Step{Name: "image archives", Why: "those below " + images.dir + " are loaded once the daemon is ready", Verdict: Skip}
	unix := slices.IndexFunc(hosts, func(host string) bool { return strings.HasPrefix(host, "unix://") })
	switch {
	case c.Exec && c.Preload != "":
		s.Verdict, s.Note = Warn, "with --exec nobody stays to load them"
	case c.Exec:
		return
	case !filepath.IsAbs(images.dir):
		s.Verdict, s.Note = Refuse, "--preload "+images.dir+": it has to be an absolute path"
	case unix < 0 && c.Preload != "":
		s.Verdict, s.Note = Warn, "the daemon has no unix socket to load them through"
	case unix < 0:
		return
	default:
		var err error
		if images.target, err = ready.ParseTarget(hosts[unix]); err != nil {
			s.Verdict, s.Note = Warn, err.Error()
			break
		}
		p.images = images
		return // how it went is told then
	}
	p.add(s)
}

// loadImages loads the archives beside everything else, once in the life of the launcher, and until the first request to
// stop: a daemon that is sent an image does not end before it has it.
func (s *supervisor) loadImages() {
	images := s.plan.images
	if s.loading || images.dir == "" {
		return
	}
	s.loading = true
	s.init.Go(func() {
		began, loaded := time.Now(), 0
		err := preload.Run(s.preload, images.dir, images.dataRoot, images.target, func(o preload.Outcome) {
			if !o.Kept {
				loaded++
			}
			switch {
			case o.Err != nil:
				s.config.log().Warnf("image archive %s", o)
			case o.Kept:
				s.config.log().Debugf("image archive %s", o)
			default:
				s.config.log().Infof("image archive %s", o)
			}
		})
		if loaded > 0 {
			err = errors.Join(err, s.record.preloaded(began, loaded))
		}
		if err != nil {
			s.config.log().Warn(err)
		}
	})
}
