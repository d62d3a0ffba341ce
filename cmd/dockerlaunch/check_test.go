package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/preflight"
	"golang.org/x/sys/unix"
)

// fixtures are small configurations, made by hand.
const fixtures = "../../launch/kconfig/testdata/"

// checkOf runs the verb and returns its exit status and output.
func checkOf(args ...string) (status int, stdout, stderr string) {
	var out, problems bytes.Buffer
	status = run(append([]string{verbCheck}, args...), &out, &problems)
	return status, out.String(), problems.String()
}

// reportOf is the report that the verb prints as JSON.
func reportOf(t *testing.T, status int, args ...string) check.Report {
	t.Helper()
	got, out, problems := checkOf(append([]string{"--json"}, args...)...)
	if got != status {
		t.Errorf("check %q: exit status %d, want %d: %s%s", args, got, status, problems, bad(out))
	}
	var r check.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("check %q: %v: %s%s", args, err, out, problems)
	}
	return r
}

// bad are the findings of a report that lose something.
func bad(report string) string {
	var r check.Report
	if json.Unmarshal([]byte(report), &r) != nil {
		return report
	}
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Bad() && f.Severity != finding.Info {
			b.WriteString("\n" + f.ID + ": " + f.Sentence())
		}
	}
	return b.String()
}

func findingOf(t *testing.T, r check.Report, id string) finding.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.ID == id {
			return f
		}
	}
	t.Errorf("there is no finding %s", id)
	return finding.Finding{}
}

// fakeTree is a root tree with stand-ins for all that Docker needs, whose iptables is of a variant.
func fakeTree(t *testing.T, variant string) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range preflight.Table() {
		switch {
		case r.Name == "ca-certificates":
			data, err := os.ReadFile(hostBundle(t))
			if err != nil {
				t.Fatal(err)
			}
			write(preflight.CABundle, string(data), 0o644)
		case len(r.Files) > 0:
			write(r.Files[0], "x", 0o755)
		case r.Name != "iptables":
			write("usr/bin/"+r.Name, "x", 0o755)
		}
	}
	write("usr/bin/dockerd", "x", 0o755)
	write("usr/sbin/xtables-"+variant+"-multi", "x", 0o755)
	for link, goal := range map[string]string{
		"usr/sbin/iptables": "/etc/alternatives/iptables", "etc/alternatives/iptables": "/usr/sbin/iptables-" + variant,
		"usr/sbin/iptables-" + variant: "xtables-" + variant + "-multi", "sbin": "usr/sbin",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(goal, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func hostBundle(t *testing.T) string {
	t.Helper()
	for _, name := range preflight.CABundles {
		if preflight.FileExists(name) {
			return "/" + name
		}
	}
	testenv.Missing(t, "no CA certificates are installed here")
	return ""
}

func TestCheckVerdicts(t *testing.T) {
	nft, legacy, alone := fakeTree(t, "nft"), fakeTree(t, "legacy"), fakeTree(t, "nft")
	if err := os.Remove(filepath.Join(alone, "usr/bin/containerd")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args    string
		verdict finding.Conclusion
		words   string // of what is fatal
	}{
		{"--kernel-config 6.17-nft-only.config", finding.WillRun, ""},
		{"--kernel-config 6.17-nft-only.config --root " + nft, finding.WillRun, ""},
		{"--kernel-config 6.17-nft-only.config --root " + legacy, finding.WillFail, "iptables-nft"},
		{"--kernel-config 6.17-nft-only.config --root " + legacy + " -- --iptables=false", finding.WillRun, ""},
		{"--kernel-config 6.17-nft-only.config --root " + alone, finding.WillFail, "containerd is missing"},
		{"--kernel-config 6.17-nft-only.config --root " + alone + " -- --containerd /run/containerd/containerd.sock", finding.WillRun, ""},
		{"--kernel-config 6.17-nft-only.config --root " + alone + " --docker-version 29.7.0 -- --feature embedded-containerd", finding.WillRun, ""},
		{"--kernel-config 6.17-nft-only.config --cgroup v1", finding.WithLoss, ""},
		{"--kernel-config 6.18-no-cgroup-v1.config --cgroup v2", finding.WillRun, ""},
		{"--kernel-config 6.18-no-cgroup-v1.config --cgroup v1", finding.WillFail, "device"},
		{"--kernel-config 6.12-no-veth.config", finding.WillFail, "bridge networking"},
		{"--kernel-config 6.12-no-veth.config -- --bridge=none", finding.WillRun, ""},
		{"--kernel-config 3.5.config --docker-version 1.11.0", finding.WillFail, "#407"},
		{"--kernel-config 2.6.32.config --docker-version 1.7.1 -- -s devicemapper", finding.WillFail, "#407"},
		{"--kernel-config docker.fragment", finding.WithLoss, ""},
	} {
		args := strings.Fields(test.args)
		args[1] = fixtures + args[1]
		status := 0
		if test.verdict == finding.WillFail {
			status = 1
		}
		r := reportOf(t, status, args...)
		if r.Verdict != test.verdict {
			t.Errorf("%s: %s, want %s", test.args, r.Verdict, test.verdict)
		}
		found := test.words == ""
		for _, f := range r.Findings {
			fatal := f.Bad() && f.Severity == finding.Fatal
			if found = found || fatal && strings.Contains(f.Sentence(), test.words); fatal && test.verdict != finding.WillFail {
				t.Errorf("%s: %s", test.args, f.Sentence())
			}
			if strings.HasSuffix(args[1], ".fragment") && f.Status == finding.Missing && f.Severity != finding.Info {
				t.Errorf("%s: of a fragment %s is called missing", test.args, f.ID)
			}
		}
		if !found {
			t.Errorf("%s: nothing that is fatal says %q", test.args, test.words)
		}
	}
}

func TestCheckDebian(t *testing.T) {
	for _, name := range []string{"6.1", "6.12"} {
		k := vm.KernelNamed(t, name)
		file := filepath.Join(filepath.Dir(k.Image), "boot/config-"+k.Release)
		r := reportOf(t, 0, "--kernel-config", file)
		if r.Verdict != finding.WillRun || !r.Kernel.Complete || !strings.HasPrefix(r.Kernel.Release, name) {
			t.Errorf("%s: %s, %+v", name, r.Verdict, r.Kernel)
		}
		// The same kernel, found in a tree with its modules and without any program.
		r = reportOf(t, 1, "--root", filepath.Dir(k.Image))
		if r.Conditions.For != "machine" || !strings.HasPrefix(r.Kernel.Release, name) {
			t.Errorf("%+v, %+v", r.Conditions, r.Kernel)
		}
		for _, f := range r.Findings {
			if f.Area == finding.Kernel && f.Bad() && f.Severity != finding.Info {
				t.Errorf("%s: %s", name, f.Sentence())
			}
			if f.ID == "kernel.CONFIG_VETH" && (f.Status != finding.OK || f.Note != "module veth") {
				t.Errorf("%s: the module veth is in the tree, and was not seen: %+v", name, f)
			}
		}
	}
}

// TestCheckRoot judges the tree that `make rootfs` makes.
func TestCheckRoot(t *testing.T) {
	const root = "../../build/rootfs"
	if _, err := os.Stat(root); err != nil {
		testenv.Missing(t, "there is no build/rootfs; make rootfs makes it")
	}
	config := fixtures + "6.17-nft-only.config"
	r := reportOf(t, 0, "--root", root, "--kernel-config", config)
	if r.Conditions.Firewall != "nft" {
		t.Errorf("its iptables is of the nft variant, and not %s", r.Conditions.Firewall)
	}
	for _, f := range r.Findings {
		if f.Area == finding.Program && f.Bad() && f.Severity != finding.Info {
			t.Errorf("%s: %s", f.ID, f.Sentence())
		}
	}
	if f := findingOf(t, r, "program.ca-certificates-valid"); f.Status != finding.OK || !strings.Contains(f.Note, " of 1") {
		t.Errorf("its CA bundle: %+v", f)
	}
}

// TestCheckHere judges the system that runs; what comes out depends on it, but not that it comes out.
func TestCheckHere(t *testing.T) {
	status, out, problems := checkOf("--json", "--data-root", t.TempDir())
	if status > 1 || problems != "" {
		t.Fatalf("exit status %d: %s", status, problems)
	}
	conforms(t, out)
	var r check.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	series := strings.Join(strings.Split(unix.ByteSliceToString(uts.Release[:]), ".")[:2], ".")
	if !strings.HasPrefix(r.Kernel.Release, series) {
		t.Errorf("kernel %+v, and uname says %s", r.Kernel, series)
	}
	if r.Verdict == finding.WillFail != (status == 1) {
		t.Errorf("verdict %s with exit status %d", r.Verdict, status)
	}
	if f := findingOf(t, r, "program.dockerd"); f.Bad() && (status != 1 || f.Severity != finding.Fatal) {
		t.Errorf("without a daemon: %d, %+v", status, f)
	}
	for _, id := range []string{"kernel.namespace.net", "cgroup.mode", "storage.driver", "limit.kernel.keys.root_maxkeys", "security.seccomp"} {
		findingOf(t, r, id)
	}
	if os.Geteuid() == 0 {
		if f := findingOf(t, r, "storage.overlay"); f.Status == finding.Unknown {
			t.Errorf("as root, in a folder that is writable, overlay was not tried: %+v", f)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	garbage := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(garbage) //nolint:gosec // any garbage will do, and the same each time
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 1024 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := file("plain", []byte("text\n"))
	for _, test := range []struct {
		args  []string
		words string
	}{
		{[]string{"--kernel-config", file("garbage", garbage)}, "garbage"},
		{[]string{"--kernel-config", file("bomb", bomb.Bytes())}, "too large"},
		{[]string{"--kernel-config", dir}, "not a regular file"},
		{[]string{"--kernel-config", fifo}, "not a regular file"},
		{[]string{"--kernel-config", "/dev/zero"}, "not a regular file"},
		{[]string{"--kernel-config", plain}, "not the configuration of a Linux kernel"},
		{[]string{"--kernel-config", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"--kernel-config", ""}, "needs a value"},
		{[]string{"--root", plain}, "no folder"},
		{[]string{"--root", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"--data-root", plain}, "is to be a folder"},
		{[]string{"--for", "spaceship"}, "machine, container, host"},
		{[]string{"--cgroup", "v3"}, "v3"},
		{[]string{"--docker-version", "new"}, "new"},
		{[]string{"--jsn"}, "--jsn"},
		{[]string{"--explain", "CONFIG_VETHH"}, "VETH"},
		{[]string{"docker", "run"}, "run"},
	} {
		begin := time.Now()
		status, out, problems := checkOf(test.args...)
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%q took %v", test.args, took)
		}
		if status != 2 || out != "" || !strings.Contains(problems, test.words) || !strings.HasPrefix(problems, "dockerlaunch check: ") {
			t.Errorf("%q: exit status %d, output %q, message %q, want words %q", test.args, status, out, problems, test.words)
		}
	}
}

func TestCheckExplainsAndMends(t *testing.T) {
	for _, name := range []string{"CONFIG_VETH", "veth"} {
		if status, out, problems := checkOf("--explain", name); status != 0 || !strings.Contains(out, "bridge networking") {
			t.Errorf("%s: %d, %s%s", name, status, out, problems)
		}
	}
	if status, out, problems := checkOf("--kernel-config", fixtures+"6.12-no-veth.config", "--fragment"); status != 0 || !strings.Contains(out, "CONFIG_VETH=m\n") {
		t.Errorf("%d, %s%s", status, out, problems)
	}
	if status, out, _ := checkOf("--help"); status != 0 || !strings.Contains(out, "--kernel-config") {
		t.Errorf("--help: %d, %s", status, out)
	}
	if !strings.Contains(helpText(), "dockerlaunch check") {
		t.Error("the help does not name the verb")
	}
}

// TestCheckText is the report for people: no colours and lines that end somewhere where it goes to no terminal.
func TestCheckText(t *testing.T) {
	status, out, problems := checkOf("--kernel-config", fixtures+"6.12-no-veth.config")
	lines := strings.Split(out, "\n")
	if status != 1 || problems != "" || !strings.HasPrefix(lines[0], "Docker will not run: ") || strings.Contains(out, "\x1b") {
		t.Errorf("%d: %s%s", status, out, problems)
	}
	for _, words := range []string{"CONFIG_VETH is missing", "bridge networking", "CONFIG_VETH=m"} {
		if !strings.Contains(out, words) {
			t.Errorf("nothing says %q: %s", words, out)
		}
	}
	if len(lines) > 40 {
		t.Errorf("%d lines are more than one look", len(lines))
	}
	if _, all, _ := checkOf("--kernel-config", fixtures+"6.12-no-veth.config", "--verbose"); strings.Count(all, "\n") < 200 {
		t.Error("--verbose does not show all")
	}
}
