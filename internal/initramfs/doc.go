// Package initramfs makes what a kernel boots into: a cpio archive of a planned root tree and of the kernel modules that a
// machine with Docker needs, compressed with zstd. It is build tooling; the launcher does not use it.
//
//	plan, err := rootfs.Plan(ctx, ...)
//	mods, err := initramfs.Modules(ctx, initramfs.ModulesOptions{Kernel: "build/vm/kernel-6.12", Kmod: "build/vm/kmod"})
//	err = initramfs.Write(w, append(initramfs.Machine(plan.Nodes), mods.Nodes...), plan.Epoch)
//
// The kernel unpacks several archives that stand one behind the other as if they were one (the format:
// https://docs.kernel.org/driver-api/early-userspace/buffer-format.html). Certificates, which are no two machines' the same,
// go into one of their own behind the first, so that the first is the same bytes from the same packages.
package initramfs
