package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// namePrefix begins the name of everything a sandbox makes on the host.
const namePrefix = "dockerlaunch-"

// owner says which process made a sandbox, in the names of what is left when that process could not clean up. A PID alone
// would be mistaken for a later process, or for one of another PID namespace that shares the cgroup hierarchies.
type owner struct {
	PIDNS uint64 // inode of the owner's PID namespace
	PID   int
	Start uint64 // start time of that PID, in clock ticks since boot
	N     uint64 // counts the sandboxes of one owner
}

var sandboxes atomic.Uint64

func newOwner() (owner, error) {
	ns, err := pidNamespace()
	if err != nil {
		return owner{}, err
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return owner{}, err
	}
	return owner{PIDNS: ns, PID: os.Getpid(), Start: start, N: sandboxes.Add(1)}, nil
}

func (o owner) String() string {
	return fmt.Sprintf("%s%d-%d-%d-%d", namePrefix, o.PIDNS, o.PID, o.Start, o.N)
}

// parseOwner is the reverse of String.
func parseOwner(name string) (owner, bool) {
	var o owner
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return o, false
	}
	f := strings.Split(rest, "-")
	if len(f) != 4 {
		return o, false
	}
	n := make([]uint64, len(f))
	for i, s := range f {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return o, false
		}
		n[i] = v
	}
	if n[1] == 0 || n[1] > 1<<31-1 {
		return o, false
	}
	o = owner{PIDNS: n[0], PID: int(n[1]), Start: n[2], N: n[3]}
	// Only names as String writes them: not "007" or "+7".
	return o, o.String() == name
}

// dead tells whether the owner is known to have ended. An owner in another PID namespace cannot be judged from here.
func (o owner) dead(pidns uint64) bool {
	if o.PIDNS != pidns {
		return false
	}
	start, err := startTime(o.PID)
	if err != nil {
		// A process that goes between open and read gives ESRCH.
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
	}
	return start != o.Start
}

func pidNamespace() (uint64, error) {
	link, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return 0, fmt.Errorf("finding out the PID namespace: %w", err)
	}
	var ino uint64
	if _, err := fmt.Sscanf(link, "pid:[%d]", &ino); err != nil {
		return 0, fmt.Errorf("finding out the PID namespace: %q: %w", link, err)
	}
	return ino, nil
}

// startTime returns when a process started, in clock ticks since boot. A process that is gone, or a zombie, gives an error
// that is os.ErrNotExist: where nobody reaps, a killed process stays listed for ever.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("finding out when PID %d started: %w", pid, err)
	}
	start, err := parseStartTime(stat)
	if err != nil {
		return 0, fmt.Errorf("finding out when PID %d started: %w", pid, err)
	}
	return start, nil
}

// parseStartTime finds field 22 of /proc/PID/stat (proc_pid_stat(5)). The name in field 2 may hold anything, parentheses
// and newlines included, so fields are counted from the last closing one. Field 3, the state, decides whether there is
// still a process.
func parseStartTime(stat []byte) (uint64, error) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, fmt.Errorf("no command name in %q", stat)
	}
	f := bytes.Fields(stat[i+1:])
	const field22 = 22 - 3
	if len(f) <= field22 {
		return 0, fmt.Errorf("only %d fields in %q", len(f)+2, stat)
	}
	if state := string(f[0]); state == "Z" || state == "X" {
		return 0, fmt.Errorf("it has ended (state %s): %w", state, os.ErrNotExist)
	}
	return strconv.ParseUint(string(f[field22]), 10, 64)
}
