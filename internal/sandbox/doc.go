// Package sandbox starts a launcher as PID 1 of namespaces of its own on a root tree, as a kernel would: nothing is
// mounted but the root, lo is down, IPv4 is not forwarded, stdin is /dev/null. It is what `make run` and the namespace tests stand on; no part of
// it goes into the launcher.
//
// A program that uses it calls Init first, in main or in TestMain, because the sandbox runs the same binary again for the
// stages that must happen inside the namespaces:
//
//	func main() {
//		sandbox.Init()
//		...
//		sb, err := sandbox.Start(ctx, sandbox.Options{Root: "build/rootfs", Launcher: "build/dockerlaunch", Argv: []string{"dockerd"}})
//		...
//		defer sb.Stop(ctx)
//		err = sb.Ready(ctx)
//		out, err := sb.Docker(ctx, "info").CombinedOutput()
//
// The stages:
//
//	parent ── clone ──> init stage: waits for its cgroups and its network, mounts, pivots, execs the launcher as PID 1
//	       └─ exec ───> keeper: kills PID 1 and removes what the sandbox holds when the parent dies without Stop
//	       └─ exec ───> enter stage (Command, Docker): joins the namespaces of PID 1 and runs one program of the tree
//
// Pdeathsig alone does not hold PID 1 to its parent: the kernel keeps it per thread and clears it in every thread that is
// created (copy_process in kernel/fork.c), so it is lost as soon as a Go launcher execs from another thread than its first.
// Hence the keeper.
package sandbox
