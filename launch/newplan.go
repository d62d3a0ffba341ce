package launch

import (
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/mounts"
)

// NewPlan makes the plan for a Config under Facts. It is a pure function: it looks at nothing else and changes nothing.
// The error is a *UsageError; what stands in the way of a launch is in the plan, and told by its Err.
func NewPlan(c Config, f Facts) (*Plan, error) {
	r, err := c.request()
	if err != nil {
		return nil, err
	}
	e := daemon.Effective{Command: r.command, Args: r.args, File: f.Daemon.Config, Driver: c.getenv("DOCKER_DRIVER")}

	p := &Plan{Habitat: f.Host.Habitat}
	p.base(f)
	p.devices(f)
	p.mounts(mounts.Rest(), f.Mounts)
	p.varRun(f)
	p.propagation(f)
	p.cgroups(c.Cgroup, f)
	p.modules(f)
	p.files(f)
	p.settings(e, f)
	p.network(f.Host, e.FirewallBackend())
	missing, err := p.programs(c, e, f)
	if err != nil {
		return nil, err
	}
	p.limits(f.Host)
	p.command(c, e, missing, f)
	return p, nil
}
