// Package vm runs programs and Go test binaries on a real Linux kernel: in a virtual machine of QEMU's software emulation,
// booted from an initramfs that this package makes.
//
//	k := vm.KernelNamed(t, "6.12")
//	results := vm.Run(t, vm.Options{
//		Kernel: k,
//		Commands: []vm.Command{
//			{Test: "./mounts", Args: []string{"-test.run=TestBareMachine"}},
//			{Test: "./cgroups", Args: []string{"-test.run=TestBareMachine"}},
//		},
//	})
//	for _, r := range results {
//		r.CheckTest(t, "TestBareMachine")
//	}
//
// One boot takes five seconds or so, thus commands share it; each runs as a child of an init that reports its output and
// exit status apart from the console. That init mounts nothing unless Options.Mount asks, loads no module and makes no
// device node: the commands find the kernel as it boots. Start is the way in for machines with an init of their own.
//
// What it needs comes from scripts/fetch-qemu into build/vm. /dev/kvm is never used: nested machines often have one that
// does not work, and a test must not depend on it.
package vm
