package launch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/limits"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
)

// judgePrograms compares what there is of user space with what Docker needs. The error is a *UsageError.
func judgePrograms(c Config, e daemon.Effective, f Facts) ([]preflight.Finding, error) {
	found := f.Programs
	if found["ca-certificates"] == "" && f.SpareCABundle && f.Files["/"+preflight.CABundle] == files.Absent {
		found = preflight.Found{}
		for name, where := range f.Programs {
			found[name] = where
		}
		found["ca-certificates"] = "/" + preflight.CABundle // the copy that one of the steps makes
	}
	containerd := e.ContainerdAddress()
	if containerd == "" && f.ContainerdRuns {
		containerd = daemon.SystemContainerd
	}
	findings, err := preflight.Judge(preflight.Table(), found, preflight.Conditions{
		IPTables: e.IPTables(), IP6Tables: e.IP6Tables(), UserlandProxy: e.UserlandProxy(), FirewallBackend: e.FirewallBackend(),
		Containerd: containerd, EmbeddedContainerd: e.EmbeddedContainerd(), LoadableModules: f.Host.LoadableModules,
		// In a container the daemon leaves AppArmor to the outer one.
		AppArmor: f.Host.AppArmor && f.Host.Habitat != host.Container,
	}, c.Without)
	if err != nil {
		return nil, &UsageError{err}
	}
	return findings, nil
}

// programs plans the checks of user space, and returns the names of what is missing.
func (p *Plan) programs(c Config, e daemon.Effective, f Facts) (missing map[string]bool, err error) {
	findings, err := judgePrograms(c, e, f)
	if err != nil {
		return nil, err
	}
	verdicts := map[preflight.Level]Verdict{
		preflight.Fine: Keep, preflight.Needless: Skip, preflight.Waived: Warn, preflight.Warning: Warn, preflight.Refusal: Refuse,
	}
	missing = map[string]bool{}
	for _, finding := range findings {
		r := finding.Requirement
		p.add(Step{Name: "program " + r.Name, Why: "to " + r.For, Required: !r.Ignorable, Verdict: verdicts[finding.Level], Note: finding.Text})
		if finding.Level != preflight.Fine {
			missing[r.Name] = true
		}
	}
	return missing, nil
}

// settings plans what the daemon's own configuration calls for: a file that it can read, no contradiction, a place for
// its data, no other daemon in its way.
func (p *Plan) settings(c Config, e daemon.Effective, f Facts) {
	mistake := func(err error) {
		if err != nil {
			p.add(Step{Name: "daemon.json", Why: "dockerd does not start on a configuration with a mistake", Required: true, Verdict: Refuse, Note: err.Error()})
		}
	}
	for _, s := range e.Args.Wrong() {
		p.warn("argument "+s.Written, "", "dockerd will not take the argument "+s.Written+": "+s.Wrong)
	}
	for _, s := range e.Args.Unknown() {
		p.warn("argument "+s.Written, "", "no dockerd up to 29.7 has an option "+s.Written+", and one that has not does not start with it")
	}
	for _, s := range e.Args.TooNew(e.Version) {
		p.warn("argument "+s.Written, "", "dockerd "+e.Version.String()+" does not know "+s.Written+" yet, and does not start with it")
	}
	for _, word := range e.Args.Operands() {
		p.warn("argument "+word, "", fmt.Sprintf("dockerd takes no operands, and gets %q", word))
	}
	mistake(f.Daemon.ConfigErr)
	mistake(daemon.CheckConflicts(e.Args, e.File))
	for _, problem := range e.File.Problems(e.Version) {
		// Even what is fatal to every dockerd we know may be right for a newer one; it will say so itself.
		p.warn("daemon.json "+problem.Key, "", problem.String())
	}

	root := files.DataRoot(e.DataRoot())
	s := Step{Name: "data-root " + root.Path, Why: root.Purpose, Required: true, Verdict: Do, Action: root}
	switch {
	case f.Daemon.DataRootFile:
		s.Verdict, s.Action = Refuse, nil
		s.Note = fmt.Sprintf("the data-root %s is to be a folder, and a file stands there or in its path: move it away, or name another place with --data-root", root.Path)
	case f.Daemon.DataRoot == files.Dangling:
		s.Verdict, s.Action = Refuse, nil
		s.Note = fmt.Sprintf("the data-root %s is a link that leads nowhere: make what it leads to, or name another place with --data-root", root.Path)
	case check.HoldsNoFiles(f.Daemon.DataRootFS):
		s.Verdict, s.Action = Refuse, nil
		s.Note = fmt.Sprintf("the data-root %s lies on %s, which holds no files: mount a volume there, or name another place with --data-root", root.Path, f.Daemon.DataRootFS)
	case !f.Daemon.DataRootWritable && f.Host.UID != 0:
		// That this is not root is in the way already, and what root may do cannot be told.
		s.Verdict, s.Action, s.Note = Skip, nil, "only root can tell whether it is writable"
	case !f.Daemon.DataRootWritable:
		s.Verdict, s.Action = Refuse, nil
		s.Note = fmt.Sprintf("the data-root %s lies on a read-only %s: mount a volume there, or name another place with --data-root", root.Path, f.Daemon.DataRootFS)
	case f.Daemon.DataRootFS == "overlay" && (e.StorageDriver() == "" || e.StorageDriver() == "overlay2"):
		s.Verdict = Warn
		s.Note = fmt.Sprintf("the data-root %s lies on an overlay filesystem, on which overlay2 does not work. Lost: speed and disk space, as every layer is a full copy; mount a volume there", root.Path)
	case f.Daemon.DataRoot == files.Present:
		s.Verdict, s.Note, s.Action = Keep, "it is there, on "+f.Daemon.DataRootFS, nil
	}
	p.add(s)
	if s.Verdict != Refuse {
		if p.isDockerd {
			p.driver(c, e, f.Daemon, root.Path)
		}
		p.dataRoot(c, e, root.Path)
	}

	for _, pid := range f.Daemon.PIDFiles {
		s := Step{Name: "PID file " + pid.Path, Why: "a daemon does not start beside another, for which it takes a stale PID file"}
		switch {
		case !pid.Alive:
			s.Verdict, s.Action, s.Required = Do, pid, true
			s.Note = fmt.Sprintf("process %d is gone, or none of Docker's", pid.PID)
		case pid.Process == "dockerd":
			s.Verdict, s.Required = Refuse, true
			s.Note = fmt.Sprintf("a dockerd is running already as process %d (%s): stop it, or give this one another --pidfile, --data-root, --exec-root and --host", pid.PID, pid.Path)
		default:
			s.Verdict, s.Note = Keep, fmt.Sprintf("%s is running as process %d, and dockerd takes it over", pid.Process, pid.PID)
		}
		p.add(s)
	}
}

// warn adds a step that tells something. What is told under one name is one step.
func (p *Plan) warn(name, why, note string) {
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Name == name {
			if !strings.Contains(s.Note, note) {
				s.Note += "; " + note
			}
			return
		}
	}
	p.add(Step{Name: name, Why: why, Verdict: Warn, Note: note})
}

// command plans the daemon's command line and environment.
func (p *Plan) command(c Config, e daemon.Effective, missing map[string]bool, f Facts) {
	set, _ := limits.Plan(f.Host.Limits, f.Host.MayRaiseLimits())
	facts := daemon.DefaultFacts{
		Missing:         missing,
		BridgeNetfilter: p.bridgeNetfilter,
		NoFileHard:      set.NoFile.Hard,
		// With v1 dockerd takes the cgroupfs driver by itself.
		SystemdLeak: f.Host.SystemdLeak && f.Cgroups.Mode != cgroups.V1 && f.Cgroups.Mode != cgroups.Hybrid,
		Containerd:  p.containerdAddress, Hosts: p.hosts, Sockets: p.opened != nil, TLSDir: p.tlsDir, Verify: c.securePort(e),
		Network: networkDefaults(p.Habitat, e, f.Network), BoundLogs: p.Habitat != host.Host,
	}
	if p.needsVersion = daemon.NeedsVersion(e, facts); p.needsVersion {
		s := Step{Name: "version of dockerd", Why: "some flags are for some versions only", Verdict: Skip, Note: "dockerd --version is run beside all else, and decides on them"}
		if c.Exec {
			s.Verdict, s.Note = Warn, "it is not known, and with --exec nobody asks for it. Lost: flags that only newer versions know"
		}
		p.add(s)
	}
	added := daemon.Add(e, facts)
	p.Command = Command{Path: f.Daemon.Path, Args: daemon.WithAdded(e.Command.Args, added)}
	for _, a := range added {
		if a.Flag != "" {
			p.Command.Added = append(p.Command.Added, Addition{Arg: a.Flag, Reason: a.Reason})
		}
		if a.Warning != "" {
			p.warn("flag --"+a.Option, a.Reason, a.Warning)
		}
	}
	for _, n := range e.Command.Notices {
		p.Command.Notices = append(p.Command.Notices, n.String())
	}
	p.Command.Env = environment(c, f.Host.Habitat)
	if len(p.inFront) > 0 {
		p.Command.Env = slices.DeleteFunc(p.Command.Env, func(v Variable) bool { return v.Name == "PATH" })
		p.Command.Env = append(p.Command.Env, pathWith(p.inFront, c.path()))
	}
	p.problem = f.Daemon.Problem
}

// environment lists the variables that the daemon needs and was not given.
func environment(c Config, habitat host.Habitat) []Variable {
	var set []Variable
	if c.getenv("PATH") == "" {
		set = append(set, Variable{"PATH", host.DefaultPath, "the daemon looks its programs up in it, and it is not set"})
	}
	if home := c.getenv("HOME"); home == "" || habitat == host.Machine && home == "/" {
		set = append(set, Variable{"HOME", "/root", "git and ssh look for their settings there, and it is not set, or the kernel's"})
	}
	if habitat == host.Container && c.getenv("container") == "" {
		// As moby's hack/dind does: containerd asks this variable whether AppArmor is its business.
		set = append(set, Variable{"container", "docker", "tells the daemon and containerd that they run inside a container"})
	}
	return set
}
