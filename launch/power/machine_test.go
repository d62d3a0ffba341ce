package power_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// TestMachine boots one machine five times over: what launch/machine gives it, the buttons, and each way out, on a kernel that
// has no entropy and a clock in the past. The program in testdata/init is its PID 1.
func TestMachine(t *testing.T) {
	k := vm.KernelNamed(t, "6.12")
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	m := vm.Start(t, vm.Options{
		Kernel: k, Memory: 512, Limit: 8 * time.Minute,
		Init: vm.GoBuild(t, "./launch/power/testdata/init", "build"),
		Trees: []vm.Tree{k.ModulesTree(func(rel string) bool {
			return !strings.HasPrefix(rel, "kernel/") || strings.Contains(rel, "virtio") || strings.Contains(rel, "acpi/") ||
				strings.Contains(rel, "input/") || strings.Contains(rel, "watchdog/")
		})},
		Files:  []vm.File{{Path: "/etc/sysctl.d/50-test.conf", Data: []byte("vm.max_map_count = 300001\nvm.swappiness = 11\n")}},
		Drives: []vm.Drive{{Image: disk, Bus: "virtio"}},
		Cmdline: []string{
			"random.trust_cpu=off", "random.trust_bootloader=off", "panic=2", "sysctl.vm.swappiness=12",
		},
		// The machine is to come up again, other than in the tests that end with it.
		Args: []string{"-rtc", "base=2001-02-03T04:05:06", "-action", "reboot=reset"},
	})
	wait := func(pattern string) {
		t.Helper()
		if _, err := m.WaitFor(pattern, 4*time.Minute); err != nil {
			t.Fatalf("%v\n%s", err, m.Console())
		}
	}
	monitor := func(command string) {
		t.Helper()
		if _, err := m.Monitor(command); err != nil {
			t.Fatal(err)
		}
	}
	wait("INIT ready: for the power button")
	monitor("system_powerdown")
	wait("INIT ready: for Ctrl-Alt-Del")
	monitor("sendkey ctrl-alt-delete")
	wait("System halted")
	monitor("system_reset")
	if err := m.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, m.Console())
	}
	console := m.Console()
	rest := console
	for _, line := range []string{
		"INIT facts: [ttyS0] 4 ratelimit true true [null null null]",
		"INIT kept: console, console flow, kernel parameters, host name 0",
		"INIT host name: harbour",
		"INIT sysctl: vm/max_map_count 300001",
		"INIT sysctl: kernel/ctrl-alt-del 0",
		"INIT sysctl: kernel/printk_devkmsg on",
		"INIT sysctl: vm/swappiness 12",
		"INIT boot: log seed clock buttons and reboot",
		"dockerlaunch: marker of a warning: ü",
		"INIT in the log: 1 1 1 40",
		"INIT without a seed: false true true <nil>",
		"INIT with one that all can read: false true",
		"INIT with a good one: true <nil> 32 false",
		"INIT crng: true",
		"INIT clock at first: 2001",
		"INIT clock: 2025-11 false",
		"INIT clock: 2027-03 false",
		"INIT clock: 2027-03 true",
		"INIT saved: 2027-03",
		"INIT button: power off",
		"INIT Ctrl-Alt-Del: interrupt reboot true",
		"INIT save: true",
		"reboot: Restarting system",
		"INIT boot: applet, panic",
		"INIT applet: reboot 0 reboot true",
		"INIT applet: poweroff 0 power off true",
		"INIT applet: halt 0 halt true",
		"dockerlaunch: cannot go on: a mistake in the launcher itself, please report it: a mistake on purpose",
		"dockerlaunch: reboot in 2s",
		"dockerlaunch: reboot now",
		"reboot: Restarting system",
		"INIT boot: watchdog",
		"INIT watchdog: 3s fed no more",
		"INIT boot: halt",
		"reboot: System halted",
		"INIT boot: power off",
		"reboot: Power down",
	} {
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Fatalf("the console does not show %q, or not in its place:\n%s", line, console)
		}
		rest = after
	}
	for text, times := range map[string]int{
		// What the kernel prints may come between the lines of programs, so that it is counted alone.
		"marker of an error": 1, "marker of a warning": 1, "marker of an information": 0, "INIT error": 0, "Attempted to kill init": 0,
		"Kernel panic": 0, "Unexpected close": 0,
	} {
		if got := strings.Count(console, text); got != times {
			t.Errorf("the console shows %q %d times, not %d", text, got, times)
		}
	}
}
