package launch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/files"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/limits"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"github.com/dockerlaunch/dockerlaunch/mounts"
	"golang.org/x/sys/unix"
)

// indispensable are the capabilities without which nothing can be mounted and no network be made.
const indispensable = host.CapabilitySet(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN)

func (p *Plan) privileges(f host.Facts) {
	missing := indispensable &^ f.Capabilities
	if missing != 0 {
		p.add(Step{
			Name: "privileges", Why: "mounts, cgroups and networks are root's", Required: true, Verdict: Refuse,
			Note: "this process lacks " + strings.Join(missing.Names(), " and ") + ": run it as root, in a container with --privileged",
		})
		return
	}
	p.add(Step{Name: "privileges", Why: "mounts, cgroups and networks are root's", Required: true, Verdict: Keep})
	if lacking := host.Full(f.LastCapability) &^ f.Bounding; lacking != 0 {
		p.add(Step{
			Name: "bounding set", Why: "a container's capabilities come out of it", Verdict: Warn,
			Note: "the bounding set lacks " + strings.Join(lacking.Names(), ", ") +
				". Lost: what needs it in containers, which get all the others with --privileged; give it to the container or machine we run in",
		})
	}
}

// requiredMounts are those without which no container starts. Of the others a failure costs the feature they are for.
var requiredMounts = []string{"/proc", "/sys", "/dev", "/run", "/dev/pts"}

func (p *Plan) mounts(table []mounts.Mount, states map[string]mounts.State) {
	for _, m := range table {
		s := Step{Name: "mount " + m.Target, Why: m.Purpose, Required: slices.Contains(requiredMounts, m.Target)}
		if below := p.pendingAbove(m.Target); below != "" {
			s.Verdict, s.Action, s.Note = Do, m, "what is there is known once "+below+" is mounted"
			p.add(s)
			continue
		}
		decision := m.Decide(states[m.Target])
		s.Note = decision.Reason
		switch decision.Outcome {
		case mounts.OutcomeKeep:
			s.Verdict = Keep
		case mounts.OutcomeSkip:
			s.Verdict = Skip
		case mounts.OutcomeRefuse:
			s.Note = decision.Err.Error()
			s.Verdict = Warn
			if s.Required {
				s.Verdict = Refuse
			}
		default:
			if p.Habitat == host.Host && !s.Required {
				s.Verdict, s.Note = Skip, "on a person's host that is for its own init to do"
				break
			}
			s.Verdict, s.Action = Do, m
			p.pending = append(p.pending, m.Target)
		}
		p.add(s)
	}
}

// pendingAbove returns the mount, planned and not made yet, that will hide what stands at a path now; "" where none will.
func (p *Plan) pendingAbove(path string) string {
	for _, target := range p.pending {
		if strings.HasPrefix(path, target+"/") {
			return target
		}
	}
	return ""
}

// base plans what must stand before anything else can be observed.
func (p *Plan) base(f Facts) {
	p.privileges(f.Host)
	p.mounts(mounts.Base(), f.Mounts)
}

// unread tells what is taken for granted because it could not be read.
func (p *Plan) unread(f host.Facts) {
	if len(f.Unread) > 0 {
		p.add(Step{
			Name: "facts", Why: "the plan is made from them", Verdict: Warn,
			Note: "of the system this could not be read, and is taken to be as usual: " + strings.Join(f.Unread, "; "),
		})
	}
}

// requiredDevices are those that hardly any program does without.
var requiredDevices = []string{"/dev/null", "/dev/urandom"}

// machineDevices reach past a container: its runtime leaves them out on purpose, and so do we.
var machineDevices = []string{"/dev/console", "/dev/kmsg"}

// devices plans the nodes and links of /dev. On a person's host they are udev's business.
func (p *Plan) devices(f Facts) {
	if f.Host.Habitat == host.Host {
		return
	}
	for _, d := range mounts.Devices("/dev") {
		if f.Host.Habitat == host.Machine || !slices.Contains(machineDevices, d.Path) {
			p.wanted(Step{Name: "device " + d.Path, Why: d.Purpose, Required: slices.Contains(requiredDevices, d.Path), Action: d}, d.Path, f)
		}
	}
	for _, l := range mounts.Links("/dev") {
		p.wanted(Step{Name: "link " + l.Path, Why: l.Purpose, Action: l}, l.Path, f)
	}
}

// wanted adds a step that is to be done unless what it makes stands at the path already, or something else does.
func (p *Plan) wanted(s Step, path string, f Facts) {
	s.Verdict = Do
	switch below := p.pendingAbove(path); {
	case below != "":
		s.Note = "what is there is known once " + below + " is mounted"
	case f.Standing[path]:
		s.Verdict, s.Note, s.Action = Keep, "it is there", nil
	case f.Wrong[path] != "" && s.Required:
		s.Verdict, s.Note, s.Action = Refuse, f.Wrong[path], nil
	case f.Wrong[path] != "":
		s.Verdict, s.Note, s.Action = Warn, f.Wrong[path], nil
	}
	p.add(s)
}

// varRun is required because dockerd's own defaults name /var/run, and it does not start where they cannot be written.
func (p *Plan) varRun(f Facts) {
	v := mounts.NewVarRun()
	p.wanted(Step{
		Name: "folder " + v.Path, Why: "the daemon's socket, PID file and state are there by default", Required: true, Action: v,
	}, v.Path, f)
}

func (p *Plan) propagation(f Facts) {
	s := Step{Name: "propagation of /", Why: "volumes with shared propagation need a shared /", Action: mounts.Propagation{Target: "/"}}
	switch {
	case f.RootShared:
		s.Verdict, s.Note, s.Action = Keep, "/ is shared", nil
	case f.Host.Habitat == host.Host:
		s.Verdict, s.Note, s.Action = Warn, "/ is not shared, and it is not ours to change. Lost: docker run -v with :shared. Do: mount --make-rshared /", nil
	case f.ProcMounted:
		s.Verdict, s.Action = Do, mounts.Unshared{Propagation: mounts.Propagation{Target: "/"}}
	default:
		s.Verdict = Do
	}
	p.add(s)
}

// cgroups plans the hierarchies that are missing, and in a container the room that controllers need to be handed on.
func (p *Plan) cgroups(want cgroups.Want, f Facts) {
	const why = "containers are limited and counted by them"
	if !f.ProcMounted {
		p.add(Step{Name: "cgroups", Why: why, Required: true, Verdict: Do, Note: "what is to be done is known once /proc is mounted"})
		return
	}
	actions, warnings, err := cgroups.Plan(f.Cgroups, want, cgroups.Habitat{
		Machine:   f.Host.Habitat == host.Machine,
		Container: f.Host.Habitat == host.Container,
	})
	if err != nil {
		p.add(Step{Name: "cgroups", Why: why, Required: true, Verdict: Refuse, Note: err.Error()})
		return
	}
	if len(actions) == 0 {
		p.add(Step{Name: "cgroups", Why: why, Required: true, Verdict: Keep, Note: "cgroup " + f.Cgroups.Mode.String() + " is mounted"})
	}
	for _, a := range actions {
		means := a.Means()
		p.add(Step{Name: "cgroup: " + a.String(), Why: means.Why, Required: means.Required, Verdict: Do, Action: a})
	}
	for i, w := range warnings {
		p.add(Step{Name: fmt.Sprintf("cgroup warning %d", i+1), Why: why, Verdict: Warn, Note: w.String()})
	}
}

func (p *Plan) files(f Facts) {
	for _, d := range files.Folders() {
		p.file("folder "+d.Path, d.Purpose, f.Files[d.Path], d)
	}
	p.lane = LaneFiles
	defer func() { p.lane = LaneSystem }()
	batch := &files.Batch{}
	for _, e := range files.Expected(f.Host.KernelNameservers) {
		var action Action = e
		if f.Files[e.Path] == files.Absent {
			action = batch.Add(e)
		}
		p.file("file "+e.Path, e.Purpose, f.Files[e.Path], action)
	}
	if f.Programs["ca-certificates"] == "" && f.SpareCABundle {
		bundle := "/" + preflight.CABundle
		s := Step{
			Name: "file " + bundle, Why: "registries' certificates are verified with it", Required: true, Verdict: Do,
			Action: batch.Add(files.File{Path: bundle, Mode: 0o644, CopyOf: "/" + preflight.SpareCABundle}),
		}
		if f.Files[bundle] != files.Absent {
			// That the bundle is missing is judged with the programs.
			s.Verdict, s.Action, s.Note = Skip, nil, fmt.Sprintf("/%s cannot be copied there: what stands at %s is %s", preflight.SpareCABundle, bundle, f.Files[bundle])
		}
		p.add(s)
	}
}

func (p *Plan) file(name, purpose string, state files.State, action Action) {
	s := Step{Name: name, Why: purpose, Verdict: Do, Action: action}
	switch state {
	case files.Present:
		s.Verdict, s.Note, s.Action = Keep, "it is there", nil
	case files.Dangling:
		s.Verdict, s.Note, s.Action = Warn, name+" is a link that leads nowhere, and is left alone. What it is for: "+purpose, nil
	case files.Unwritable:
		s.Verdict, s.Note, s.Action = Warn, name+" is missing, and nothing can be written there. What it is for: "+purpose, nil
	}
	p.add(s)
}

func (p *Plan) network(f host.Facts, e daemon.Effective) {
	lo := Step{Name: "network lo", Why: "published ports and health checks on 127.0.0.1 need it", Verdict: Do, Action: network.Loopback{}}
	if f.LoopbackUp {
		lo.Verdict, lo.Note, lo.Action = Keep, "lo is up", nil
	}
	p.add(lo)

	// dockerd turns forwarding on by itself, and only then sets the policy of the FORWARD chain to DROP, so that the host
	// is no router for its neighbours (setupIPForwarding in moby's libnetwork/drivers/bridge). Turned on beforehand, that
	// protection would be gone. With the nftables backend it has to be on beforehand (Docker 29).
	forward := Step{Name: "network forwarding", Why: "containers reach other networks through the host"}
	switch {
	case f.IPForward:
		forward.Verdict, forward.Note = Keep, "net.ipv4.ip_forward is 1"
	case !e.IPForward():
		forward.Verdict, forward.Note = Skip, "--ip-forward=false"
	case e.FirewallBackend() == "nftables":
		forward.Verdict, forward.Action = Do, network.Forwarding{}
	default:
		forward.Verdict, forward.Note = Skip, "dockerd turns it on, together with the FORWARD policy that protects the neighbours"
	}
	p.add(forward)
}

// whyNoRaise tells why limits may not be raised, "" where they may.
func whyNoRaise(f host.Facts) string {
	switch {
	case f.MayRaiseLimits():
		return ""
	case !f.InitialUserNamespace:
		return "this is a user namespace, in which nobody may"
	default:
		return "CAP_SYS_RESOURCE is missing"
	}
}

func (p *Plan) limits(f host.Facts) {
	set, short := limits.Plan(f.Limits, f.MayRaiseLimits())
	s := Step{Name: "limits", Why: "the daemon holds many files open for its containers", Verdict: Do, Action: set}
	if short != "" {
		s.Verdict = Warn
		s.Note = "limits stay below those of Docker's own unit: " + short + ". Lost: containers with higher limits than these"
		if why := whyNoRaise(f); why != "" {
			s.Note += " (" + why + ")"
		}
	}
	p.add(s)

	score := Step{Name: "oom score", Why: "where memory is short, containers are to be killed before the daemon"}
	switch {
	case f.OOMScoreAdj <= limits.OOMScoreAdj:
		score.Verdict, score.Note = Keep, "it is low enough"
	case !f.MayRaiseLimits():
		score.Verdict = Warn
		score.Note = "oom_score_adj cannot be lowered: " + whyNoRaise(f) + ". Lost: the daemon is as likely a victim as its containers when memory is short"
	default:
		score.Verdict, score.Action = Do, limits.OOMScore{Adj: limits.OOMScoreAdj}
	}
	p.add(score)
}
