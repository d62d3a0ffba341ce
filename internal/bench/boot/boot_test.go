package boot

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// top is a path of the source tree.
func top(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The init that the launcher is compared with starts Docker without a complaint, and the probe tells when.
func TestBusyboxBoots(t *testing.T) {
	t.Parallel()
	tools, err := vm.Find()
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	kernel := vm.KernelNamed(t, "6.12")
	dir := t.TempDir()
	m := Machine{QEMU: tools.QEMU, Kernel: kernel.Image, Initramfs: filepath.Join(dir, "initramfs")}
	p := Parts{
		Root: top(t, "build/rootfs"), Launcher: top(t, "build/dockerlaunch"), Busybox: filepath.Join(vm.TreeNamed(t, "busybox"), "usr/bin/busybox"),
		Probe: vm.GoBuild(t, "./internal/bench/boot/probe", "build"), Kernel: filepath.Dir(kernel.Image), Kmod: vm.TreeNamed(t, "kmod"),
	}
	for _, path := range []string{p.Root, p.Launcher} {
		if _, err := os.Stat(path); err != nil {
			testenv.Missing(t, err.Error()+" (make rootfs)")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	if err := Build(ctx, m.Initramfs, t.TempDir(), p); err != nil {
		t.Fatal(err)
	}
	got, err := m.Run(ctx, Busybox)
	if err != nil {
		t.Fatal(err)
	}
	if got.Init <= 0 || got.Ready <= got.Init || got.Power < got.Ready-got.Init || got.Modules < 15 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"not found", "No such", "can't", "failed", "rror"} {
		if strings.Contains(got.Console, bad) {
			t.Errorf("the console says %q:\n%s", bad, got.Console)
		}
	}
	t.Logf("init after %v, ready after %v, %v after power on, %d modules", got.Init, got.Ready, got.Power, got.Modules)
}

// The script has no mistake that a shell sees.
func TestScript(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	if out, err := exec.Command(sh, "-n", "init.sh").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
