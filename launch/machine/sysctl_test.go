package machine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestSysctlName(t *testing.T) {
	for name, want := range map[string]string{
		"vm.max_map_count":                   "vm/max_map_count",
		"vm/max_map_count":                   "vm/max_map_count",
		"net.ipv4.conf.enp3s0/200.rp_filter": "net/ipv4/conf/enp3s0.200/rp_filter",
		"net/ipv4/conf/enp3s0.200/rp_filter": "net/ipv4/conf/enp3s0.200/rp_filter",
		"net.ipv4.conf.*.rp_filter":          "net/ipv4/conf/*/rp_filter",
		"kernel":                             "kernel",
		"":                                   "",
		"../etc/passwd":                      "",
		"a/../b":                             "",
		"/etc/passwd":                        "",
		"a..b":                               "",
		"a b":                                "",
	} {
		got, err := SysctlName(name)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestParseSysctl(t *testing.T) {
	f, err := ParseSysctl(strings.NewReader(`# a comment
; another
 vm.swappiness = 10
-net.core.rmem_max=1
kernel.core_pattern=|/bin/x  a=b 
-net.ipv4.conf.eth0.rp_filter
nonsense
a..b = 1
`), "f")
	want := SysctlFile{
		Settings: []Setting{
			{Name: "vm/swappiness", Value: "10", Source: "f"},
			{Name: "net/core/rmem_max", Value: "1", Source: "f", Optional: true},
			{Name: "kernel/core_pattern", Value: "|/bin/x  a=b", Source: "f"},
		},
		Excluded: []string{"net/ipv4/conf/eth0/rp_filter"},
		Problems: []string{
			`f:7: "nonsense" is neither name = value nor -name`,
			`f:8: "a//b" is no name of a kernel parameter`,
		},
	}
	if diff := cmp.Diff(want, f); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	if _, err := ParseSysctl(strings.NewReader(strings.Repeat("x", maxSysctlLine+1)), "f"); err == nil {
		t.Error("a line without an end was no error")
	}
}

func FuzzParseSysctl(f *testing.F) {
	f.Add("a.b = c\n-d/e\n# x\nnet.ipv4.conf.*.x=1")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseSysctl(strings.NewReader(text), "f")
		if err != nil && len(text) < maxSysctlLine/2 {
			t.Errorf("%q: %v", text, err)
		}
		merged := MergeSysctls(parsed, parsed)
		seen := map[string]bool{}
		for _, s := range merged.Settings {
			if path := filepath.Join("/proc/sys", s.Name); !strings.HasPrefix(path, "/proc/sys/") || seen[s.Name] {
				t.Errorf("%q leads to %s (a second time: %v)", text, path, seen[s.Name])
			}
			seen[s.Name] = true
		}
	})
}

func TestReadSysctls(t *testing.T) {
	dir := t.TempDir()
	etc, run, lib := filepath.Join(dir, "etc"), filepath.Join(dir, "run"), filepath.Join(dir, "lib")
	for path, text := range map[string]string{
		"lib/10-a.conf": "a.x = lib\na.y = lib\n",
		"lib/20-b.conf": "b.x = lib\n",
		"lib/30-c.conf": "c.x = lib\n",
		"lib/40-d.txt":  "d.x = lib\n",
		"run/10-a.conf": "a.x = run\n",
		"etc/20-b.conf": "",
		"etc/90-z.conf": "a.x = etc\nz.* = etc\nz.y = etc\nbad\n",
		"sysctl.conf":   "a.z = last\n",
	} {
		write(t, filepath.Join(dir, path), text, 0o644)
	}
	must(t, os.Symlink("/dev/null", filepath.Join(etc, "30-c.conf")))
	must(t, unix.Mkfifo(filepath.Join(etc, "50-fifo.conf"), 0o644))
	last := filepath.Join(dir, "sysctl.conf")
	values := func(f SysctlFile) string {
		var out []string
		for _, s := range f.Settings {
			out = append(out, s.Name+"="+s.Value)
		}
		return strings.Join(out, " ")
	}
	got := ReadSysctls([]string{etc, run, filepath.Join(dir, "none"), lib}, last)
	if want := "z/*=etc a/x=etc z/y=etc a/z=last"; values(got) != want {
		t.Errorf("settings %q, want %q", values(got), want)
	}
	if len(got.Problems) != 2 || !strings.Contains(got.Problems[0], "50-fifo.conf is no file") || !strings.Contains(got.Problems[1], "90-z.conf:4") {
		t.Errorf("problems: %q", got.Problems)
	}
	// Debian's link to it says at which place it is read.
	must(t, os.Symlink(last, filepath.Join(etc, "05-sysctl.conf")))
	if got := values(ReadSysctls([]string{etc}, last)); got != "z/*=etc a/z=last a/x=etc z/y=etc" {
		t.Errorf("with a link to the last file: %q", got)
	}
}

func TestPlanSysctls(t *testing.T) {
	files := SysctlFile{
		Settings: []Setting{{Name: "vm/max_map_count", Value: "100000", Source: "f"}, {Name: "vm/swappiness", Value: "1", Source: "f"}},
		Problems: []string{"p"},
	}
	words := strings.Fields("printk.devkmsg=off sysctl.vm.swappiness=2 sysctl/kernel/pid_max=5 sysctl.=1 sysctl.a..b=1 sysctlx.y=1 -- sysctl.kernel.x=1")
	plan, problems := PlanSysctls(words, files)
	got := map[string]Setting{}
	for _, s := range plan.Settings {
		got[s.Name] = s
	}
	for name, value := range map[string]string{"vm/max_map_count": "100000", "vm/swappiness": "2", "kernel/pid_max": "5", "kernel/ctrl-alt-del": "0"} {
		if got[name].Value != value || got[name].AtLeast {
			t.Errorf("%s: %+v, want %s", name, got[name], value)
		}
	}
	if _, ok := got["kernel/printk_devkmsg"]; ok || len(got) != len(DockerSysctls())-1+1 || len(problems) != 1 {
		t.Errorf("%d settings, problems %q: %v", len(got), problems, got)
	}
	for _, s := range DockerSysctls() {
		if name, err := SysctlName(s.Name); err != nil || name != s.Name || s.Why == "" {
			t.Errorf("%+v: %q, %v", s, name, err)
		}
	}
}

func TestSysctlsApply(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"a/number": "100\n", "a/high": "100\n", "a/range": "1\t2\n", "c/eth0/x": "0\n", "c/eth1/x": "0\n", "c/lo/x": "0\n",
	} {
		write(t, filepath.Join(root, name), text, 0o644)
	}
	s := Sysctls{Root: root, Excluded: []string{"c/lo/x"}, Settings: []Setting{
		{Name: "c/*/x", Value: "1"},
		{Name: "a/number", Value: "50"},
		{Name: "a/high", Value: "50", AtLeast: true},
		{Name: "a/range", Value: "1 2"},
		{Name: "c/eth1/x", Value: "2"},
		{Name: "not/here", Value: "1", IfThere: true},
		{Name: "not/here/either", Value: "1", Optional: true},
	}}
	for i, want := range []bool{false, true} {
		if kept, err := s.Apply(context.Background()); kept != want || err != nil {
			t.Errorf("Apply %d: kept %v, %v", i, kept, err)
		}
	}
	for name, want := range map[string]string{
		"a/number": "50\n", "a/high": "100\n", "a/range": "1\t2\n", "c/eth0/x": "1\n", "c/eth1/x": "2\n", "c/lo/x": "0\n",
	} {
		// The files are longer than what is written over them, as /proc has no length.
		if got, err := os.ReadFile(filepath.Join(root, name)); !strings.HasPrefix(string(got), want) || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	s.Settings = []Setting{{Name: "missing", Value: "1", Source: "f"}, {Name: "a/number", Value: "60"}}
	kept, err := s.Apply(context.Background())
	if kept || err == nil || !strings.Contains(err.Error(), `missing to "1", as f says`) {
		t.Errorf("a parameter that is missing: kept %v, %v", kept, err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "a/number")); !strings.HasPrefix(string(got), "60\n") {
		t.Errorf("the one after it was not set: %q, %v", got, err)
	}
}

// The kernel's own, where each namespace has them.
func TestSysctlsOfTheKernel(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWPID) {
		return
	}
	s := Sysctls{Settings: []Setting{
		{Name: "net/ipv4/conf/*/rp_filter", Value: "2"},
		{Name: "net/ipv4/conf/lo/rp_filter", Value: "1"},
		{Name: "net/ipv4/ip_local_port_range", Value: "20000 30000"},
		{Name: "kernel/shmmni", Value: "5000", AtLeast: true},
	}}
	for i, want := range []bool{false, true} {
		if kept, err := s.Apply(context.Background()); kept != want || err != nil {
			t.Errorf("Apply %d: kept %v, %v", i, kept, err)
		}
	}
	for name, want := range map[string]string{
		"net/ipv4/conf/default/rp_filter": "2\n", "net/ipv4/conf/lo/rp_filter": "1\n",
		"net/ipv4/ip_local_port_range": "20000\t30000\n", "kernel/shmmni": "5000\n",
	} {
		if got, err := os.ReadFile("/proc/sys/" + name); string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	_, err := Sysctls{Settings: []Setting{{Name: "net/ipv4/ip_local_port_range", Value: "nothing", Source: "f"}}}.Apply(context.Background())
	if err == nil || !strings.Contains(err.Error(), "net.ipv4.ip_local_port_range") {
		t.Errorf("a value that the kernel refuses: %v", err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), mode))
	must(t, os.Chmod(path, mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
