package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

// TestMachine is about what only a machine has: disks with partitions, the right to resize an ext4, no programs, and no
// filesystem in the kernel that is not loaded.
func TestMachine(t *testing.T) {
	ext4, xfs, blank := image(t, 200<<20), image(t, 320<<20), image(t, 128<<20)
	command(t, "mkfs.ext4", "-q", "-L", DataLabel, ext4)
	command(t, "mkfs.xfs", "-q", "-L", "other", xfs)
	for path, size := range map[string]int64{ext4: 3 << 30, xfs: 800 << 20} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	k := vm.KernelNamed(t, "6.12")
	var drives []vm.Drive
	for _, path := range []string{ext4, xfs, blank} {
		drives = append(drives, vm.Drive{Image: path, Bus: "virtio"})
	}
	results := vm.Run(t, vm.Options{
		Kernel: k, Memory: 1024, Mount: []string{"proc", "sys", "dev", "tmp"}, Drives: drives,
		Trees: []vm.Tree{k.ModulesTree(func(rel string) bool {
			return !strings.Contains(rel, "/drivers/gpu/") && !strings.Contains(rel, "/sound/") && !strings.Contains(rel, "/drivers/net/")
		})},
		Commands: []vm.Command{{Test: "./launch/storage", Args: []string{"-test.v", "-test.run=^TestDisksInMachine$"}, Limit: 2 * time.Minute}},
	})
	results[0].CheckTest(t, "TestDisksInMachine")
	t.Log(results[0].Output)
	// Outside, the same filesystem is found to be whole and large.
	command(t, "e2fsck", "-f", "-n", ext4)
	if c := identify(t, ext4); c.Size < 3<<30-64<<20 {
		t.Errorf("after growing: %+v", c)
	}
}

func TestDisksInMachine(t *testing.T) {
	if os.Getenv("DOCKERLAUNCH_TEST_MACHINE") != "1" {
		t.SkipNow() // not a layer that is missing: TestMachine runs it
	}
	index, err := modules.Open(modules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	load := func(ctx context.Context, name string) error {
		results := (&modules.Loader{Index: index}).Want(ctx, []modules.Want{{Names: []string{name}}})
		return results[0].Err
	}
	// The disk appears only while it is waited for.
	late := make(chan error, 1)
	go func() {
		time.Sleep(300 * time.Millisecond)
		late <- errors.Join(load(t.Context(), "virtio_pci"), load(t.Context(), "virtio_blk"))
	}()
	spec, err := ParseSpec(DefaultSpec)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	disks, err := Survey(t.Context(), spec, time.Minute)
	if err := errors.Join(err, <-late); err != nil {
		t.Fatal(err)
	}
	t.Logf("%v after %v", disks, time.Since(begin))
	target := filepath.Join(t.TempDir(), "docker")
	p := Preparer{LoadFilesystem: load}
	plan := Decide(Request{Spec: spec, FormatBlank: true, Target: target}, disks)
	if plan.Action != Mount || plan.Disk.Path != "/dev/vda" {
		t.Fatal(plan)
	}
	done, err := p.Apply(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", done)
	if done.GrownFrom == 0 || done.Size < 2<<30 || len(done.Notices) != 2 { // grown, and not checked
		t.Errorf("%+v", done)
	}
	if trial, err := TryOverlay(target); err != nil || !trial.Overlay {
		// overlay is a module.
		if lerr := load(t.Context(), "overlay"); lerr != nil {
			t.Fatal(lerr)
		}
		if trial, err = TryOverlay(target); err != nil || !trial.Overlay {
			t.Errorf("%+v, %v", trial, err)
		}
	}
	if done, err = p.Apply(t.Context(), plan); err != nil || !done.Kept {
		t.Errorf("again: %+v, %v", done, err)
	}
	if err := unix.Unmount(target, 0); err != nil {
		t.Fatal(err)
	}
	// By path, with another module; the driver's name for a disk may come late too, so all are there by now.
	xfs := Spec{Value: "/dev/vdb"}
	if disks, err = Survey(t.Context(), xfs, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	done, err = p.Apply(t.Context(), Decide(Request{Spec: xfs, Target: target}, disks))
	if err != nil || done.FSType != "xfs" || done.Size < 600<<20 {
		t.Errorf("%+v, %v", done, err)
	}
	if err := unix.Unmount(target, 0); err != nil {
		t.Error(err)
	}
	// The blank one would be taken if no disk had the label, but there is no program to format it with.
	other, err := ParseSpec("LABEL=no-such")
	if err != nil {
		t.Fatal(err)
	}
	if disks, err = Survey(t.Context(), other, 0); err != nil {
		t.Fatal(err)
	}
	plan = Decide(Request{Spec: other, FormatBlank: true, Target: target}, disks)
	if plan.Action != Format || plan.Disk.Path != "/dev/vdc" {
		t.Fatalf("%s: %v", plan, disks)
	}
	if _, err := p.Apply(t.Context(), plan); !errors.Is(err, ErrProgram) {
		t.Errorf("without mkfs: %v", err)
	}
}
