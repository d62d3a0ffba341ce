package vm

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/mounts"
)

// The packages that prepare a system meet real kernels as they boot: nothing mounted, no device node but the console, no
// module loaded. The mounts come first and the control groups stand on them, as in a launch; one boot for each kernel and
// each way to have control groups.
func TestBareMachines(t *testing.T) {
	for _, kernel := range []string{"6.1", "6.12"} {
		for _, cgroup := range []string{"v1", "v2"} {
			t.Run(kernel+"/"+cgroup, func(t *testing.T) {
				test := func(pkg, name string) Command {
					return Command{
						Test: pkg, Args: []string{"-test.v", "-test.run=^" + name + "$"}, Limit: 2 * time.Minute,
						Env: []string{"DOCKERLAUNCH_TEST_CGROUP=" + cgroup},
					}
				}
				// All other tests of the package too: on a host with one version of cgroups, those of the other skip.
				rest := test("./cgroups", ".*")
				rest.Args = append(rest.Args, "-test.skip=^TestBareMachine$")
				results := Run(t, Options{
					Kernel:   KernelNamed(t, kernel),
					Commands: []Command{test("./internal/vm", "TestMountsInMachine"), test("./cgroups", "TestBareMachine"), rest},
				})
				results[0].CheckTest(t, "TestMountsInMachine")
				results[1].CheckTest(t, "TestBareMachine")
				results[2].CheckTest(t, map[string][]string{
					"v1": {"TestV1FromNone", "TestV1Wrong", "TestUnmountBusy"},
					"v2": {"TestEvacuate", "TestEvacuateRace", "TestEvacuateBound", "TestReroot", "TestEnableControllersNames"},
				}[cgroup]...)
			})
		}
	}
}

// The mount table on a kernel that has mounted nothing. It runs inside TestBareMachines' machines.
func TestMountsInMachine(t *testing.T) {
	if os.Getenv("DOCKERLAUNCH_TEST_MACHINE") != "1" {
		t.SkipNow()
	}
	type action interface {
		Apply(ctx context.Context) (kept bool, err error)
		String() string
	}
	var actions []action
	add := func(list []mounts.Mount) {
		for _, m := range list {
			actions = append(actions, m)
		}
	}
	add(mounts.Base())
	for _, d := range mounts.Devices("/dev") {
		actions = append(actions, d)
	}
	for _, l := range mounts.Links("/dev") {
		actions = append(actions, l)
	}
	add(mounts.Rest())
	actions = append(actions, mounts.NewVarRun(), mounts.Propagation{Target: "/"})
	for round, name := range []string{"first", "second"} {
		for _, a := range actions {
			kept, err := a.Apply(context.Background())
			if err != nil {
				t.Errorf("the %s time, %s: %v", name, a, err)
			}
			if round == 1 && !kept {
				t.Errorf("%s was not kept the second time", a)
			}
		}
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" /proc ", " /sys ", " /dev ", " /run ", " /dev/pts ", " /dev/shm ", " /dev/mqueue ", " /sys/kernel/security "} {
		if n := strings.Count(string(table), want); n != 1 {
			t.Errorf("%s is mounted %d times:\n%s", want, n, table)
		}
	}
	// A terminal can be had, which needs /dev/ptmx and /dev/pts to belong together.
	if f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Error(err)
	}
}
