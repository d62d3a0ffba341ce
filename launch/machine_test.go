package launch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// TestMachine boots a real kernel straight into the launcher, with nothing mounted and no module loaded, on the built root
// tree: what is the host's in the other tests is the launcher's work here, with cgroup v2 and modules among it.
func TestMachine(t *testing.T) {
	k := vm.KernelNamed(t, "6.12")
	m := vm.Start(t, vm.Options{
		Kernel: k, Memory: 4000, Limit: 5 * time.Minute,
		Init: launcher(t),
		Trees: []vm.Tree{
			{Path: "/", From: rootfs(t)},
			// Where the tree's /lib leads: the kernel unpacks an initramfs in order, and a link must not come before its goal.
			{Path: "/usr/lib/modules/" + k.Release, From: k.Modules},
		},
		Files: []vm.File{
			{Path: "/opt/dockerd", From: program(t, "testdata/driver"), Mode: 0o755},
			{Path: "/probe", From: program(t, "testdata/probe"), Mode: 0o755},
		},
		// What the kernel does not know itself it hands to PID 1.
		Cmdline: []string{"--", "/opt/dockerd", "-s", "overlay2", "--iptables=true"},
	})
	if err := m.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, m.Console())
	}
	said := map[string][]string{}
	for line := range strings.Lines(m.Console()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "DRIVER "); ok {
			what, text, _ := strings.Cut(rest, ": ")
			said[what] = append(said[what], text)
		}
	}
	want := func(what, text string) {
		t.Helper()
		if !slices.ContainsFunc(said[what], func(line string) bool { return strings.Contains(line, text) }) {
			t.Errorf("%s does not say %q: %q", what, text, said[what])
		}
	}
	want("pid", "1")
	for _, mounted := range []string{
		" /proc ", " /sys ", " /dev ", " /run ", " /dev/pts ", " /dev/shm ", " /dev/mqueue ", " /sys/kernel/security ", " /sys/fs/bpf ",
		" /sys/fs/cgroup ", "nsdelegate", "memory_recursiveprot",
	} {
		want("/proc/self/mountinfo", mounted)
	}
	for _, controller := range []string{"memory", "pids", "cpu", "io", "cpuset"} {
		want("/sys/fs/cgroup/cgroup.subtree_control", controller)
	}
	for _, module := range []string{"overlay ", "bridge ", "br_netfilter ", "veth ", "nf_nat ", "xt_MASQUERADE ", "nf_tables ", "nft_compat "} {
		want("/proc/modules", module)
	}
	want("info", "cgroup v2 cgroupfs overlay2")
	want("run", "33554432")
	if len(said["error"]) > 0 || len(said["end"]) == 0 {
		t.Errorf("errors: %q\n%s", said["error"], m.Console())
	}
}
