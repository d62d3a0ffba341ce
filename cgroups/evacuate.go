package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of Evacuate where its fields are 0.
const (
	DefaultTries   = 200
	DefaultTimeout = 5 * time.Second
)

// Evacuate moves the processes of a cgroup to a leaf below it. The kernel refuses controllers to the children of a cgroup that
// has processes itself (EBUSY), unless that is the root of the hierarchy.
//
// New processes come while it works: what they fork, and what a runtime's exec puts into the container. So it moves and tries to
// switch a controller on for the children, which shuts the cgroup for processes, until the kernel takes that.
type Evacuate struct {
	Dir string `json:"dir"`
	// Leaf is the name of the cgroup below Dir, which is made where it is missing.
	Leaf string `json:"leaf"`
	// Tries and TimeoutMS, in milliseconds, bound the work; 0 means DefaultTries and DefaultTimeout.
	Tries     int `json:"tries"`
	TimeoutMS int `json:"timeout_ms"`
	Meaning
}

// String says in one line what Apply does.
func (a Evacuate) String() string {
	return "move the processes of " + a.Dir + " to " + filepath.Join(a.Dir, a.Leaf) + " and shut it for others"
}

// Apply does it. It is kept where the cgroup has no processes and is shut, or is the root of the hierarchy. The error is
// ErrStuck with the processes that stay, or ErrThreaded where the cgroup is of a type that cannot have controllers.
func (a Evacuate) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	root, err := hierarchyRoot(a.Dir)
	if err != nil || root {
		return root, withLost(err, a.Lost)
	}
	u, err := readUnified(a.Dir)
	if err != nil {
		return false, withLost(err, a.Lost)
	}
	// The root of a threaded subtree lists the processes of all of that as its own, so it never becomes empty.
	if u.Type != "domain" && u.Type != "" {
		return false, &Error{Op: "move", Path: a.Dir, Kind: ErrThreaded, Detail: "its type is " + u.Type, Lost: a.Lost, Advice: adviceThreaded}
	}
	if u.Processes == 0 && (len(u.SubtreeControl) > 0 || len(u.Controllers) == 0) {
		return true, nil
	}
	leaf := filepath.Join(a.Dir, a.Leaf)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, withLost(failed("mkdir", leaf, err), a.Lost)
	}
	return false, a.repeat(ctx, leaf)
}

const adviceThreaded = "a threaded cgroup stays threaded: start in another one"

// threaded tells whether a cgroup of this cgroup.type does not list its processes.
func threaded(kind string) bool { return kind == "threaded" || kind == "domain invalid" }

func (a Evacuate) repeat(ctx context.Context, leaf string) error {
	tries, timeout := a.Tries, time.Duration(a.TimeoutMS)*time.Millisecond
	if tries == 0 {
		tries = DefaultTries
	}
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	end := time.Now().Add(timeout)
	pause := time.Millisecond
	for try := 1; ; try++ {
		pids, err := readPIDs(a.Dir)
		if err != nil {
			return withLost(err, a.Lost)
		}
		stuck, err := moveAll(leaf, pids)
		if err != nil {
			return withLost(err, a.Lost)
		}
		done, err := shut(a.Dir, len(stuck) == 0)
		if err != nil {
			return withLost(err, a.Lost)
		}
		if done {
			return nil
		}
		if try == tries || !time.Now().Add(pause).Before(end) {
			return a.stuck(stuck, try)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("moving the processes of %s to %s: %w", a.Dir, leaf, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// stuck is the error at the bound. What is in the cgroup now counts, and the kernel's answers come from the last try.
func (a Evacuate) stuck(last []Process, tries int) error {
	e := &Error{Op: "move", Path: a.Dir, Kind: ErrStuck, Detail: fmt.Sprintf("after %d tries", tries), Lost: a.Lost,
		Advice: "stop these processes, or start the container with an init that leaves its cgroup to others"}
	pids, err := readPIDs(a.Dir)
	if err != nil {
		return withLost(err, a.Lost)
	}
	for _, pid := range pids {
		i := slices.IndexFunc(last, func(p Process) bool { return p.PID == pid && pid != 0 })
		if i >= 0 {
			e.Stuck = append(e.Stuck, last[i])
			continue
		}
		e.Stuck = append(e.Stuck, look(pid, nil))
	}
	if len(e.Stuck) == 0 {
		// They are gone by now: they came and went faster than the tries.
		e.Stuck, e.Detail = last, e.Detail+", with processes that come and go"
	}
	return e
}

// moveAll moves processes to a cgroup, and returns those that are there and could not be moved.
func moveAll(leaf string, pids []int) ([]Process, error) {
	var stuck []Process
	for _, pid := range pids {
		// A 0 that is written would move the writer.
		if pid == 0 {
			stuck = append(stuck, look(0, nil))
			continue
		}
		err := movePID(leaf, pid)
		switch {
		case err == nil, errors.Is(err, unix.ESRCH):
		case errors.Is(err, fs.ErrPermission):
			// That is so for all of them, and stays so.
			return nil, &Error{Op: "move", Path: leaf, Err: err, Detail: "process " + look(pid, nil).String(), Advice: "do it as root"}
		default:
			stuck = append(stuck, look(pid, err))
		}
	}
	return stuck, nil
}

// shut switches one controller on for the children, after which the kernel lets no process into the cgroup any more. It is not
// done while the kernel finds processes in the cgroup. Where there is no controller that can be switched on, having seen it
// empty has to do.
func shut(dir string, empty bool) (done bool, err error) {
	u, err := readUnified(dir)
	if err != nil {
		return false, err
	}
	if len(u.SubtreeControl) > 0 {
		return u.Processes == 0, nil
	}
	control := filepath.Join(dir, "cgroup.subtree_control")
	for _, c := range domainsFirst(u.Controllers) {
		err := writeFile(control, "+"+c)
		if errors.Is(err, unix.EBUSY) {
			return false, nil
		}
		if err != nil {
			continue // why this one cannot be switched on is for EnableControllers to say
		}
		// The kernel accepts a threaded controller beside processes.
		pids, err := readPIDs(dir)
		if err != nil || len(pids) == 0 {
			return err == nil, err
		}
		return false, writeFile(control, "-"+c)
	}
	return empty && u.Processes == 0, nil
}
