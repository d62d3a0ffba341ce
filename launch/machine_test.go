package launch_test

import (
	"net"
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
		Kernel: k, Memory: 4000, Limit: 90 * time.Second,
		Init: launcher(t),
		Trees: []vm.Tree{
			{Path: "/", From: rootfs(t)},
			// Where the tree's /lib leads: the kernel unpacks an initramfs in order, and a link must not come before its goal.
			{Path: "/usr/lib/modules/" + k.Release, From: k.Modules},
		},
		Cmdline: []string{"dockerlaunch.debug", "dockerlaunch.nonsense=1", "--", "-s", "overlay2"},
	})
	_ = net.Dial
	_ = strings.Cut
	match, err := m.WaitFor("is ready, [0-9a-z.]+ after the launcher", 3*time.Minute)
	t.Log(match, err)
	time.Sleep(time.Second)
	out, err := m.Monitor("system_powerdown")
	t.Log(out, err)
	if err := m.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, m.Console())
	}
	t.Log(m.Console())
}
