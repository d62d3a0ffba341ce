//go:build !amd64

package pidone

import "syscall"

// share is an ordinary fork where nobody has written the few instructions that it takes to do without.
//
//go:nosplit
//go:norace
func share(p *plan) (pid uintptr, errno syscall.Errno) { return copied(p) }
