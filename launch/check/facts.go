package check

import (
	"time"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/iptables"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/dockerlaunch/dockerlaunch/launch/storage"
	"golang.org/x/sys/unix"
)

// Facts are what a check found. They are plain data, but for Modules.
type Facts struct {
	For host.Habitat
	// Live tells that the kernel that is judged is the one that runs, so that its cgroups, namespaces and limits count.
	Live bool
	Host host.Facts

	// Config is the kernel's configuration, never nil. Running is uname -r where it is the running kernel's, else "".
	Config  *kconfig.Config
	Running string
	// Unread are places of a configuration that could not be read, where another could.
	Unread []error
	// Modules tells which modules there are, nil where that is not known.
	Modules kconfig.Modules

	// Namespaces has what the kernel answered to each of namespaces; nil where it was not asked.
	Namespaces map[string]unix.Errno
	Cgroup     CgroupFacts
	Storage    StorageFacts
	// Programs are the findings of package preflight; nil where user space is not judged.
	Programs []finding.Finding
	User     UserSpace
	Sysctl   map[string]string
	Security SecurityFacts
	Boot     Boot
}

// Release is the judged kernel's, as its configuration or uname says it.
func (f *Facts) Release() string {
	if f.Config.Text != "" {
		return f.Config.Text
	}
	return f.Running
}

// numbers is the release as numbers, unknown where it is.
func (f *Facts) numbers() kconfig.Release {
	if f.Config.Release.Known() {
		return f.Config.Release
	}
	r, _ := kconfig.ParseRelease(f.Running) // the zero value is an unknown one
	return r
}

// CgroupFacts is how cgroups are.
type CgroupFacts struct {
	cgroups.Facts
	// Swap tells whether swap is counted: "yes", "no", or "" where that shows in no cgroup.
	Swap string
}

// StorageFacts is what is known of the data-root.
type StorageFacts struct {
	Looked   bool
	DataRoot string
	// Exists tells that the folder is there, Writable that this process may write to it or the nearest parent.
	Exists, Writable, ReadOnly bool
	FSType                     string
	// Overlay tells that /proc/filesystems has overlay.
	Overlay bool
	// Trial is the trial mount, nil where there was none, for the reason NoTrial.
	Trial   *storage.Trial
	NoTrial string
	// Prior are drivers whose data is there.
	Prior     []string
	ZFS, FUSE bool
}

// UserSpace is what is known of programs beyond that they are there.
type UserSpace struct {
	// Docker is the version of dockerd, where it is known.
	Docker daemon.Version
	// DockerText is the same as its package has it, or as the user says it.
	DockerText string
	// Daemon is the daemon's path, DaemonErr why there is none.
	Daemon    string
	DaemonErr string
	// IPTables is the path of iptables, Goal the program that its links lead to.
	IPTables, Goal string
	// Versions are those of packages.
	Versions map[string]string
	// Bundle is where the CA certificates are, BundleErr why they cannot be read.
	Bundle    string
	Roots     certs.Roots
	BundleErr string
	Now       time.Time
	// Extra are the programs that single drivers and modes use, by name, with their places.
	Extra map[string]string
}

// firewall is how dockerd reaches netfilter, as far as its options and the links of iptables tell.
func (u *UserSpace) firewall(e *daemon.Effective, variant string) kconfig.Firewall {
	switch {
	case !e.IPTables():
		return kconfig.FirewallNone
	case e.FirewallBackend() == "nftables":
		return kconfig.FirewallNFTables
	case variant == AnyVariant:
		return kconfig.FirewallUnknown
	case variant != "":
		return kconfig.Firewall(variant)
	}
	return kconfig.Firewall(iptables.VariantOf(u.Goal)) // which has the same words
}

// SecurityFacts is what the kernel's security modules say.
type SecurityFacts struct {
	// LSM is /sys/kernel/security/lsm, "" where it cannot be read.
	LSM string
	// Enforcing is /sys/fs/selinux/enforce.
	Enforcing string
	// Seccomp tells that the kernel filters system calls.
	Seccomp bool
	// NoNewPrivs tells that no program gains rights by being executed.
	NoNewPrivs bool
	// ProcSysReadOnly tells that sysctls cannot be set.
	ProcSysReadOnly bool
}

// conditions are what the need for kernel options depends on.
func (f *Facts) conditions(r *Request) kconfig.Conditions {
	e := r.Daemon
	e.Version = f.User.Docker
	c := kconfig.Conditions{
		Running: f.Running, Docker: f.User.DockerText, Firewall: f.User.firewall(&e, r.Variant), StorageDriver: e.StorageDriver(),
		DataRootFS: f.Storage.FSType, NoBridge: value(&e, "bridge") == "none", NoIPv6: !e.IP6Tables(),
		NoUserlandProxy: !e.UserlandProxy(), NoICC: value(&e, "icc") == "false", UserNS: value(&e, "userns-remap") != "",
		Container: f.For == host.Container,
	}
	if mode := f.mode(r); mode != cgroups.None {
		c.Cgroup = kconfig.CgroupMode(mode.String())
	}
	return c
}

// value is what the command line says of an option, else daemon.json.
func value(e *daemon.Effective, option string) string {
	v, ok := e.Args.Value(option)
	if !ok {
		v, _ = e.File.Value(option)
	}
	return v
}

// mode is the cgroup version that counts: the one that is asked for, else the one that is mounted. None leaves it to the kernel.
func (f *Facts) mode(r *Request) cgroups.Mode {
	switch r.Cgroup {
	case cgroups.WantV1:
		return cgroups.V1
	case cgroups.WantV2:
		return cgroups.V2
	case cgroups.WantHybrid:
		return cgroups.Hybrid
	}
	if f.Live {
		return f.Cgroup.Mode
	}
	return cgroups.None
}
