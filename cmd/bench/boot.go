package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench"
	"github.com/dockerlaunch/dockerlaunch/internal/bench/boot"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// bootLimit bounds one boot under emulation.
const bootLimit = 4 * time.Minute

// bootBenchmarks compare the launcher as a machine's init with one that was written by hand.
func (c *config) bootBenchmarks() []bench.Benchmark {
	main := c.trees()[0]
	missing := main.missing
	tools, err := vm.Find()
	if err == nil {
		_, err = os.Stat(c.busybox)
	}
	var kernel vm.Kernel
	if err == nil {
		kernel, err = vm.FindKernel("6.12")
	}
	if err == nil {
		_, err = os.Stat(c.probe)
	}
	if err != nil {
		missing = err.Error()
	}
	machine := boot.Machine{QEMU: tools.QEMU, Kernel: kernel.Image, Initramfs: filepath.Join(c.scratch, "initramfs")}
	prepare := func(ctx context.Context) error {
		scratch, err := os.MkdirTemp("", "modules-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(scratch) // in the folder that goes at the end
		return boot.Build(ctx, machine.Initramfs, scratch, boot.Parts{
			Root: main.root, Launcher: c.launcher, Busybox: c.busybox, Probe: c.probe, Kmod: c.kmod,
			Kernel: filepath.Dir(kernel.Image),
		})
	}
	booted := func(init string, words ...string) func(context.Context) ([]bench.Figure, error) {
		return func(ctx context.Context) ([]bench.Figure, error) {
			ctx, cancel := context.WithTimeout(ctx, bootLimit)
			defer cancel()
			t, err := machine.Run(ctx, init, words...)
			if err != nil {
				return nil, err
			}
			return []bench.Figure{
				bench.Millis("ready", t.Ready), bench.Millis("from-init", t.Ready-t.Init), bench.Millis("from-power", t.Power),
				{Name: "modules", Unit: "modules", Value: float64(t.Modules)},
			}, nil
		}
	}
	return []bench.Benchmark{{
		Name: "boot", Runs: 5, Base: "busybox",
		Says: "kernel start to the first good /_ping inside, in QEMU; from the init's execution; from QEMU's start",
		Variants: []bench.Variant{
			{Name: "busybox", Missing: missing, Prepare: prepare, Run: booted(boot.Busybox)},
			{Name: "dockerlaunch", Missing: missing, Run: booted(boot.Launcher,
				"dockerlaunch.data=none", "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3")},
		},
		Budgets: []bench.Budget{{Variant: "dockerlaunch", Figure: "ready", Against: "busybox", AtMost: 0.8}},
	}}
}
