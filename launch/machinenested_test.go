package launch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

const (
	// innerPort is published by the Docker in the machine's Docker.
	innerPort = 8081
	// innerStopLimit bounds the end of that Docker, whose containers end at once. What it takes where processors are not
	// emulated is tested in package nested.
	innerStopLimit = 30 * time.Second
)

// innerStart is what dockerlaunch timeline --json tells of a start.
type innerStart struct {
	Habitat string
	Steps   []struct{ Name, Outcome, Reason string }
}

// dockerInDocker runs the image in the machine's Docker and uses the Docker in it. Unlike a container that the tests' own
// machine can run, this one has cgroup v2 and every capability, so that the launcher need not stand in front of runc.
func (a *appliance) dockerInDocker(t *testing.T) {
	archive, err := os.Open("../build/image-minimal.tar")
	if err != nil {
		testenv.Missing(t, "there is no image (make image): "+err.Error())
	}
	defer archive.Close()
	begin := time.Now()
	if out, err := a.try(archive, "load"); err != nil {
		t.Fatalf("docker load: %v\n%s", err, out)
	}
	loaded := time.Since(begin)
	const memory = "1073741824"
	id := a.docker(t, "run", "-d", "--privileged", "--name", "inner", "--memory", memory, "-p", "8081:8081", "-v", "inner:/var/lib/docker", "dockerlaunch:minimal")
	a.docker(t, "exec", "inner", "dockerlaunch", "ready", "--wait", "--timeout", readyLimit.String())
	t.Logf("docker load took %v, Docker in Docker was ready %v later", loaded.Round(time.Millisecond), (time.Since(begin) - loaded).Round(time.Millisecond))
	inner := func(args ...string) string {
		t.Helper()
		return a.docker(t, append([]string{"exec", "inner", "docker"}, args...)...)
	}
	probe, err := tarOf("probe", program(t, "testdata/probe"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := a.try(probe, "exec", "-i", "inner", "docker", "import", "--change", `ENTRYPOINT ["/probe"]`, "-", "probe"); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}

	t.Run("plain runc", func(t *testing.T) {
		if got := inner("info", "--format", "{{.CgroupVersion}} {{.Driver}} {{.DefaultRuntime}}"); got != "2 overlay2 runc" {
			t.Errorf("docker info says %s", got)
		}
		var start innerStart
		if err := json.Unmarshal([]byte(a.docker(t, "exec", "inner", "dockerlaunch", "timeline", "--json")), &start); err != nil {
			t.Fatal(err)
		}
		if start.Habitat != "container" || len(start.Steps) == 0 {
			t.Errorf("the report is %+v", start)
		}
		for _, step := range start.Steps {
			if step.Name == "OCI runtime" || step.Outcome == "failed" {
				t.Errorf("%s: %s %s", step.Name, step.Outcome, step.Reason)
			}
		}
	})
	t.Run("capabilities and cgroup nesting", func(t *testing.T) {
		const root = "/proc/1/root/sys/fs/cgroup/"
		text := inner("run", "--rm", "--privileged", "--pid", "host", "probe", "cat", "/proc/self/status", "/proc/1/status",
			"/proc/sys/kernel/cap_last_cap", root+"memory.max", root+"cgroup.controllers", root+"cgroup.subtree_control", root+"cgroup.procs")
		var sets, others []string
		for line := range strings.Lines(text) {
			if set, ok := strings.CutPrefix(line, "CapBnd:"); ok {
				sets = append(sets, strings.TrimSpace(set))
			} else if !strings.Contains(line, ":") {
				others = append(others, strings.TrimSpace(line))
			}
		}
		if len(others) != 4 { // a fifth is a process that was left in the inner root group
			t.Fatalf("of the inner root group comes %q", others)
		}
		last, err := strconv.Atoi(others[0])
		if all := fmt.Sprintf("%016x", uint64(1)<<(last+1)-1); err != nil || !slices.Equal(sets, []string{all, all}) {
			t.Errorf("a container and the launcher beside it can have the capabilities %q, and all are %s, %v", sets, all, err)
		}
		if others[1] != memory { // the group of the container itself
			t.Errorf("in the inner root group memory.max is %s", others[1])
		}
		there, handedOn := strings.Fields(others[2]), strings.Fields(others[3])
		slices.Sort(there)
		slices.Sort(handedOn)
		if !slices.Equal(there, handedOn) || !slices.Contains(there, "memory") || !slices.Contains(there, "pids") || !slices.Contains(there, "cpu") {
			t.Errorf("of the controllers %q these are handed on: %q", there, handedOn)
		}
	})
	t.Run("limits", func(t *testing.T) {
		got := inner("run", "--rm", "--memory", "33554432", "--pids-limit", "77", "--cpus", "0.5", "probe", "cat",
			"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/cpu.max")
		if strings.Join(strings.Fields(got), " ") != "33554432 77 50000 100000" {
			t.Errorf("inside the container the limits are %s", got)
		}
	})
	t.Run("published port", func(t *testing.T) {
		web := inner("run", "-d", "-p", "8081:80", "probe", "serve", ":80", "hello from two levels down")
		a.hears(t, innerPort, "hello from two levels down")
		group := "/sys/fs/cgroup/docker/" + id + "/docker/" + web
		if traces := a.traces(t, id); !strings.Contains(traces, group) {
			t.Errorf("the machine has no %s:\n%s", group, traces)
		}
	})
	t.Run("stop", func(t *testing.T) {
		inner("run", "-d", "probe", "wait")
		begin := time.Now()
		a.docker(t, "stop", "-t", "60", "inner")
		took := time.Since(begin)
		t.Logf("docker stop took %v", took.Round(time.Millisecond))
		if got := a.docker(t, "inspect", "--format", "{{.State.ExitCode}}", "inner"); got != "0" || took > innerStopLimit {
			t.Errorf("it ended with status %s after %v", got, took)
		}
	})
	a.docker(t, "rm", "-v", "inner")
	a.docker(t, "volume", "rm", "inner")
	a.docker(t, "rmi", "dockerlaunch:minimal")
	var left string
	defer func() { t.Logf("left over: %q", left) }()
	eventually(t, "machine without a trace of the inner Docker", func() bool { left = a.traces(t, id); return left == "" })
}

// traces are the mounts, control groups and processes of the machine that have the text.
func (a *appliance) traces(t *testing.T, text string) string {
	t.Helper()
	return a.docker(t, "run", "--rm", "--privileged", "--pid", "host", "probe", "traces", text)
}
