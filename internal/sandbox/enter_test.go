package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	sb := start(t, options(t, "serve"))
	if err := sb.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, err := sb.Command(context.Background(), LauncherPath, "cat", "/etc/marker").CombinedOutput()
	if err != nil || string(out) != "from the tree" {
		t.Errorf("%q, %v", out, err)
	}
	err = sb.Command(context.Background(), LauncherPath, "exit", "9").Run()
	if code := exitStatus(err); code != 9 {
		t.Errorf("status %d: %v", code, err)
	}
	out, err = sb.Command(context.Background(), "no-such-program").CombinedOutput()
	if code := exitStatus(err); code != enterFailed || !strings.Contains(string(out), "no-such-program") {
		t.Errorf("a program that is not there: status %d, %s", code, out)
	}

	// The end of ctx ends the program, not only the stage that waits for it.
	ctx, cancel := context.WithCancel(context.Background())
	cmd := sb.Command(ctx, LauncherPath, "sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to run inside", func() bool { return insiders(t, sb) == 4 }) // the stub, its child, stage, command
	cancel()
	if err := cmd.Wait(); err == nil {
		t.Error("a cancelled command ended well")
	}
	waitFor(t, "the command to be gone", func() bool { return insiders(t, sb) == 2 })

	// So does the end of the sandbox.
	cmd = sb.Command(context.Background(), LauncherPath, "sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to run inside", func() bool { return insiders(t, sb) == 4 })
	if err := sb.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if code := exitStatus(cmd.Wait()); code != 128+9 {
		t.Errorf("status %d of a command whose sandbox ended", code)
	}
	// Its PID is somebody else's now, or nobody's.
	if err := sb.Command(context.Background(), LauncherPath, "cat", "/etc/marker").Run(); exitStatus(err) != enterFailed {
		t.Errorf("a command in an ended sandbox: %v", err)
	}
}

// A command is where a program that PID 1 started would be, also where PID 1 has gone into a group below its first.
func TestCommandIsInTheSandboxsGroups(t *testing.T) {
	sb := start(t, options(t, "serve"))
	if err := sb.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	groups := func(want string) {
		t.Helper()
		out, err := sb.Command(context.Background(), LauncherPath, "cat", "/proc/self/cgroup").CombinedOutput()
		if err != nil || len(out) == 0 {
			t.Fatalf("%v: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) != 3 || f[2] != want {
				t.Errorf("not in %s: %s", want, line)
			}
		}
	}
	groups("/")
	for _, dir := range sb.CgroupDirs() {
		leaf := filepath.Join(dir, "leaf")
		if err := os.Mkdir(leaf, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := fillCpuset(dir, leaf); err != nil {
			t.Fatal(err)
		}
		if err := join(leaf, sb.PID()); err != nil {
			t.Fatal(err)
		}
	}
	groups("/leaf")
	cmd := sb.Command(context.Background(), LauncherPath, "sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to run inside", func() bool { return insiders(t, sb) == 4 })
	if err := sb.Stop(context.Background()); err != nil {
		t.Errorf("stopping beside a command that runs: %v", err)
	}
	nothingLeft(t, sb) // the command is not waited for yet
	if code := exitStatus(cmd.Wait()); code != 128+9 {
		t.Errorf("status %d", code)
	}
}
