// Package faults fails each system call that the launcher makes on its way to a running Docker, one operation a run, and
// judges how the launcher ends: with a message that names what failed, in bounded time, with a documented exit status, and
// with nothing left behind.
//
// A run is the real launcher as PID 1 of fresh namespaces on an overlay of the root tree, with stubs in the places of dockerd
// and containerd, traced by ptrace(2). strace's own -e inject=SYSCALL:error=ERRNO:when=N, which this is modelled on, counts
// per thread (strace(1), "Tampering"), and a Go program's goroutines move between threads: the Nth call of a thread is
// another one each time, and a child would be tampered with beyond its execve. Here an operation is what is called and on
// what, "mount proc at /proc", wherever in the program and on whichever thread it happens, and a child is the launcher's until
// it executes a program.
//
// The test takes one way to fail for each operation. FAULTS=all takes them all, with each errno of the table, the first time and
// every time, in every scene, some thousands of runs: FAULTS=all go test -timeout 2h ./internal/faults. FAULTS_SCENE=NAME keeps
// to one scene.
//
// Nothing but tests uses it. What only a machine's boot does (its console, disks, network, power) needs the kernel's first PID
// namespace, and is out of reach here.
package faults
