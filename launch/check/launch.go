package check

import (
	"os"
	"slices"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"golang.org/x/sys/unix"
)

// oldDocker and newestDocker, or their major versions, stand for a daemon whose version nobody knows without running it: what is fatal to both of them is
// fatal to it.
const (
	oldDocker = "20.10.0"
	oldMajor  = 20
)

// See observes what a launcher, which has looked at all this before, hands to Fatal and FatalKernel.
func See() (k Known, err error) {
	if k.Host, err = host.Observe(host.Paths{}); err != nil {
		return k, err
	}
	k.Cgroups, err = cgroups.Observe(cgroups.Paths{})
	return k, err
}

// Fatal returns what of the running system is fatal to the daemon of a Request, as far as a few small files tell: the release of
// the kernel, its namespaces and its cgroups. It is what a launcher looks at in every start.
func Fatal(r *Request, k *Known) []finding.Finding {
	return fatalAmong(r, k, lookForNamespaces())
}

// fatalAmong is Fatal for what the kernel said of its namespaces; nil where it said nothing.
func fatalAmong(r *Request, k *Known, namespaces map[string]unix.Errno) []finding.Finding {
	f := &Facts{For: habitat(r, k), Live: true, Host: k.Host, Config: &kconfig.Config{}, Running: k.Host.Kernel, Namespaces: namespaces}
	f.Cgroup.Facts = k.Cgroups
	if v := r.Daemon.Version; v.Known() && !v.Dev {
		f.User.Docker, f.User.DockerText = v, v.String()
	}
	judge := func() []finding.Finding {
		c := f.conditions(r)
		c.Firewall = kconfig.FirewallNone // of which the release says nothing
		b := &book{kconfig.JudgeRelease(c)}
		if f.Namespaces != nil {
			b.namespaces(f, c.UserNS)
		}
		b.cgroups(r, f)
		return fatalOf(b.list)
	}
	if len(judge()) == 0 {
		return nil
	}
	f.observeBoot() // for what mends it
	return judge()
}

func habitat(r *Request, k *Known) host.Habitat {
	if r.For != "" {
		return r.For
	}
	return k.Host.Habitat
}

// lookForNamespaces is tryNamespaces for a process that cannot clone: it tells which of them the kernel knows.
func lookForNamespaces() map[string]unix.Errno {
	entries, err := os.ReadDir("/proc/self/ns")
	if err != nil {
		return nil // there is no /proc, and its mount is a step of its own
	}
	answers := map[string]unix.Errno{}
	for i := range namespaces {
		n := &namespaces[i]
		answers[n.name] = unix.EINVAL
		if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == n.name }) {
			answers[n.name] = 0
		}
	}
	return answers
}

// FatalKernel returns what of the running kernel is fatal to the daemon of a Request, by its configuration. A daemon of unknown
// version gets what is fatal to old and new ones alike. Where there is no configuration the running kernel is probed; well says
// that all modules that Docker uses are in it, so that it need not be. config is what kconfig.Running says, or nil where that was not
// read before.
func FatalKernel(r *Request, k *Known, well bool, config *kconfig.Config) ([]finding.Finding, error) {
	f := &Facts{For: habitat(r, k), Live: true, Host: k.Host, Running: k.Host.Kernel, Config: config}
	if f.Config == nil {
		if err := f.findConfig("/", k.Host.Kernel); err != nil {
			return nil, err
		}
	}
	k.Config = f.Config
	if well && !f.Config.Complete {
		return nil, nil
	}
	// A kernel that loads none has no option that is a module.
	if k.Host.LoadableModules {
		if err := f.observeModules("/", k.Host.Kernel); err != nil {
			return nil, err
		}
	}
	f.Cgroup.Facts = k.Cgroups
	f.User.IPTables, f.User.Goal = tree("").program("iptables", f.path(r))
	if v := r.Daemon.Version; v.Known() && !v.Dev {
		f.User.Docker, f.User.DockerText = v, v.String()
	}
	conditions := f.conditions(r)
	fatal := fatalOf(kconfig.Judge(f.Config, conditions, f.Modules))
	if conditions.Docker == "" && len(fatal) > 0 {
		conditions.Docker = oldDocker
		fatal = inBoth(fatal, fatalOf(kconfig.Judge(f.Config, conditions, f.Modules)))
	}
	return fatal, nil
}

// FatalStorage returns what of a data-root is fatal to the daemon of a Request. Where a trial mount has yet to tell, s.Trial being
// nil, trial is true, and nothing is fatal so far. It is pure.
func FatalStorage(r *Request, s *StorageFacts) (fatal []finding.Finding, trial bool) {
	if fatal = driverFatal(r, s); len(fatal) > 0 || s.Trial != nil {
		return fatal, false
	}
	failed := *s
	failed.Trial = &storage.Trial{FSType: s.FSType}
	return nil, s.FSType != "" && !listed(goodFilesystems, s.FSType) && len(driverFatal(r, &failed)) > 0
}

func driverFatal(r *Request, s *StorageFacts) []finding.Finding {
	judge := func(major int) []finding.Finding {
		b := &book{}
		b.driver(s, choose(r, s, major))
		return fatalOf(b.list)
	}
	if v := r.Daemon.Version; v.Known() && !v.Dev {
		return judge(v.Major)
	}
	fatal := judge(newestDocker)
	if len(fatal) > 0 {
		fatal = inBoth(fatal, judge(oldMajor))
	}
	return fatal
}

func fatalOf(findings []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(findings, func(f finding.Finding) bool { return !f.Bad() || f.Severity != finding.Fatal })
}

// inBoth keeps those of one list that the other has too.
func inBoth(list, other []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(list, func(a finding.Finding) bool {
		return !slices.ContainsFunc(other, func(b finding.Finding) bool { return a.ID == b.ID })
	})
}
