package host

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Infinity is a resource limit that is none, RLIM_INFINITY of getrlimit(2).
const Infinity = unix.RLIM_INFINITY

// Limit is one resource's soft and hard limit.
type Limit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// Limits are the resource limits that the daemon inherits from us.
type Limits struct {
	NoFile Limit `json:"nofile"`
	NProc  Limit `json:"nproc"`
	Core   Limit `json:"core"`
	// NROpen is fs.nr_open, the ceiling that the kernel sets for NoFile; 0 where unknown.
	NROpen uint64 `json:"nr_open"`
}

func (p *observer) limits() (Limits, error) {
	var l Limits
	for _, item := range []struct {
		resource int
		name     string
		into     *Limit
	}{
		{unix.RLIMIT_NOFILE, "RLIMIT_NOFILE", &l.NoFile},
		{unix.RLIMIT_NPROC, "RLIMIT_NPROC", &l.NProc},
		{unix.RLIMIT_CORE, "RLIMIT_CORE", &l.Core},
	} {
		var r unix.Rlimit
		if err := unix.Getrlimit(item.resource, &r); err != nil {
			return l, fmt.Errorf("getrlimit(%s): %w", item.name, err)
		}
		*item.into = Limit{Soft: r.Cur, Hard: r.Max}
	}
	if text := p.word("sys/fs/nr_open"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return l, fmt.Errorf("%s: %w", p.proc("sys/fs/nr_open"), err)
		}
		l.NROpen = n
	}
	return l, nil
}
