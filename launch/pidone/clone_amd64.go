package pidone

import (
	"syscall"
	"unsafe"
)

//go:noescape
func cloneVM(p *plan, stack uintptr) (pid, errno uintptr)

// share makes a child that has this process's memory until it executes the plan, on a stack of its own: nothing is copied, and
// no page becomes one that this process has to copy when it writes to it next, which in a start costs half a millisecond for
// each child. Unlike vfork(2) it does not wait for the program, as that may have to be read from a file server that is gone.
//
//go:nosplit
//go:norace
func share(p *plan) (pid uintptr, errno syscall.Errno) {
	pid, e := cloneVM(p, (uintptr(unsafe.Pointer(&p.stack))+unsafe.Sizeof(p.stack))&^15)
	return pid, syscall.Errno(e)
}

// runChild is all that such a child does.
//
//lint:ignore U1000 clone_amd64.s calls it
//go:nosplit
//go:norace
func runChild(p *plan) { p.fail(p.become()) }
