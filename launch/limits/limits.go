// Package limits sets what the daemon inherits from the process that starts it: resource limits and the score by which the
// kernel chooses a victim when memory is short. The values are those of Docker's own systemd unit.
package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/internal/smallfile"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"golang.org/x/sys/unix"
)

const (
	// NoFile is the number of descriptors for the daemon: contrib/init/systemd/docker.service of Docker 20.10. Later units
	// said "infinity", which is 2^30 on some systems and slows every program that closes all descriptors it might have
	// (moby issue 45534).
	NoFile = 1048576
	// OOMScoreAdj makes the daemon an unlikely victim, as Docker's unit has it.
	OOMScoreAdj = -500
)

// Set is the limits to set.
type Set struct {
	NoFile host.Limit `json:"nofile"`
	NProc  host.Limit `json:"nproc"`
	Core   host.Limit `json:"core"`
}

// Plan chooses the limits. Where hard limits may not be raised (no CAP_SYS_RESOURCE), the soft ones go up to them, and
// short tells how far that stays behind; "" where nothing does.
func Plan(now host.Limits, mayRaise bool) (set Set, short string) {
	var missed []string
	choose := func(name string, have host.Limit, want uint64) host.Limit {
		switch {
		case have.Hard >= want:
			return host.Limit{Soft: want, Hard: have.Hard}
		case mayRaise:
			return host.Limit{Soft: want, Hard: want}
		default:
			missed = append(missed, fmt.Sprintf("%s stays at %s instead of %s", name, Text(have.Hard), Text(want)))
			return host.Limit{Soft: have.Hard, Hard: have.Hard}
		}
	}
	files := uint64(NoFile)
	if now.NROpen != 0 && now.NROpen < files {
		// setrlimit(2): a hard limit above fs.nr_open is EPERM, for root too.
		files = now.NROpen
		missed = append(missed, fmt.Sprintf("nofile is bound by fs.nr_open to %d", files))
	}
	set.NoFile = choose("nofile", now.NoFile, files)
	set.NProc = choose("nproc", now.NProc, host.Infinity)
	set.Core = choose("core", now.Core, host.Infinity)
	return set, strings.Join(missed, ", ")
}

// String tells what Apply does.
func (s Set) String() string {
	return fmt.Sprintf("set limits nofile=%s nproc=%s core=%s", pair(s.NoFile), pair(s.NProc), pair(s.Core))
}

// Apply sets the limits of this process, which execve(2) keeps. They are set even where they read right already: the Go
// runtime raises the soft nofile limit at its start and puts the old one back at exec, unless it was set in between
// (package syscall, rlimit.go).
func (s Set) Apply(context.Context) (kept bool, err error) {
	var errs []error
	for _, item := range []struct {
		resource int
		name     string
		limit    host.Limit
	}{
		{unix.RLIMIT_NOFILE, "nofile", s.NoFile},
		{unix.RLIMIT_NPROC, "nproc", s.NProc},
		{unix.RLIMIT_CORE, "core", s.Core},
	} {
		if err := set(item.resource, item.limit); err != nil {
			errs = append(errs, fmt.Errorf("setrlimit %s to %s: %w", item.name, pair(item.limit), err))
		}
	}
	return false, errors.Join(errs...)
}

// set sets one limit. Where the hard one may not be raised after all, the soft one goes up to it, and the refusal is told.
func set(resource int, limit host.Limit) error {
	err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit.Soft, Max: limit.Hard})
	if err == nil {
		return nil
	}
	var now unix.Rlimit
	if getErr := unix.Getrlimit(resource, &now); getErr != nil {
		return errors.Join(err, getErr)
	}
	now.Cur = min(limit.Soft, now.Max)
	if setErr := unix.Setrlimit(resource, &now); setErr != nil {
		return errors.Join(err, setErr)
	}
	return err
}

func pair(l host.Limit) string { return Text(l.Soft) + ":" + Text(l.Hard) }

// Text writes a limit as ulimit and systemd do.
func Text(n uint64) string {
	if n == host.Infinity {
		return "infinity"
	}
	return strconv.FormatUint(n, 10)
}

// OOMScore sets /proc/self/oom_score_adj, from -1000 (never killed) to 1000; children inherit it (proc(5)).
type OOMScore struct {
	Adj int `json:"adj"`
}

const oomFile = "/proc/self/oom_score_adj"

// String tells what Apply does.
func (o OOMScore) String() string { return fmt.Sprintf("write %d to %s", o.Adj, oomFile) }

// Apply writes the score; a lower one that is there is kept.
func (o OOMScore) Apply(context.Context) (kept bool, err error) {
	data, err := smallfile.Read(oomFile)
	if err != nil {
		return false, err
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return false, fmt.Errorf("%s: %w", oomFile, err)
	}
	if now <= o.Adj {
		return true, nil
	}
	return false, os.WriteFile(oomFile, []byte(strconv.Itoa(o.Adj)), 0)
}
