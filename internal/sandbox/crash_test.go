package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// owned is a sandbox whose owner is another process, to be killed.
type owned struct {
	owner       *exec.Cmd
	pid, keeper int
	device      string
	groups      []string
}

func startOwner(t *testing.T, o Options) *owned {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %s", ownerVar, o.Root, o.State, o.Launcher, strings.Join(o.Argv, " ")))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // killed by most tests already
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	f := strings.Fields(line)
	if err != nil || len(f) != 5 || f[0] != "started" {
		t.Fatalf("the owner said %q, %v", line, err)
	}
	ow := &owned{owner: cmd, device: f[3], groups: strings.Split(f[4], ",")}
	ow.pid, _ = strconv.Atoi(f[1])
	ow.keeper, _ = strconv.Atoi(f[2])
	return ow
}

func gone(pid int) bool {
	_, err := startTime(pid)
	return err != nil
}

func (ow *owned) deviceGone() bool {
	_, err := netlink.LinkByName(ow.device)
	return err != nil
}

func (ow *owned) groupsGone() bool {
	for _, dir := range ow.groups {
		if exists(dir) {
			return false
		}
	}
	return true
}

func TestOwnerKilled(t *testing.T) {
	ow := startOwner(t, options(t, "serve"))
	var inside []int
	for _, dir := range ow.groups {
		inside = append(inside, groupProcs(dir)...)
	}
	if len(inside) < 2 || ow.deviceGone() {
		t.Fatalf("processes %v, device there: %v", inside, !ow.deviceGone())
	}
	if err := ow.owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(inside, ow.keeper) {
		waitFor(t, fmt.Sprintf("the end of PID %d", pid), func() bool { return gone(pid) })
	}
	waitFor(t, "the device to go", ow.deviceGone)
	waitFor(t, "the groups to go", ow.groupsGone)
}

// The launcher that executes the next program from another thread than its first has no parent death signal any more: the
// keeper alone ends it.
func TestOwnerKilledAfterTheLauncherChangedThreads(t *testing.T) {
	ow := startOwner(t, options(t, "rethread", "serve"))
	if err := ow.owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of PID 1", func() bool { return gone(ow.pid) })
	waitFor(t, "the groups to go", ow.groupsGone)
}

func TestOwnerAndKeeperKilled(t *testing.T) {
	o := options(t, "serve")
	ow := startOwner(t, o)
	// The keeper first: the other way round it would do its work.
	if err := unix.Kill(ow.keeper, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := ow.owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of PID 1", func() bool { return gone(ow.pid) })
	if ow.groupsGone() {
		t.Fatal("the groups went by themselves: nothing is left for the next start to collect")
	}
	_ = ow.owner.Wait()

	// On the same state, at once.
	o.Argv = []string{"serve"}
	sb := start(t, o)
	if !ow.groupsGone() {
		t.Errorf("the next start did not collect %v", ow.groups)
	}
	if err := sb.Ready(context.Background()); err != nil {
		t.Error(err)
	}
	waitFor(t, "the device to go", ow.deviceGone)
}

// A living owner's groups are not touched.
func TestStartLeavesOthersAlone(t *testing.T) {
	ow := startOwner(t, options(t, "serve"))
	start(t, options(t, "exit", "0")).Wait()
	for _, dir := range ow.groups {
		if len(groupProcs(dir)) != 2 {
			t.Errorf("%s holds %v", dir, groupProcs(dir))
		}
	}
}
