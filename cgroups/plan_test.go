package cgroups

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	machine   = Habitat{Machine: true}
	container = Habitat{Container: true}
	host      = Habitat{}
)

// Plans that come up more than once. A ! marks what is required.
var (
	freshV2 = []string{
		"!mount cgroup2 at /sys/fs/cgroup with nsdelegate, memory_recursiveprot",
		" switch on every controller of /sys/fs/cgroup for the cgroups below it",
	}
	nested = []string{
		"!move the processes of /sys/fs/cgroup to /sys/fs/cgroup/init and shut it for others",
		" switch on every controller of /sys/fs/cgroup for the cgroups below it",
	}
	reroot   = " enter a cgroup namespace of its own and mount cgroup2 at /sys/fs/cgroup anew"
	unshared = " enter a cgroup namespace of its own"
	enable   = []string{" switch on every controller of /sys/fs/cgroup for the cgroups below it"}
	tmpfs    = "!mount a tmpfs at /sys/fs/cgroup"
)

func v1(names ...string) (list []string) {
	for _, n := range names {
		mark := " "
		if n == "devices" {
			mark = "!"
		}
		list = append(list, mark+"mount the cgroup v1 hierarchy "+n+" at /sys/fs/cgroup/"+strings.TrimPrefix(n, "name="))
		if group := strings.Split(n, ","); len(group) > 1 {
			for _, c := range group {
				list = append(list, " link /sys/fs/cgroup/"+c+" to "+n)
			}
		}
		if n == "memory" {
			list = append(list, useHierarchy)
		}
	}
	return list
}

const useHierarchy = " write 1 to /sys/fs/cgroup/memory/memory.use_hierarchy where the kernel has that file"

func joined(parts ...any) (list []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			list = append(list, p)
		case []string:
			list = append(list, p...)
		}
	}
	return list
}

func without(list []string, drop string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == drop })
}

func TestPlan(t *testing.T) {
	for _, tc := range []struct {
		system  string
		habitat Habitat
		want    Want
		mode    Mode
		actions []string
		// warnings are texts that the warnings contain, one for each.
		warnings []string
		err      error
		errText  string
	}{
		// Nothing is mounted.
		{system: "bare", habitat: machine, actions: freshV2},
		{system: "bare", habitat: machine, want: WantV2, actions: freshV2},
		{system: "bare", habitat: container, actions: joined(freshV2[:1], nested)},
		{system: "bare", habitat: machine, want: WantV1, actions: joined(tmpfs, v1("cpuset", "cpu,cpuacct", "blkio", "memory", "devices", "freezer",
			"net_cls,net_prio", "perf_event", "hugetlb", "pids", "rdma", "misc"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd")},
		{system: "bare", habitat: machine, want: WantHybrid, actions: joined(tmpfs, v1("cpuset", "cpu,cpuacct", "blkio", "memory", "devices", "freezer",
			"net_cls,net_prio", "perf_event", "hugetlb", "pids", "rdma", "misc"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd",
			" mount cgroup2 at /sys/fs/cgroup/unified with nsdelegate, memory_recursiveprot")},
		{system: "bare", habitat: host, err: ErrNothingMounted},
		{system: "bare-6.17", habitat: machine, actions: freshV2},
		{system: "bare-6.17", habitat: machine, want: WantV1, actions: joined(tmpfs, v1("cpu,cpuacct", "blkio", "devices", "freezer", "net_cls,net_prio",
			"perf_event", "hugetlb", "pids", "rdma", "misc"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd"),
			warnings: []string{"controller memory; lost: memory limits and memory statistics of containers; the kernel needs CONFIG_MEMCG, and from Linux 6.11 on CONFIG_MEMCG_V1",
				"controller cpuset; "}},
		{system: "bare-4.9", habitat: machine, actions: joined(tmpfs, v1("cpuset", "cpu,cpuacct", "blkio", "devices", "freezer", "net_cls,net_prio",
			"perf_event", "hugetlb", "pids"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd"),
			warnings: []string{"controller memory; lost: memory limits and memory statistics of containers; it is switched off: boot without cgroup_disable=memory"}},
		{system: "bare-4.9", habitat: machine, want: WantV2, actions: freshV2, warnings: []string{"from before Linux 4.15"}},
		{system: "bare-3.10", habitat: machine, actions: joined(tmpfs, v1("cpuset", "cpu,cpuacct", "blkio", "memory", "devices", "freezer", "net_cls,net_prio",
			"perf_event", "hugetlb"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd"), warnings: []string{"CONFIG_CGROUP_PIDS"}},
		{system: "bare-3.10", habitat: machine, want: WantV2, err: ErrOtherVersion, errText: "does not have cgroup v2"},
		{system: "bare-3.10", habitat: machine, want: WantHybrid, err: ErrOtherVersion, errText: "no cgroup2 for a hybrid"},
		{system: "bare-no-devices", habitat: machine, err: ErrNoController, errText: "devices; lost: the rules that keep containers away from the host's devices; the kernel needs CONFIG_CGROUP_DEVICE"},
		{system: "bare-no-cgroups", habitat: machine, err: ErrNoCgroups, errText: "CONFIG_CGROUPS"},
		{system: "container-none-v1", habitat: container, actions: joined(unshared, tmpfs, without(v1("cpuset", "cpu", "cpuacct", "blkio", "memory", "devices",
			"freezer", "pids"), useHierarchy)), warnings: []string{"controller net_cls,net_prio; lost: class identifiers"}},
		{system: "container-none-v1", habitat: host, err: ErrNothingMounted},
		{system: "container-none-v1", habitat: container, want: WantV2, actions: joined(unshared, freshV2[:1], nested)},
		{system: "container-none-v2", habitat: container, actions: joined(freshV2[:1], nested)},
		{system: "container-none-v2", habitat: container, want: WantV1, err: ErrNoController, errText: "no cgroup v1 hierarchy of the host has the controller devices"},

		// A container with what its runtime mounted.
		{system: "docker-privileged-v2", habitat: container, mode: V2, actions: nested},
		{system: "docker-privileged-v2", habitat: container, want: WantV2, mode: V2, actions: nested},
		{system: "docker-privileged-v2", habitat: container, want: WantV1, mode: V2, err: ErrOtherVersion, errText: "/sys/fs/cgroup: another cgroup version is mounted: it has v2, and v1 is wanted"},
		{system: "docker-privileged-v2", habitat: container, want: WantHybrid, mode: V2, err: ErrOtherVersion},
		{system: "docker-privileged-v2", habitat: host, mode: V2},
		{system: "docker-privileged-v2-again", habitat: container, mode: V2},
		{system: "docker-v2-readonly", habitat: container, mode: V2, err: ErrReadOnly, errText: "--privileged"},
		{system: "docker-v2-readonly", habitat: host, mode: V2, warnings: []string{"/sys/fs/cgroup is mounted read-only"}},
		{system: "docker-v2-threaded", habitat: container, mode: V2, actions: enable, warnings: []string{`of the type "threaded"; lost: memory limits`}},
		{system: "docker-v1", habitat: container, mode: V1},
		{system: "docker-v1", habitat: container, want: WantV1, mode: V1},
		{system: "docker-v1", habitat: container, want: WantV2, mode: V1, err: ErrOtherVersion, errText: "it has v1, and v2 is wanted"},
		{system: "docker-v1", habitat: host, mode: V1},
		{system: "docker-v1-host-root", habitat: container, mode: V1, warnings: []string{"container is in /docker/4c8f0b6a52d1; lost: "}},
		{system: "kubernetes-v2", habitat: container, mode: V2, actions: joined(reroot, nested)},
		{system: "kubernetes-v2-bound", habitat: container, mode: V2, actions: joined(reroot, nested)},
		{system: "container-v2-foreign-mount", habitat: container, mode: V2, actions: joined(reroot, nested)},
		{system: "container-v2-systemd", habitat: container, mode: V2, actions: enable, warnings: []string{"somebody else manages cgroups here: this process is in /system.slice/docker.service"}},

		// Hosts, on which nothing is changed, and hybrids.
		{system: "systemd-v2-host", habitat: host, mode: V2},
		{system: "systemd-v2-host", habitat: host, want: WantV1, mode: V2, err: ErrOtherVersion},
		{system: "systemd-hybrid-host", habitat: host, mode: Hybrid},
		{system: "systemd-hybrid-host", habitat: host, want: WantV1, mode: Hybrid},
		{system: "systemd-hybrid-host", habitat: host, want: WantHybrid, mode: Hybrid},
		{system: "systemd-hybrid-host", habitat: host, want: WantV2, mode: Hybrid, err: ErrOtherVersion},
		{system: "hybrid-vm", habitat: host, mode: Hybrid},
		{system: "hybrid-vm", habitat: container, mode: Hybrid},
		{system: "hybrid-vm", habitat: machine, mode: Hybrid, actions: v1("net_cls,net_prio", "perf_event", "hugetlb")},
		{system: "hybrid-vm", habitat: machine, want: WantV2, mode: Hybrid, err: ErrOtherVersion},

		// Machines on which something is mounted already.
		{system: "machine-v2", habitat: machine, mode: V2, actions: enable},
		{system: "machine-v2", habitat: machine, want: WantV1, mode: V2, actions: joined("!unmount the cgroup2 at /sys/fs/cgroup", tmpfs, v1("cpuset", "cpu,cpuacct",
			"blkio", "memory", "devices", "freezer", "net_cls,net_prio", "perf_event", "hugetlb", "pids", "rdma", "misc"),
			" mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd")},
		{system: "machine-v1-unused", habitat: machine, mode: V1, actions: joined(v1("cpuset", "blkio", "freezer", "net_cls,net_prio", "perf_event", "hugetlb",
			"pids", "rdma", "misc"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd")},
		{system: "machine-v1-unused", habitat: machine, want: WantHybrid, mode: V1, actions: joined(v1("cpuset", "blkio", "freezer", "net_cls,net_prio", "perf_event",
			"hugetlb", "pids", "rdma", "misc"), " mount the cgroup v1 hierarchy name=systemd at /sys/fs/cgroup/systemd",
			" mount cgroup2 at /sys/fs/cgroup/unified with nsdelegate, memory_recursiveprot")},
		{system: "machine-v1-unused", habitat: machine, want: WantV2, mode: V1, actions: joined("!unmount the cgroup at /sys/fs/cgroup/memory",
			"!unmount the cgroup at /sys/fs/cgroup/devices", "!unmount the cgroup at /sys/fs/cgroup/cpu,cpuacct", "!unmount the tmpfs at /sys/fs/cgroup", freshV2)},
		{system: "machine-v1-unused", habitat: container, want: WantV2, mode: V1, err: ErrOtherVersion},
		{system: "machine-v1-unused", habitat: container, mode: V1, warnings: []string{"cpuset", "blkio", "freezer", "pids"}},

		// What is wrong.
		{system: "single-mount", habitat: machine, mode: V1, err: ErrSingleMount},
		{system: "single-mount", habitat: container, mode: V1, err: ErrSingleMount},
		{system: "single-mount", habitat: host, mode: V1, warnings: []string{"all cgroup v1 controllers are in one mount"}},
		{system: "foreign", habitat: machine, err: ErrForeign, errText: "ext4"},
	} {
		name := tc.system + "/" + tc.want.String() + "/"
		switch tc.habitat {
		case machine:
			name += "machine"
		case container:
			name += "container"
		default:
			name += "host"
		}
		t.Run(name, func(t *testing.T) {
			f := observed(t, tc.system)
			if f.Mode != tc.mode {
				t.Errorf("the mode is %v, not %v", f.Mode, tc.mode)
			}
			before := encode(t, f)
			actions, warnings, err := Plan(f, tc.want, tc.habitat)
			if after := encode(t, f); after != before {
				t.Errorf("Plan changed the facts: %s", cmp.Diff(before, after))
			}
			if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Fatalf("the error is %v, not %v", err, tc.err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), tc.errText) {
					t.Errorf("the error %q does not contain %q", err, tc.errText)
				}
				var e *Error
				if !errors.As(err, &e) {
					t.Errorf("the error is of type %T", err)
				}
			}
			if diff := cmp.Diff(tc.actions, lines(actions)); diff != "" {
				t.Error(diff)
			}
			if len(warnings) != len(tc.warnings) {
				t.Fatalf("%d warnings instead of %d: %v", len(warnings), len(tc.warnings), warnings)
			}
			for i, w := range tc.warnings {
				if !strings.Contains(warnings[i].String(), w) {
					t.Errorf("the warning %q does not contain %q", warnings[i], w)
				}
			}
			for _, a := range actions {
				if m := a.Means(); m.Why == "" || m.Lost == "" && !strings.HasPrefix(a.String(), "unmount") {
					t.Errorf("%s does not say what it is for: %+v", a, m)
				}
			}
		})
	}
}

// TestPlanControllersOfMountedV2 is about warnings before anything is done.
func TestPlanControllersOfMountedV2(t *testing.T) {
	f := observed(t, "docker-privileged-v2")
	f.Unified.Controllers = []string{"cpu", "pids"}
	for i, c := range f.Controllers {
		switch c.Name {
		case "memory":
			f.Controllers[i].Enabled = false
		case "blkio":
			f.Controllers[i].Hierarchy = 4
		}
	}
	_, warnings, err := Plan(f, WantAuto, container)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"memory; lost: memory limits and memory statistics of containers; it is switched off: boot without cgroup_disable=memory",
		"io; lost: block I/O weights, limits and statistics of containers; it is in the cgroup v1 hierarchy 4",
		"cpuset; lost: tying containers to CPUs and memory nodes; the kernel needs CONFIG_CPUSETS",
	} {
		if i >= len(warnings) || !strings.Contains(warnings[i].String(), want) {
			t.Errorf("no warning %q in %v", want, warnings)
		}
	}
}

// TestPlanOptions is about kernels that list fewer options of cgroup2.
func TestPlanOptions(t *testing.T) {
	f := observed(t, "bare")
	f.Features = []string{"nsdelegate"}
	actions, warnings, err := Plan(f, WantAuto, machine)
	if err != nil {
		t.Fatal(err)
	}
	if got := actions[0].String(); got != "mount cgroup2 at /sys/fs/cgroup with nsdelegate" {
		t.Error(got)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "memory_recursiveprot") {
		t.Error(warnings)
	}
}

func TestPlanAsJSON(t *testing.T) {
	actions, _, err := Plan(observed(t, "kubernetes-v2"), WantAuto, container)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"target":"/sys/fs/cgroup","leaf":"init","required":false,` +
		`"why":"this container shares the cgroup namespace of its host: it is in /kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8f3b.slice/cri-containerd-77d0.scope",` +
		`"lost":"` + lostOwnRoot + `"},` +
		`{"dir":"/sys/fs/cgroup","leaf":"init","tries":200,"timeout_ms":5000,"required":true,"why":"` + whyEvacuate + `","lost":"` + lostEnable + `"},` +
		`{"dir":"/sys/fs/cgroup","expect":["memory","cpu","pids","io","cpuset"],"nested":true,"required":false,"why":"` + whyEnable + `","lost":"` + lostEnable + `"}]`
	if diff := cmp.Diff(want, encode(t, actions)); diff != "" {
		t.Error(diff)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lines are the actions as the table writes them.
func lines(actions []Action) (list []string) {
	for _, a := range actions {
		mark := " "
		if a.Means().Required {
			mark = "!"
		}
		list = append(list, mark+a.String())
	}
	return list
}
