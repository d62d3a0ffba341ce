package cgroups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unmount takes a mount away, to make room for another.
type Unmount struct {
	Target string `json:"target"`
	FSType string `json:"fstype"`
	// Controllers are those of a v1 hierarchy that are wanted elsewhere.
	Controllers []string `json:"controllers,omitempty"`
	Meaning
}

// String says in one line what Apply does.
func (a Unmount) String() string { return "unmount the " + a.FSType + " at " + a.Target }

// releaseTimeout bounds the wait for the kernel to take a hierarchy apart, which it does in its own time after unmounting: some
// milliseconds.
const releaseTimeout = 2 * time.Second

// Apply unmounts it, and waits until the kernel has given its controllers back to cgroup2. Nothing there, or a filesystem of
// another type, is kept; one that is in use is an ErrBusy.
func (a Unmount) Apply(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m, err := mountedAt(a.Target)
	if err != nil {
		return false, withLost(err, a.Lost)
	}
	if m == nil || m.FSType != a.FSType {
		return true, nil
	}
	if err := unix.Unmount(a.Target, unix.UMOUNT_NOFOLLOW); err != nil {
		e := &Error{Op: "unmount", Path: a.Target, FSType: a.FSType, Err: err, Lost: a.Lost}
		if errors.Is(err, unix.EBUSY) {
			e.Kind, e.Advice = ErrBusy, "stop what has a file or a working directory in it"
		}
		return false, e
	}
	return false, a.release(ctx)
}

func (a Unmount) release(ctx context.Context) error {
	for end := time.Now().Add(releaseTimeout); ; {
		rows, err := parseFile("/proc/cgroups", ParseControllers)
		if err != nil {
			return err
		}
		held := slices.DeleteFunc(rows, func(r Controller) bool { return r.Hierarchy == 0 || !slices.Contains(a.Controllers, r.Name) })
		if len(held) == 0 {
			return nil
		}
		if time.Now().After(end) {
			var names []string
			for _, r := range held {
				names = append(names, r.Name)
			}
			return &Error{Op: "unmount", Path: a.Target, FSType: a.FSType, Kind: ErrBusy, Lost: a.Lost,
				Detail: fmt.Sprintf("after %v %s is still in a v1 hierarchy", releaseTimeout, strings.Join(names, ",")),
				Advice: "the kernel keeps it while memory that was charged to its cgroups is in use: boot with the version that is " +
					"wanted, or ask for auto to go on with this one"}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("unmounting %s: %w", a.Target, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
