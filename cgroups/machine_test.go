package cgroups

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	oci "github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs2"
	"golang.org/x/sys/unix"
)

const (
	// machineVar says that the test runs on a machine of its own on which nothing but /proc, /sys and /dev is mounted.
	machineVar = "DOCKERLAUNCH_TEST_MACHINE"
	// versionVar chooses between v1 and v2, which one boot cannot both start from nothing.
	versionVar = "DOCKERLAUNCH_TEST_CGROUP"
)

// TestBareMachine begins where the kernel leaves a machine. It is for virtual machines: it makes hierarchies that stay.
func TestBareMachine(t *testing.T) {
	if os.Getenv(machineVar) != "1" {
		t.Skipf("not on a bare machine (%s is not 1)", machineVar)
	}
	if dir, ok := insideBox(t); ok {
		evacuateInside(t, dir)
		return
	}
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if f.Mode != None || len(f.Mounts) != 0 || !f.InitialNamespace() {
		t.Fatalf("this machine is not bare: %+v", f)
	}
	switch version := os.Getenv(versionVar); version {
	case "v2":
		bareV2(t)
	case "v1":
		bareV1(t)
	default:
		t.Fatalf("%s is %q, not v1 or v2", versionVar, version)
	}
}

func bareV2(t *testing.T) {
	actions, warnings := plan(t, WantAuto, machine)
	if kept := apply(t, actions, nil); kept != 0 || len(warnings) != 0 {
		t.Errorf("%d actions were kept, and the warnings are %v", kept, warnings)
	}
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if f.Mode != V2 || !f.OwnRoot(DefaultLeaf) || !slices.Equal(f.Unified.SubtreeControl, f.Unified.Controllers) {
		t.Errorf("after all: %+v", f)
	}
	for _, c := range []string{"cpu", "cpuset", "io", "memory", "pids"} {
		if !slices.Contains(f.Unified.SubtreeControl, c) {
			t.Errorf("%s is not on", c)
		}
	}
	m, err := mountedAt(DefaultRoot)
	must(t, "reading", err)
	if m.Options != "rw,nosuid,nodev,noexec,relatime" || !strings.Contains(m.VFSOptions, "nsdelegate") || !strings.Contains(m.VFSOptions, "memory_recursiveprot") {
		t.Errorf("mounted is %+v", m)
	}
	if kept := apply(t, actions, nil); kept != len(actions) {
		t.Errorf("again, %d of %d actions were kept", kept, len(actions))
	}

	limited := newGroup(t, DefaultRoot)
	write(t, "33554432", limited, "memory.max")
	if _, err := os.Stat(filepath.Join(limited, "memory.swap.max")); err == nil {
		write(t, "0", limited, "memory.swap.max")
	}
	eatAndDie(t, limited)
	if got := read(t, limited, "memory.max"); got != "33554432" {
		t.Errorf("the limit reads %s", got)
	}
	if events := read(t, limited, "memory.events"); !strings.Contains(events, "oom_kill 1") {
		t.Errorf("memory.events says %q", events)
	}

	few := newGroup(t, DefaultRoot)
	write(t, "1", few, "pids.max")
	// A Go program needs threads, which count.
	if err := helperCommand(t, "exit", few).Run(); err == nil {
		t.Error("a program with threads ran where one is allowed")
	}
	if events := read(t, few, "pids.events"); strings.Contains(events, "max 0") {
		t.Errorf("pids.events says %q", events)
	}

	runtimeManager(t)
	box := newBox(t)
	runInBox(t, box, unix.CLONE_NEWPID)

	// With a cgroup of somebody's it is in use, and not to be exchanged.
	if f, err = Observe(Paths{}); err != nil {
		t.Fatal(err)
	}
	_, _, err = Plan(f, WantV1, machine)
	if !errors.Is(err, ErrOtherVersion) {
		t.Errorf("v1 instead: %v", err)
	}
}

// runtimeManager makes a container's cgroup as the OCI runtimes do it.
func runtimeManager(t *testing.T) {
	dir := filepath.Join(newGroup(t, DefaultRoot), "container")
	limit := int64(100)
	config := &oci.Cgroup{Resources: &oci.Resources{Memory: 64 << 20, PidsLimit: &limit, CpuQuota: 50_000, CpuPeriod: 100_000, SkipDevices: true}}
	manager, err := fs2.NewManager(config, dir)
	must(t, "making a manager", err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperVar + "=wait"}
	must(t, "starting", cmd.Start())
	defer stop(cmd)
	must(t, "putting a process into the container's cgroup", manager.Apply(cmd.Process.Pid))
	must(t, "setting limits", manager.Set(config.Resources))
	for file, want := range map[string]string{"memory.max": "67108864", "pids.max": "100", "cpu.max": "50000 100000", "cgroup.procs": strconv.Itoa(cmd.Process.Pid)} {
		if got := read(t, dir, file); got != want {
			t.Errorf("%s is %q, not %q", file, got, want)
		}
	}
}

// eatAndDie runs a process in a cgroup that takes more memory than it may.
func eatAndDie(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperVar + "=eat"}
	begin, err := cmd.StdinPipe()
	must(t, "making a pipe", err)
	must(t, "starting", cmd.Start())
	must(t, "moving", movePID(dir, cmd.Process.Pid))
	must(t, "telling it to begin", begin.Close())
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("a process that took more memory than it may ended with: %v", err)
	}
}

func bareV1(t *testing.T) {
	actions, _ := plan(t, WantV1, machine)
	// Debian's kernels from 6.12 on are built without CONFIG_MEMCG_V1 and CONFIG_CPUSETS_V1, and list both all the same.
	lacking := func(a Action, err error) bool {
		m, ok := a.(MountV1)
		if ok && errors.Is(err, ErrNoController) && knowV1(m.Controllers[0]).optionV1 != "" {
			checkError(t, err, knowV1(m.Controllers[0]).optionV1)
			return true
		}
		return false
	}
	if kept := apply(t, actions, lacking); kept > 1 {
		// memory.use_hierarchy may be 1 already.
		t.Errorf("%d actions were kept", kept)
	}
	f, err := Observe(Paths{})
	must(t, "observing", err)
	if f.Mode != V1 {
		t.Errorf("the mode is %v", f.Mode)
	}
	for _, c := range f.Controllers {
		m, ok := f.mounted(c.Name)
		if !ok && knowV1(c.Name).optionV1 != "" {
			continue
		}
		if !c.Enabled || !ok || m.Root != "/" || c.Hierarchy == 0 {
			t.Errorf("%+v is mounted as %+v", c, m)
		}
	}
	for _, c := range []string{"cpu", "cpuacct", "cpu,cpuacct", "blkio", "devices", "freezer", "pids", "systemd"} {
		if _, err := os.Stat(filepath.Join(DefaultRoot, c, "cgroup.procs")); err != nil {
			t.Errorf("%s is missing: %v", c, err)
		}
	}
	if to, err := os.Readlink(DefaultRoot + "/cpu"); err != nil || to != "cpu,cpuacct" {
		t.Errorf("cpu leads to %s: %v", to, err)
	}
	for _, a := range actions {
		if kept, err := a.Apply(t.Context()); !kept && !lacking(a, err) || kept && err != nil {
			t.Errorf("%s, again: kept is %v: %v", a, kept, err)
		}
	}
	again, _ := plan(t, WantAuto, machine)
	for _, a := range again {
		if _, err := a.Apply(t.Context()); !lacking(a, err) {
			t.Errorf("still to do: %s", a)
		}
	}

	few := newGroup(t, DefaultRoot+"/pids")
	write(t, "7", few, "pids.max")
	if got := read(t, few, "pids.max"); got != "7" {
		t.Errorf("the limit reads %s", got)
	}
	// While these are there, it cannot become v2.
	in, err := Observe(Paths{})
	must(t, "observing", err)
	if _, _, err := Plan(in, WantV2, machine); !errors.Is(err, ErrOtherVersion) {
		t.Errorf("v2 instead: %v", err)
	}
	remove(t, few)

	actions, _ = plan(t, WantHybrid, machine)
	apply(t, actions, lacking)
	if f, err = Observe(Paths{}); err != nil || f.Mode != Hybrid || len(actions) != 1+len(again) {
		t.Errorf("hybrid: %v, %v, %v", f.Mode, lines(actions), err)
	}

	// Nobody uses anything, so it can be v2 as well, and v1 again.
	actions, _ = plan(t, WantV2, machine)
	apply(t, actions, nil)
	if f, err = Observe(Paths{}); err != nil || f.Mode != V2 || !slices.Contains(f.Unified.SubtreeControl, "memory") {
		t.Errorf("exchanged for v2: %+v, %v", f, err)
	}
	actions, _ = plan(t, WantV1, machine)
	apply(t, actions, lacking)
	if f, err = Observe(Paths{}); err != nil || f.Mode != V1 {
		t.Errorf("exchanged for v1: %+v, %v", f, err)
	}
	// This comes last: a hierarchy whose memory was in use can outlive its unmounting.
	if _, ok := f.mounted("memory"); ok {
		limited := newGroup(t, DefaultRoot+"/memory")
		write(t, "33554432", limited, "memory.limit_in_bytes")
		if got := read(t, limited, "memory.limit_in_bytes"); got != "33554432" {
			t.Errorf("the limit reads %s", got)
		}
		if got := read(t, DefaultRoot, "memory/memory.use_hierarchy"); got != "1" {
			t.Errorf("memory.use_hierarchy is %s", got)
		}
		eatAndDie(t, limited)
		remove(t, limited)
	}
}
