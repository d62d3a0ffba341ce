package check

import (
	"strconv"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/limits"
)

// sysctl is a value below /proc/sys that has to be at least so large.
type sysctl struct {
	name            string // as sysctl(8) writes it
	atLeast, advise int
	severity, lost  string
}

// sysctls are the values with the kernel's own defaults as the least. root_maxkeys is what both Docker's and k3s's checks look
// at: each container takes a key.
var sysctls = [...]sysctl{
	{"kernel.keys.root_maxkeys", 10001, 1000000, lossy, "more than some 10000 containers: each takes a key of root's"},
	{"kernel.keys.root_maxbytes", 250025, 25000000, slightly, "more than some 10000 containers: root's keys have no room"},
	{"fs.inotify.max_user_instances", 128, 512, slightly, "watching files in many containers at once: they share the limit"},
	{"fs.inotify.max_user_watches", 8192, 524288, slightly, "watching large folders in containers"},
	{"kernel.pid_max", 32768, 4194304, slightly, "many processes at once: containers share the numbers"},
	{"fs.nr_open", limits.NoFile, limits.NoFile, slightly, "the limit of open files that Docker's own unit asks for"},
	// Of Red Hat's kernel 3.10.
	{"fs.may_detach_mounts", 1, 1, lossy, "removing containers whose mounts are seen elsewhere (\"device or resource busy\")"},
}

func (b *book) limits(f *Facts) {
	for i := range sysctls {
		s := &sysctls[i]
		text, known := f.Sysctl[s.name]
		n, err := strconv.Atoi(text)
		switch {
		case !known:
			b.add("limit."+s.name, needless, "this kernel does not have it, or /proc/sys does not show it", "", "")
		case err == nil && n < s.atLeast:
			b.add("limit."+s.name, off(finding.Severity(s.severity)), "it is "+text+", and less than "+strconv.Itoa(s.atLeast), s.lost,
				"sysctl -w "+s.name+"="+strconv.Itoa(s.advise))
		default: // one that is too large for an int is large enough
			b.add("limit."+s.name, ok, text, "", "")
		}
	}
	how, note := ok, "open files: at most "+limits.Text(f.Host.Limits.NoFile.Hard)
	if _, short := limits.Plan(f.Host.Limits, f.Host.MayRaiseLimits()); short != "" {
		how, note = offMinor, short
		if f.Host.Limits.NoFile.Hard < 4096 {
			how = offLost
		}
	}
	b.add("limit.nofile", how, note, "containers with higher limits than these, and with few open files many containers at once",
		"raise them outside: LimitNOFILE=1048576 in a systemd unit, --ulimit nofile= for a container")
}
