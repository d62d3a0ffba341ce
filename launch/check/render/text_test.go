package render

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
)

var update = flag.Bool("update", false, "write testdata anew")

// sample is a report with one finding of each kind.
func sample(verdict finding.Conclusion) *check.Report {
	r := &check.Report{
		Verdict:    verdict,
		Kernel:     check.Kernel{Release: "6.12.43", Source: "/boot/config-6.12.43", Complete: true},
		Conditions: check.Conditions{For: "host", Cgroup: "v2", Docker: "26.1.5", Firewall: "nft", DataFS: "ext4"},
	}
	add := func(id string, st finding.Status, se finding.Severity, note, lost, fix string) {
		area, _, _ := strings.Cut(id, ".")
		r.Findings = append(r.Findings, finding.Finding{ID: id, Area: finding.Area(area), Status: st, Severity: se, Note: note, Lost: lost, Fix: fix})
	}
	add("kernel.CONFIG_NET", finding.OK, finding.Fatal, "", "", "")
	add("cgroup.memory", finding.Disabled, finding.Degraded, "the kernel has it, and it was switched off at boot", "docker run --memory, and the memory column of docker stats",
		"add cgroup_enable=memory in GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub and reboot")
	add("kernel.CONFIG_DUMMY", finding.Missing, finding.Info, "", "macvlan without a parent", "build it")
	add("limit.fs.may_detach_mounts", finding.NotApplicable, finding.Info, "this kernel does not have it", "", "")
	if verdict != finding.WithLoss {
		add("program.git", finding.Unknown, finding.Info, "not looked for — naïvely", "", "")
	}
	if verdict == finding.WillFail {
		add("kernel.CONFIG_POSIX_MQUEUE", finding.Unknown, finding.Fatal, "not named", "", "")
		add("kernel.CONFIG_VETH", finding.Missing, finding.Fatal, "", "bridge networking: containers have no interface on bridge or overlay networks", "build the kernel with CONFIG_VETH=m or =y")
		add("program.runc", finding.Missing, finding.Fatal, "runc is missing, Docker uses it to create the containers", "every container", "install runc")
	}
	if verdict == finding.WillRun {
		r.Findings[1] = finding.Finding{ID: "cgroup.memory", Area: finding.Cgroup, Status: finding.OK}
	}
	return r
}

func TestGolden(t *testing.T) {
	for name, test := range map[string]struct {
		verdict finding.Conclusion
		Options
	}{
		"fail": {finding.WillFail, Options{}}, "fail-50": {finding.WillFail, Options{Width: 50}}, "fail-color": {finding.WillFail, Options{Width: 80, Color: true}},
		"fail-verbose": {finding.WillFail, Options{Verbose: true}}, "degraded": {finding.WithLoss, Options{Width: 80}}, "ok": {finding.WillRun, Options{Width: 80}},
		"narrow": {finding.WillFail, Options{Width: 3}},
	} {
		var b strings.Builder
		if err := Text(&b, sample(test.verdict), test.Options); err != nil {
			t.Fatal(err)
		}
		width := test.Width
		if width == 0 {
			width = DefaultWidth
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			// A word that is longer than the line stands on a line of its own.
			if n := columns(line); n > max(width, MinWidth) && strings.Contains(strings.TrimSpace(line), " ") || !utf8.ValidString(line) || strings.HasSuffix(line, " ") {
				t.Errorf("%s: %d columns: %q", name, n, line)
			}
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s is now\n%s\nand was\n%s", name, b.String(), want)
		}
		if strings.Contains(b.String(), "\x1b") != test.Color {
			t.Errorf("%s: colours, or none where there are to be some", name)
		}
	}
}

// TestWorstFirst is about the order: what is fatal comes before what is lost, also across areas.
func TestWorstFirst(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, sample(finding.WillFail), Options{}); err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, words := range []string{"Docker will not run: 2 things", "CONFIG_VETH is missing", "CONFIG_POSIX_MQUEUE", "runc is missing", "memory is disabled", "needed by few: DUMMY"} {
		i := strings.Index(b.String(), words)
		if i <= at {
			t.Errorf("%q comes too early, or not at all:\n%s", words, b.String())
		}
		at = i
	}
}
