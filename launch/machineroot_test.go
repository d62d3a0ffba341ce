package launch_test

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// TestMachineRoot boots from an initramfs that holds the launcher and drivers alone into a root on a disk. That root has an init
// of its own, behind links that are absolute and lead nowhere in the initramfs; package soak boots one whose init is the launcher.
func TestMachineRoot(t *testing.T) {
	t.Parallel()
	disk := rootDisk(t)
	for _, c := range []struct {
		name  string
		words []string
		says  []string
	}{
		{
			"read-only, with options, and the program of init=",
			[]string{"root=LABEL=on-disk", "rootflags=errors=remount-ro,nodelalloc", "init=/sbin/start"},
			[]string{
				`rootinit: process 1, ["/sbin/start"`, "rootinit: mount / ro,", ", ext4 ro,nodelalloc,errors=remount-ro",
				"rootinit: mount /proc ", "rootinit: mount /dev ", "read-only file system",
			},
		},
		{
			"read-write, by its path, and the init that is found",
			[]string{"root=/dev/vda", "rw", "rootfstype=xfs,ext4"},
			[]string{`rootinit: process 1, ["/sbin/init"`, "rootinit: mount / rw,", "rootinit: written"},
		},
		{
			"one that is not there",
			[]string{"root=LABEL=elsewhere", "rootwait=2"},
			[]string{"no disk is root=LABEL=elsewhere, after a wait of 2s", "/dev/vda", "on-disk", "reboot"},
		},
		{
			"an init that is not there",
			[]string{"root=LABEL=on-disk", "init=/sbin/other"},
			[]string{"its /sbin/other: ", "no such file", "name another init", "reboot"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := bootDisk(t, disk, c.words...)
			a.off(t)
			for _, want := range c.says {
				if !strings.Contains(a.Console(), want) {
					t.Errorf("the console does not say %q", want)
				}
			}
			clean(t, disk)
		})
	}
	if got := onDisk(t, disk, "/written"); got != "by the init of the root\n" {
		t.Errorf("on the disk is %q", got)
	}
}

// rootDisk makes a disk that can be a root, with nothing but an init.
func rootDisk(t *testing.T) string {
	t.Helper()
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	tree, disk := t.TempDir(), filepath.Join(t.TempDir(), "root.img")
	data, err := os.ReadFile(program(t, "testdata/rootinit"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"dev", "opt", "proc", "run", "sbin", "sys"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(tree, dir), 0o755))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(tree, "opt/program"), data, 0o755),
		os.Symlink("/opt/program", filepath.Join(tree, "sbin/init")), os.Symlink("/opt/program", filepath.Join(tree, "sbin/start")))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, "-q", "-L", "on-disk", "-d", tree, disk, "32M").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return disk
}

// bootDisk starts a machine whose initramfs has only what finds and mounts a root on a disk.
func bootDisk(t *testing.T, disk string, words ...string) *appliance {
	t.Helper()
	k := vm.KernelNamed(t, "6.12")
	return &appliance{Machine: vm.Start(t, vm.Options{
		Kernel: k, Memory: 512, Limit: 5 * time.Minute, Init: launcher(t),
		Trees: []vm.Tree{k.ModulesTree(func(rel string) bool {
			return strings.HasPrefix(rel, "modules.") || strings.HasSuffix(path.Dir(rel), "/virtio") || strings.Contains(rel, "/virtio_blk") || strings.Contains(rel, "/ext4/")
		})},
		Drives: []vm.Drive{{Image: disk, Bus: "virtio"}}, Cmdline: words,
	})}
}
