package launch

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// Check says whether a system will run the daemon of a Config: the one that runs here, or another that the Request names. Where it
// is this one, what would stop a launch is among the findings, and fatal. The error is a *UsageError for what was asked wrongly,
// or about input that cannot be read.
func Check(c *Config, r *check.Request) (*check.Report, error) {
	asked, err := c.request()
	if err != nil {
		return nil, err
	}
	r.Path = c.path()
	r.Daemon = daemon.Effective{Command: asked.command, Args: asked.args, Driver: c.getenv("DOCKER_DRIVER")}
	if r.Docker != "" {
		if r.Daemon.Version, err = daemon.ParseVersion(r.Docker); err != nil {
			return nil, &UsageError{err}
		}
	}
	if r.Root != "" || r.KernelConfig != "" {
		return checkOther(r)
	}
	c.Cgroup = r.Cgroup
	f, err := Observe(*c)
	if err != nil {
		return nil, err
	}
	if !f.ProcMounted { // what is there cannot be told from what is hidden
		return nil, errors.New("the running system is looked at through /proc, which is not mounted here: mount it (mount -t proc proc /proc), " +
			"or judge a kernel by its configuration, --kernel-config FILE, or a tree, --root DIR")
	}
	if r.For != "" {
		f.Host.Habitat = r.For
	}
	r.Daemon.File = f.Daemon.Config
	if !r.Daemon.Version.Known() {
		r.Daemon.Version = f.Daemon.Version
	}
	plan, err := NewPlan(*c, f)
	if err != nil {
		return nil, err
	}
	r.Variant = plan.variant()
	programs, err := judgePrograms(*c, r.Daemon, f)
	if err != nil {
		return nil, err
	}
	known := &check.Known{Host: f.Host, Cgroups: f.Cgroups}
	for i := range programs {
		known.Programs = append(known.Programs, programs[i].Finding())
	}
	facts, err := check.Observe(r, known)
	if err != nil {
		return nil, err
	}
	report := check.Judge(r, facts)
	plan.refusals(report, r.DataRoot != "")
	return report, nil
}

// variant is the iptables that the daemon gets, for a check.
func (p *Plan) variant() string {
	if p.iptables.Open {
		return check.AnyVariant
	}
	return string(p.iptables.Variant)
}

// checkOther judges a root tree or a kernel's configuration.
func checkOther(r *check.Request) (*check.Report, error) {
	var problem error
	if path, explicit := r.Daemon.Args.ConfigFile(); r.Root != "" && !explicit {
		if r.Daemon.File, problem = daemon.Load(filepath.Join(r.Root, path), false); problem != nil {
			r.Daemon.File = daemon.Config{}
		}
	}
	facts, err := check.Observe(r, nil)
	if err != nil {
		return nil, err
	}
	report := check.Judge(r, facts)
	if problem != nil {
		refuse(report, "program.daemon-json", problem.Error())
	}
	return report, nil
}

// refusals adds what would stop the launch to a report, each in its own words, unless it is there already. A daemon that runs
// is no fault of the system, and a data-root that is not the plan's is judged already.
func (p *Plan) refusals(report *check.Report, otherDataRoot bool) {
	for i := range p.Steps {
		s := &p.Steps[i]
		kind, rest, _ := strings.Cut(s.Name, " ")
		if s.Verdict != Refuse {
			continue
		}
		switch kind {
		case "program", "PID", "privileges", "cgroups", "storage":
		case "data-root":
			if !otherDataRoot {
				refuse(report, "storage.data-root", s.Note)
			}
		case "daemon.json":
			refuse(report, "program.daemon-json", s.Note)
		case "mount":
			refuse(report, "storage.mount."+rest, s.Note)
		default:
			refuse(report, "kernel."+strings.ReplaceAll(s.Name, " ", "."), s.Note)
		}
	}
}

// refuse makes a finding fatal, or adds one that is.
func refuse(report *check.Report, id, note string) {
	area, _, _ := strings.Cut(id, ".")
	report.Verdict = finding.WillFail
	f := finding.Finding{ID: id, Area: finding.Area(area), Status: finding.Disabled, Severity: finding.Fatal, Note: note}
	for i := range report.Findings {
		if report.Findings[i].ID == id {
			report.Findings[i] = f
			return
		}
	}
	report.Findings = append(report.Findings, f)
}

// JudgeKernel looks whether the kernel has what no daemon does without: its release, namespaces, cgroups and configuration. Where
// that is nowhere to be found, the running kernel is probed if one of the wanted modules did not come. What is fatal to
// `dockerlaunch check` is fatal here, in the same words.
type JudgeKernel struct {
	Habitat host.Habitat `json:"habitat"`

	request check.Request
	wants   []modules.Want // nil where the kernel loads none
	known   *check.Known   // nil where it has to be observed first
	without []string
}

// String tells what Apply does.
func (j JudgeKernel) String() string {
	return "look whether the kernel has what Docker cannot do without"
}

// Apply looks. The error has the findings' words.
func (j JudgeKernel) Apply(context.Context) (kept bool, err error) { return true, j.judge(nil) }

// judge is Apply for what kconfig.Running says; nil where that was not read before.
func (j JudgeKernel) judge(config *kconfig.Config) error {
	known := j.known
	if known == nil {
		seen, err := check.See()
		if err != nil {
			return err
		}
		known = &seen
	}
	fatal := check.Fatal(&j.request, known)
	has, err := j.hasAll()
	if err != nil {
		return errors.Join(sentences(fatal, j.without), err)
	}
	// A configuration that cannot be read is no reason not to start the daemon.
	if more, err := check.FatalKernel(&j.request, known, has, config); err == nil {
		fatal = append(fatal, more...)
	}
	return sentences(fatal, j.without)
}

// hasAll tells whether all modules that are wanted are in the kernel, as far as it says so.
func (j JudgeKernel) hasAll() (bool, error) {
	if j.wants == nil {
		return false, nil
	}
	has, err := observeModules()
	return err == nil && haveAll(j.wants, has), err
}

// sentences is what is fatal and not waived, each once, as an error; nil where nothing is.
func sentences(fatal []finding.Finding, without []string) error {
	var errs []error
	told := slices.Clone(without)
	for _, f := range fatal {
		if !slices.Contains(told, f.ID) {
			told = append(told, f.ID)
			errs = append(errs, errors.New(waivable(f)))
		}
	}
	return errors.Join(errs...)
}

// waivable is the sentence of a fatal finding, and how to start all the same.
func waivable(f finding.Finding) string {
	return f.Sentence() + ". To start all the same: dockerlaunch --without " + f.ID
}

// haveAll tells whether the kernel has all of the modules that are wanted, as far as it says so.
func haveAll(wants []modules.Want, has map[string]bool) bool {
	for i := range wants {
		if !slices.ContainsFunc(wants[i].Names, func(name string) bool { return has[name] }) {
			return false
		}
	}
	return true
}

// judgeKernel plans the look at the kernel, behind the modules, or beside all else where there are none to wait for. What it returns
// has the kernel's configuration afterwards, if there is one; nil where that is not known.
func (p *Plan) judgeKernel(c Config, e daemon.Effective, f Facts) *check.Known {
	if !p.isDockerd {
		return nil
	}
	j := JudgeKernel{
		Habitat: f.Host.Habitat, without: c.Without,
		request: check.Request{For: f.Host.Habitat, Cgroup: c.Cgroup, Daemon: e, Path: c.path(), Variant: p.variant()},
	}
	if !f.ProcMounted || f.Host.LoadableModules {
		j.wants = WantedModules(firewallOf(e, p.iptables.Program(f.IPTables)))
	}
	// What is mounted by then changes what the cgroups say.
	if f.ProcMounted && f.Cgroups.Mode != cgroups.None {
		j.known = &check.Known{Host: f.Host, Cgroups: f.Cgroups}
	}
	p.kernelAtOnce = j.known != nil && j.wants == nil
	lane := p.lane
	p.lane = LaneKernel
	p.add(Step{Name: "kernel", Why: "without some of its options no container starts", Required: true, Verdict: Do, Action: j})
	p.lane = lane
	return j.known
}

// TryStorage mounts an overlay in the data-root, where nothing else tells whether a driver works that the daemon cannot do without.
type TryStorage struct {
	Root string `json:"root"`

	request check.Request
	storage check.StorageFacts
	without []string
}

// String tells what Apply does.
func (t TryStorage) String() string {
	return "mount an overlay in " + t.Root + ", which has " + t.storage.FSType
}

// Apply tries. The error has the words of `dockerlaunch check`.
func (t TryStorage) Apply(context.Context) (kept bool, err error) {
	trial, err := check.TryOverlay(t.Root)
	if err != nil {
		return true, nil //nolint:nilerr // what cannot be tried is not known to fail
	}
	t.storage.Trial = &trial
	fatal, _ := check.FatalStorage(&t.request, &t.storage)
	return true, sentences(fatal, t.without)
}

// driver plans the look at the storage driver that the daemon takes.
func (p *Plan) driver(c Config, e daemon.Effective, f DaemonFacts, root string) {
	const name, why = "storage driver", "dockerd does not start, or unpacks no image, where it does not work"
	request := check.Request{Daemon: e, Path: c.path()}
	s := check.StorageFacts{DataRoot: root, FSType: f.DataRootFS, Writable: f.DataRootWritable, Prior: f.PriorDrivers}
	fatal, try := check.FatalStorage(&request, &s)
	switch {
	case slices.Contains(c.Without, "storage.driver"):
	case len(fatal) > 0:
		p.add(Step{Name: name, Why: why, Required: true, Verdict: Refuse, Note: waivable(fatal[0])})
	case try:
		p.add(Step{Name: name, Why: why, Required: true, Verdict: Do, Action: TryStorage{Root: root, request: request, storage: s, without: c.Without}})
	}
}
