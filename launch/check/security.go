package check

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"golang.org/x/sys/unix"
)

// indispensable are the capabilities without which nothing can be mounted and no network be made.
const indispensable = host.CapabilitySet(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN)

func (b *book) security(f *Facts) {
	s := &f.Security
	how, note := ok, ""
	if lacking := indispensable &^ f.Host.Capabilities; lacking != 0 {
		how, note = missingFatal, "this process lacks "+strings.Join(lacking.Names(), " and ")
		if f.Host.UID != 0 {
			how = unknown // what is not root tells nothing of what a daemon could
		}
	}
	b.add("security.privileges", how, note, "mounts, cgroups and networks", "run it as root, in a container with --privileged")

	how, note = ok, ""
	if lacking := host.Full(f.Host.LastCapability) &^ f.Host.Bounding; lacking != 0 {
		how, note = missingLost, "the bounding set lacks "+strings.Join(lacking.Names(), ", ")
	}
	b.add("security.bounding-set", how, note, "docker run --privileged, and whatever else asks for it, unless the launcher stands in front of runc",
		"give it to the container or machine around this one")

	how = ok
	if !s.Seccomp {
		how = missingLost
	}
	b.add("security.seccomp", how, "", "Docker's seccomp profile: containers may call all of the kernel", "build the kernel with CONFIG_SECCOMP_FILTER=y")
	if s.NoNewPrivs {
		b.add("security.no-new-privs", offLost, "no_new_privs is set on this process, and on all that it starts", "sudo, ping and other set-user-ID programs in containers",
			"no --security-opt no-new-privileges outside, no NoNewPrivileges= in its unit")
	}
	if s.ProcSysReadOnly {
		b.add("security.proc-sys", offLost, "/proc/sys is read-only, so that dockerd cannot turn IP forwarding on", "bridge networking", "start the container around this one with --privileged")
	}

	switch {
	case f.Host.AppArmor && f.For == host.Container:
		note = "AppArmor is on, and the outer system's: containers in here have no profile of their own"
	case f.Host.AppArmor:
		note = "AppArmor is on: containers get the profile docker-default"
	case s.Enforcing == "1":
		note = "SELinux enforces: dockerd confines containers with --selinux-enabled and the policy container-selinux"
	default:
		note = "neither AppArmor nor SELinux confines containers"
	}
	if s.LSM != "" {
		note += " (" + s.LSM + ")"
	}
	b.add("security.lsm", ok, note, "", "")
}
