// Package modules loads Linux kernel modules: it reads the indexes that depmod writes, resolves names and aliases with their
// dependencies, soft dependencies, blacklists and options as kmod's modprobe does, decompresses, and hands the modules to the
// kernel, independent ones at the same time.
//
//	index, err := modules.Open(modules.Options{})
//	...
//	loader := &modules.Loader{Index: index}
//	report, err := loader.Load(ctx, "overlay", "br_netfilter")
//
// An Index is read once and not changed afterwards: all its methods may be called from several goroutines. Without a folder
// of modules, as in a container, Request asks the kernel to load one on its own, and Loader.Want tells what was had. Coldplug
// loads what the machine's devices ask for, and Modprobe is the program of that name as a function.
//
// The package logs nothing, reads no environment, starts no program and keeps no state of its own. An "install" or "remove"
// command in the configuration is reported, never run.
package modules
