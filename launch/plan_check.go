package launch

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
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
	if r.For != "" {
		f.Host.Habitat = r.For
	}
	r.Daemon.File = f.Daemon.Config
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
		case "program", "PID", "privileges", "cgroups":
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

// JudgeKernel looks, once modules are loaded, whether the kernel has what no daemon does without. Its configuration is read only
// where one of the wanted modules did not come: what is fatal there is fatal to `dockerlaunch check`, in the same words.
type JudgeKernel struct {
	Habitat host.Habitat `json:"habitat"`

	wants   []modules.Want
	request check.Request
	without []string
}

// String tells what Apply does.
func (j JudgeKernel) String() string {
	return "look whether the kernel has what Docker cannot do without"
}

// Apply looks. The error has the finding's words.
func (j JudgeKernel) Apply(context.Context) (kept bool, err error) {
	has, err := observeModules()
	if err != nil || haveAll(j.wants, has) {
		return true, err
	}
	fatal, err := check.FatalKernel(&j.request, j.Habitat)
	if err != nil {
		return true, nil //nolint:nilerr // a configuration that cannot be read is no reason not to start the daemon
	}
	var errs []error
	for _, f := range fatal {
		if !slices.Contains(j.without, f.ID) {
			errs = append(errs, errors.New(f.Sentence()+". To start all the same: dockerlaunch --without "+f.ID))
		}
	}
	return true, errors.Join(errs...)
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

// judgeKernel plans the look at the kernel, behind the modules.
func (p *Plan) judgeKernel(c Config, e daemon.Effective, f Facts) {
	if !p.isDockerd {
		return
	}
	const why = "without some of its options no container starts"
	if f.ProcMounted && !f.Host.LoadableModules {
		// What such a kernel has is built in and shows nowhere, and reading its configuration would cost each start 500 calls.
		p.add(Step{Name: "kernel", Why: why, Required: true, Verdict: Skip, Note: "it has no loadable modules: dockerlaunch check reads its configuration"})
		return
	}
	wants := WantedModules(firewallOf(e, p.iptables.Program(f.IPTables)))
	if haveAll(wants, f.Modules) {
		p.add(Step{Name: "kernel", Why: why, Required: true, Verdict: Keep, Note: "all modules that Docker uses are in the kernel"})
		return
	}
	p.add(Step{
		Name: "kernel", Why: why, Required: true, Verdict: Do,
		Action: JudgeKernel{
			Habitat: f.Host.Habitat, wants: wants, without: c.Without,
			request: check.Request{For: f.Host.Habitat, Cgroup: c.Cgroup, Daemon: e, Path: c.path(), Variant: p.variant()},
		},
	})
}
