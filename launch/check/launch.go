package check

import (
	"slices"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

// FatalKernel returns what of the running kernel is fatal to the daemon of a Request, by its configuration alone: what a launcher
// looks at where something did not come. A daemon of unknown version gets what is fatal to old and new ones alike.
func FatalKernel(r *Request, habitat host.Habitat) ([]finding.Finding, error) {
	h, err := host.Observe(host.Paths{})
	if err != nil {
		return nil, err
	}
	f := &Facts{For: habitat, Live: true, Host: h, Running: h.Kernel}
	if err := f.findConfig("/", h.Kernel); err != nil {
		return nil, err
	}
	if err := f.observeModules("/", h.Kernel); err != nil {
		return nil, err
	}
	if f.Cgroup.Facts, err = cgroups.Observe(cgroups.Paths{}); err != nil {
		return nil, err
	}
	f.User.IPTables, f.User.Goal = tree("").program("iptables", f.path(r))
	conditions := f.conditions(r)
	fatal := fatalOf(kconfig.Judge(f.Config, conditions, f.Modules))
	if conditions.Docker == "" && len(fatal) > 0 {
		conditions.Docker = "20.10.0"
		old := fatalOf(kconfig.Judge(f.Config, conditions, f.Modules))
		fatal = slices.DeleteFunc(fatal, func(a finding.Finding) bool {
			return !slices.ContainsFunc(old, func(b finding.Finding) bool { return a.ID == b.ID })
		})
	}
	return fatal, nil
}

func fatalOf(findings []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(findings, func(f finding.Finding) bool { return !f.Bad() || f.Severity != finding.Fatal })
}
