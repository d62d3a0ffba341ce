package check

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"golang.org/x/sys/unix"
)

// Indispensable are the capabilities without which nothing can be mounted and no network be made.
const Indispensable = host.CapabilitySet(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN)

// Privileges judges what this process may do. One that is not root tells nothing of what a daemon could.
func Privileges(f host.Facts) finding.Finding {
	out := finding.Finding{ID: "security.privileges", Area: finding.Security, Status: finding.OK, Severity: finding.Fatal}
	missing := Indispensable &^ f.Capabilities
	if missing == 0 {
		return out
	}
	out.Status, out.Lost = finding.Missing, "mounts, cgroups and networks"
	out.Note = "this process lacks " + strings.Join(missing.Names(), " and ")
	out.Fix = "run it as root, in a container with --privileged"
	return out
}

func securityFindings(f *Facts) []finding.Finding {
	privileges := Privileges(f.Host)
	if privileges.Bad() && f.Host.UID != 0 {
		privileges = finding.Finding{
			ID: privileges.ID, Area: privileges.Area, Status: finding.Unknown, Severity: finding.Info,
			Note: "this is not root, so that namespaces and overlay were not tried", Fix: "run the check as root",
		}
	}
	list := []finding.Finding{privileges}
	bounding := good("security.bounding-set", finding.Security, "")
	if lacking := host.Full(f.Host.LastCapability) &^ f.Host.Bounding; lacking != 0 {
		bounding.Status, bounding.Severity = finding.Missing, finding.Degraded
		bounding.Note = "the bounding set lacks " + strings.Join(lacking.Names(), ", ")
		bounding.Lost = "docker run --privileged, and whatever else asks for it, unless the launcher stands in front of runc"
		bounding.Fix = "give it to the container or machine around this one"
	}
	list = append(list, bounding)

	s := f.Security
	seccomp := good("security.seccomp", finding.Security, "")
	if !s.Seccomp {
		seccomp.Status, seccomp.Severity = finding.Missing, finding.Degraded
		seccomp.Note, seccomp.Lost = "the kernel filters no system calls", "docker's seccomp profile: containers may call all of the kernel"
		seccomp.Fix = "build the kernel with CONFIG_SECCOMP_FILTER=y"
	}
	list = append(list, seccomp)
	if s.NoNewPrivs {
		list = append(list, finding.Finding{
			ID: "security.no-new-privs", Area: finding.Security, Status: finding.Disabled, Severity: finding.Degraded,
			Note: "no_new_privs is set on this process, and what it starts inherits it", Lost: "sudo, ping and other set-user-ID programs in containers",
			Fix: "start it without: no --security-opt no-new-privileges outside, no NoNewPrivileges= in its unit",
		})
	}
	if s.ProcSysReadOnly {
		list = append(list, finding.Finding{
			ID: "security.proc-sys", Area: finding.Security, Status: finding.Disabled, Severity: finding.Degraded,
			Note: "/proc/sys is read-only, so that dockerd cannot turn IP forwarding on", Lost: "bridge networking", Fix: "start the container around this one with --privileged",
		})
	}
	return append(list, lsmFinding(f))
}

// lsmFinding tells which security module confines containers.
func lsmFinding(f *Facts) finding.Finding {
	out := good("security.lsm", finding.Security, "")
	s := f.Security
	switch {
	case f.Host.AppArmor && f.For == host.Container:
		out.Note = "AppArmor is on, and the outer system's; containers in here run without a profile of their own"
	case f.Host.AppArmor:
		out.Note = "AppArmor is on, and containers get the profile docker-default"
	case s.Enforcing == "1":
		out.Note = "SELinux enforces; dockerd confines containers by it with --selinux-enabled and the policy of container-selinux"
	case s.Enforcing == "0":
		out.Note = "SELinux is permissive"
	default:
		out.Note = "no AppArmor and no SELinux: seccomp, capabilities and namespaces alone confine containers"
	}
	if s.LSM != "" {
		out.Note += " (" + s.LSM + ")"
	}
	return out
}
