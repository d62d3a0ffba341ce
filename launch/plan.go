package launch

import (
	"context"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/mounts"
)

// Action is what a step does to the system.
type Action interface {
	// Apply does it. It is idempotent; kept tells that what was wanted stood there already.
	Apply(ctx context.Context) (kept bool, err error)
	// String says in a line what Apply does.
	String() string
}

// Verdict is what the plan makes of a step.
type Verdict string

const (
	// Keep: what is wanted is there already.
	Keep Verdict = "keep"
	// Do: the step's action is going to be applied.
	Do Verdict = "do"
	// Skip: the step does not apply here.
	Skip Verdict = "skip"
	// Warn: something is missing that the daemon runs without; an action there is applied all the same.
	Warn Verdict = "warn"
	// Refuse: the daemon must not be started.
	Refuse Verdict = "refuse"
)

// Step is one thing that has to be so before the daemon starts.
type Step struct {
	// Name is unique in a plan, for example "mount /proc".
	Name string `json:"name"`
	// Lane is the sequence that the step belongs to.
	Lane Lane `json:"lane"`
	// Why tells what the step is for.
	Why string `json:"why,omitempty"`
	// Required steps stop the launch when they fail; others cost a warning.
	Required bool    `json:"required"`
	Verdict  Verdict `json:"verdict"`
	// Note gives the reason for the verdict, or what is lost.
	Note string `json:"note,omitempty"`
	// Does says in words what Action does, for those who read the plan as JSON.
	Does   string `json:"does,omitempty"`
	Action Action `json:"action,omitempty"`
}

// Command is the daemon's command line.
type Command struct {
	// Path is what is executed; empty where no daemon was found.
	Path string   `json:"path"`
	Args []string `json:"args"`
	// Added tells why the launcher added an argument, in the order in which they stand in Args.
	Added []Addition `json:"added,omitempty"`
	// Env lists the variables that are set beside the environment that was given.
	Env []Variable `json:"env,omitempty"`
	// Notices tell what of an old command line was translated.
	Notices []string `json:"notices,omitempty"`
}

// Addition is an argument that the launcher gives the daemon.
type Addition struct {
	Arg    string `json:"arg"`
	Reason string `json:"reason"`
}

// Variable is an environment variable that the launcher sets for the daemon.
type Variable struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

// Plan is what a launch will do, made from a Config and Facts alone: the same input gives the same plan.
type Plan struct {
	Habitat host.Habitat `json:"habitat"`
	Steps   []Step       `json:"steps"`
	Command Command      `json:"command"`
	// DaemonVersion is the daemon's, where it is known.
	DaemonVersion daemon.Version `json:"daemon_version,omitzero"`
	// Containerd is the containerd that is started beside the daemon; nil where none is.
	Containerd *daemon.Containerd `json:"containerd,omitempty"`
	// containerdAddress is where the daemon finds it; "" where it looks itself.
	containerdAddress string
	// hosts are the addresses of the API where the user names none; opened gets the descriptors of their sockets.
	hosts  []string
	opened *[]int
	// kernelAtOnce tells that the look at the kernel waits for nothing.
	kernelAtOnce bool
	// overlay tells that the kernel knows the filesystem by now, which containerd asks for when it starts.
	overlay bool
	// lock keeps other launchers off the data-root.
	lock *heldLock
	// inFront are the folders that go in front of the daemon's PATH, with what for.
	inFront []pathFolder
	// iptables is the variant that the daemon uses.
	iptables iptables.Choice
	// images is what is loaded once the daemon is ready.
	images imageFolder
	// isDockerd tells that the daemon is dockerd by its name, so that its ways are known.
	isDockerd bool
	// shutdownTimeout is the daemon's own, in seconds; negative is without end.
	shutdownTimeout int
	// tlsDir is the folder with the certificates that are made for the API; "" where none are.
	tlsDir string
	// rootMoved tells that / is going to be another tmpfs than the one that this program runs from.
	rootMoved bool
	// iptablesBuiltIn tells that the kernel's configuration may say which variant of iptables it knows.
	iptablesBuiltIn bool
	// bridgeNetfilter tells whether br_netfilter is there when the daemon starts, as far as a plan can tell.
	bridgeNetfilter bool
	// pending are the targets of mounts that are planned: what stands below them now says nothing of what will.
	pending []string
	// lane is the one that steps are being added to.
	lane Lane
	// needsVersion tells that the command line would be another one for some versions of the daemon, and that its is not known.
	needsVersion bool
	// problem is why the daemon cannot be executed, if so.
	problem *ExecError
}

// Err returns what stands in the way of starting the daemon: a *RefusedError, an *ExecError, or nil.
func (p *Plan) Err() error {
	var reasons []string
	for _, s := range p.Steps {
		if s.Verdict == Refuse {
			reasons = append(reasons, s.Note)
		}
	}
	// A daemon that is not there is the only problem with an exit status of its own, and must not hide behind another.
	if p.problem != nil {
		return p.problem
	}
	if len(reasons) > 0 {
		return &RefusedError{reasons}
	}
	return nil
}

func (p *Plan) add(s Step) {
	s.Lane = p.lane
	if s.Action != nil {
		s.Does = s.Action.String()
	}
	p.Steps = append(p.Steps, s)
}

// NewPlan makes the plan for a Config under Facts. It is a pure function: it looks at nothing else and changes nothing.
// The error is a *UsageError; what stands in the way of a launch is in the plan, and told by its Err.
func NewPlan(c Config, f Facts) (*Plan, error) {
	r, err := c.request()
	if err != nil {
		return nil, err
	}
	e := daemon.Effective{Command: r.command, Args: r.args, File: f.Daemon.Config, Driver: c.getenv("DOCKER_DRIVER")}
	e = knowing(e, f.Daemon.Version)

	p := &Plan{Habitat: f.Host.Habitat, lane: LaneSystem, isDockerd: r.command.IsDockerd(), DaemonVersion: e.Version, shutdownTimeout: e.ShutdownTimeout()}
	p.base(f)
	p.unread(f.Host)
	p.devices(f)
	p.mounts(mounts.Rest(), f.Mounts)
	p.varRun(f)
	p.propagation(f)
	p.cgroups(c.Cgroup, f)
	p.chooseIPTables(c, e, f)
	p.lane = LaneModules
	p.modules(e, f)
	p.overlay = f.Modules["overlay"]
	p.askIPTables(f, p.judgeKernel(c, e, f))
	p.lane = LaneSystem
	p.files(f)
	p.settings(c, e, f)
	p.network(f.Host, e)
	p.bridge(&e, f.Network)
	missing, err := p.programs(c, e, f)
	if err != nil {
		return nil, err
	}
	p.limits(f.Host)
	p.ociRuntime(c, e, f)
	p.networkNotes(f.Network)
	p.reaping(c)
	p.api(c, e, f)
	p.imageArchives(c, e)
	p.lane = LaneCertificates
	p.certificates(c, e, f)
	p.lane = LaneContainerd
	p.containerd(c, e, f)
	p.lane = LaneSystem
	p.command(c, e, missing, f)
	return p, nil
}
