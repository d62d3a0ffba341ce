package kconfig

import (
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

// bug is a fault of some kernel releases that containers bring to light.
type bug struct {
	id       string
	severity weight
	when     cond
	// from and to are the first and the last series that have it; fixed are releases from which on their series does not.
	from, to series
	fixed    []Release
	lost     string
	fix      string
}

// bugs names what is known (moby's issue tracker, Launchpad, and the kernel requirements in Docker's first documentation).
var bugs = [...]bug{
	{id: "lxc", severity: fatally, to: 2_6_31,
		lost: "containers: namespaces and cgroups before 2.6.32 are not fit for them", fix: "use a newer kernel"},
	{id: "launchpad-720095", severity: degrading, from: 2_6_32, to: 2_6_32,
		lost: "a safe end of network namespaces: the kernel can be brought down by making and removing many (Launchpad 720095)", fix: "use a newer kernel"},
	{id: "moby-407", severity: fatally, to: 3_1,
		lost: "stability: kernels before 3.8 are known to crash under containers (moby issue #407)", fix: "use kernel 3.8 or later, better a current one"},
	{id: "moby-407", severity: fatally, from: 3_2, to: 3_5,
		lost: "stability: these kernels crash under containers, and can be made to (moby issue #407)", fix: "use kernel 3.8 or later, better a current one"},
	{id: "moby-407", severity: fatally, from: 3_6, to: 3_7,
		lost: "stability: kernels before 3.8 are known to crash under containers (moby issue #407)", fix: "use kernel 3.8 or later, better a current one"},
	{id: "moby-2960", severity: degrading, from: 3_8, to: 3_15, fixed: []Release{{3, 12, 25}, {3, 14, 12}, {3, 15, 5}},
		lost: "stability: the kernel may panic when a container ends (moby issue #2960)", fix: "use 3.15.5, 3.14.12, 3.12.25 or anything later than 3.15"},
	{id: "moby-39475", severity: degrading, when: ifOverlay, from: 5_2, to: 5_2,
		lost: "clean unmounting of overlayfs: containers may not be removable (moby issue #39475)", fix: "use kernel 5.3 or later"},
	{id: "bpf-revision", severity: informing, when: ifV2, from: 6_17, to: 7_1,
		lost: "device rules of containers, with a runc that does not work around a bug of bpf(2) in this kernel", fix: "use a current runc, or kernel 7.2 or later"},
}

// JudgeRelease returns the findings about the release of the running kernel that Judge has too, without its configuration. It does
// not look at the system.
func JudgeRelease(conditions Conditions) []finding.Finding {
	return newJudgement(nil, conditions, nil).releases()
}

// releases are the findings about the kernel's release: whether it is new enough, for cgroup v2 and overlay2 too, and
// its known bugs.
func (j *judgement) releases() []finding.Finding {
	if j.r == newest {
		return []finding.Finding{{ID: "kernel.release", Area: finding.Kernel, Status: finding.Unknown, Severity: degraded,
			Lost: "the verdict on what depends on the release", Note: "neither the configuration nor a running kernel says it"}}
	}
	bad := func(id string, severity finding.Severity, lost, fix string) finding.Finding {
		return finding.Finding{ID: "kernel." + id, Area: finding.Kernel, Status: finding.Missing, Severity: severity, Lost: lost, Fix: fix,
			Note: "the kernel is " + j.text}
	}
	release := finding.Finding{ID: "kernel.release", Area: finding.Kernel, Status: finding.OK, Severity: fatal}
	switch {
	case j.r.before(3_4):
		release = bad("release", fatal, "Docker: from 1.11 on it needs PR_SET_CHILD_SUBREAPER of kernel 3.4, and it asks for 3.10", "use kernel 3.10 or later")
	case j.r.before(3_10):
		release = bad("release", fatal, "Docker: dockerd refused kernels before 3.10 up to Docker 20.10, and is not made for them since", "use kernel 3.10 or later")
	}
	findings := []finding.Finding{release}
	if j.Cgroup == CgroupV2 && j.dockerBefore(20, 10) {
		f := bad("cgroup2.docker", fatal, "every container", "boot with cgroup v1, or use Docker 20.10 or later")
		f.Status = finding.Disabled
		f.Note += ", with cgroup v2, which Docker " + j.Docker + " does not know: that came with 20.10"
		findings = append(findings, f)
	}
	if j.Cgroup == CgroupV2 {
		switch {
		case j.r.before(4_15):
			findings = append(findings, bad("cgroup2", fatal, "containers: cgroup v2 cannot control devices before 4.15", "boot with cgroup v1, or use kernel 5.2 or later"))
		case j.r.before(5_2):
			findings = append(findings, bad("cgroup2", degraded, "docker pause: cgroup v2 cannot freeze before 5.2", "boot with cgroup v1, or use kernel 5.2 or later"))
		}
	}
	if overlay, _ := j.hold(ifOverlay); overlay && j.On("OVERLAY_FS") && j.r.before(4_0) && !j.redHat7() {
		findings = append(findings, bad("overlay2", degraded, "overlay2: it needs kernel 4.0, or RHEL's 3.10.0-514; dockerd falls back to vfs, a full copy for every layer", "use kernel 4.0 or later"))
	}
	for _, b := range bugs {
		if j.r.before(b.from) || j.r.after(b.to) || isFixed(j.r, b.fixed) {
			continue
		}
		if holds, _ := j.hold(b.when); !holds {
			continue
		}
		f := bad("bug."+b.id, b.severity.severity(), b.lost, b.fix)
		if f.Severity == degraded && strings.Contains(j.text, ".el") {
			f.Severity, f.Note = info, f.Note+", whose vendor may have mended it"
		}
		findings = append(findings, f)
	}
	return findings
}

// isFixed tells whether a release has a fix that came to its own series later than the series.
func isFixed(r Release, fixed []Release) bool {
	for _, f := range fixed {
		if f.series() == r.series() && r.Compare(f) >= 0 {
			return true
		}
	}
	return false
}

// redHat7 tells whether this is RHEL 7's kernel, or a rebuild of it, since overlay2 was made to work there.
func (j *judgement) redHat7() bool {
	build, ok := strings.CutPrefix(j.text, "3.10.0-")
	n, digits := 0, 0
	for digits < len(build) && digits < 6 && build[digits] >= '0' && build[digits] <= '9' {
		n, digits = n*10+int(build[digits]-'0'), digits+1
	}
	return ok && n >= 514 && strings.Contains(build, ".el7")
}
