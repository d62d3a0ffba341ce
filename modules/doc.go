// Package modules loads Linux kernel modules: it reads the indexes that depmod writes, resolves names and aliases with their
// dependencies, soft dependencies, blacklists and options as kmod's modprobe does, decompresses, and hands the modules to the
// kernel, independent ones at the same time.
//
//	index, err := modules.Open(modules.Options{}) // errors.Is(err, modules.ErrNoModules): a container, or all is built in
//	...
//	loader := &modules.Loader{Index: index}
//	steps, err := loader.Load(ctx, "overlay", "br_netfilter")
//
// An Index is what depmod and the configuration said when it was opened: all its methods may be called from several
// goroutines, and a depmod that runs later does not change it. It reads of the large files what it is asked for, and keeps
// them open until it is collected as garbage. Without a folder of modules, as in a container, Request asks the kernel to load
// one on its own, and Loader.Want tells what was had. Coldplug loads what the machine's devices ask for, and Modprobe is the
// program of that name as a function.
//
// What the kernel refuses is a *LoadError, which says what the errno means for a module. A module that is being loaded cannot
// be called back: where a context ends first, the functions return without it, and a goroutine of theirs waits on.
//
// A line or a file that is wrong costs what it says and no more: it is skipped, and told in Config.Problems. No pipe or device
// in the place of a file is waited for or read, and no file beyond a size that none of its kind has.
//
// The package logs nothing, reads no environment, starts no program and keeps no state of its own. An "install" or "remove"
// command in the configuration is reported, never run.
package modules
