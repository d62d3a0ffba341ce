package check

import (
	"strconv"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/limits"
)

// sysctl is a value below /proc/sys that has to be at least so large.
type sysctl struct {
	name     string // as sysctl(8) writes it
	atLeast  int
	advise   int
	severity finding.Severity
	lost     string
}

// sysctls are the values with the kernel's own defaults as the least. root_maxkeys is what both Docker's and k3s's checks look
// at: each container takes a key.
func sysctls() []sysctl {
	return []sysctl{
		{"kernel.keys.root_maxkeys", 10001, 1000000, finding.Degraded, "more than some 10000 containers: each takes a key of root's"},
		{"kernel.keys.root_maxbytes", 25 * 10001, 25000000, finding.Info, "more than some 10000 containers: the keys of root's have no room"},
		{"fs.inotify.max_user_instances", 128, 512, finding.Info, "file watching in many containers at once: their users share the limit"},
		{"fs.inotify.max_user_watches", 8192, 524288, finding.Info, "watching large folders in containers"},
		{"kernel.pid_max", 32768, 4194304, finding.Info, "many processes at once: containers share the numbers"},
		{"fs.nr_open", 1048576, 1048576, finding.Info, "the limit of open files that Docker's own unit asks for"},
		// Red Hat's kernel 3.10; without it a volume that is mounted elsewhere keeps a container from being removed.
		{"fs.may_detach_mounts", 1, 1, finding.Degraded, "removing containers whose mounts leaked elsewhere (\"device or resource busy\")"},
	}
}

func limitFindings(f *Facts) []finding.Finding {
	var list []finding.Finding
	for _, s := range sysctls() {
		out := finding.Finding{ID: "limit." + s.name, Area: finding.Limit, Status: finding.OK, Severity: s.severity}
		text, known := f.Sysctl[s.name]
		n, err := strconv.Atoi(text)
		switch {
		case !known:
			out.Status, out.Note = finding.NotApplicable, "this kernel does not have it, or /proc/sys does not show it"
		case err != nil && len(text) > 18:
			out.Note = text // too large for an int, and more than enough
		case err != nil:
			out.Status, out.Note = finding.Unknown, "not a number: "+strconv.Quote(text)
		case n < s.atLeast:
			out.Status, out.Note, out.Lost = finding.Disabled, "it is "+text+", and less than "+strconv.Itoa(s.atLeast), s.lost
			out.Fix = "sysctl -w " + s.name + "=" + strconv.Itoa(s.advise)
		default:
			out.Note = text
		}
		list = append(list, out)
	}
	out := finding.Finding{ID: "limit.nofile", Area: finding.Limit, Status: finding.OK, Severity: finding.Info}
	have := f.Host.Limits.NoFile
	out.Note = "open files: " + limits.Text(have.Soft) + ", at most " + limits.Text(have.Hard)
	if _, short := limits.Plan(f.Host.Limits, f.Host.MayRaiseLimits()); short != "" {
		out.Status, out.Note = finding.Disabled, short
		out.Lost = "containers with higher limits than these"
		out.Fix = "raise them outside: LimitNOFILE=1048576 in a systemd unit, ulimits of the outer container"
		if have.Hard < 4096 {
			out.Severity, out.Lost = finding.Degraded, "running more than a few dozen containers"
		}
	}
	return append(list, out)
}
