// Package check says whether a kernel and a system will run Docker, what will not work, and what mends it.
//
// Observe reads what there is, and Judge, a pure function of that, makes findings of it. Neither changes anything that lasts:
// the trial of overlay takes place in a mount namespace of its own, and its folder is removed.
package check

import (
	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
)

// Request says what is to be judged. With KernelConfig alone it is a kernel, with Root a root tree and the kernel that is in it,
// and with neither the system that runs.
type Request struct {
	// For is what the system is to be; "" is what it is.
	For host.Habitat
	// Docker is the daemon's version, or "" to ask the one that is installed.
	Docker string
	// Cgroup is the version that the system is to have, WantAuto what it has.
	Cgroup cgroups.Want
	// Daemon is what the user says to dockerd.
	Daemon daemon.Effective
	// DataRoot beats the data-root that Daemon has; "" does not.
	DataRoot string
	// Root is another root tree, "" for the system that runs.
	Root string
	// KernelConfig is a file with a kernel's configuration, "" for the kernel's own.
	KernelConfig string
	// Path is where programs are looked for.
	Path string
	// Variant is the iptables that the launcher chose, AnyVariant where it takes the one that works, and "" where links decide.
	Variant string
}

// AnyVariant stands for a choice between the variants of iptables that is made when the kernel is seen to know one.
const AnyVariant = "any"

// dataRoot is the data-root that is judged.
func (r *Request) dataRoot() string {
	if r.DataRoot != "" {
		return r.DataRoot
	}
	return r.Daemon.DataRoot()
}

// Report is what a check came to. Its JSON is part of the program's interface, see docs/check.schema.json.
type Report struct {
	Verdict    finding.Conclusion `json:"verdict"`
	Kernel     Kernel             `json:"kernel"`
	Conditions Conditions         `json:"conditions"`
	Findings   []finding.Finding  `json:"findings"`
	// Config is what the findings about the kernel were made from, for kconfig.Fragment.
	Config *kconfig.Config `json:"-"`
}

// Kernel is the kernel that was judged.
type Kernel struct {
	// Release is what its configuration says, or uname -r; "" where neither is known.
	Release string `json:"release"`
	// Source is where its configuration was read.
	Source string `json:"source"`
	// Complete tells that an option that the configuration does not name is off.
	Complete bool `json:"complete"`
}

// Conditions are what the findings were made for.
type Conditions struct {
	For host.Habitat `json:"for"`
	// Cgroup is v1, v2 or hybrid, or none.
	Cgroup string `json:"cgroup,omitempty"`
	// Docker is the daemon's version, "" for the newest that is known.
	Docker   string           `json:"docker,omitempty"`
	Firewall kconfig.Firewall `json:"firewall,omitempty"`
	DataRoot string           `json:"data_root,omitempty"`
	DataFS   string           `json:"data_root_fs,omitempty"`
}

// Judge makes the findings. It is pure: the same facts give the same report.
func Judge(r *Request, f *Facts) *Report {
	c := f.conditions(r)
	b := &book{kconfig.Judge(f.Config, c, f.Modules)}
	for _, err := range f.Unread {
		b.add("kernel.config.unread", unknown, err.Error(), "", "")
	}
	if f.Live {
		b.namespaces(f, c.UserNS)
		b.cgroups(r, f)
	}
	if f.Storage.Looked {
		b.storage(r, f)
	}
	if f.Programs != nil {
		b.list = append(b.list, f.Programs...)
		b.userSpace(r, f, &c)
	}
	if f.Live {
		b.limits(f)
		b.security(f)
	}
	return &Report{
		Verdict: finding.Verdict(b.list), Kernel: Kernel{f.Release(), f.Config.Source, f.Config.Complete}, Config: f.Config,
		Conditions: Conditions{f.For, string(c.Cgroup), c.Docker, c.Firewall, f.Storage.DataRoot, f.Storage.FSType}, Findings: b.list,
	}
}
