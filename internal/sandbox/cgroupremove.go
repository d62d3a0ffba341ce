package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// removeTree removes a group with all below it. Groups whose last process has just died stay busy for a moment, so it
// tries again until ctx ends; the error then names what still holds the group.
func removeTree(ctx context.Context, dir string) error {
	for {
		err := removeOnce(dir)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if pids := groupProcs(dir); len(pids) > 0 {
				return fmt.Errorf("removing cgroup: %w (held by PIDs %v)", err, pids)
			}
			return fmt.Errorf("removing cgroup: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// removeOnce removes the groups of a tree from the leaves up. Only rmdir works: the files in them cannot be unlinked.
func removeOnce(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeOnce(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// groupProcs lists the processes in a group and below it, as far as they are visible from this PID namespace.
func groupProcs(dir string) []int {
	var pids []int
	// A group that goes away while it is walked has no processes: errors are the answer "none".
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		for _, w := range words(filepath.Join(path, "cgroup.procs")) {
			if pid, err := strconv.Atoi(w); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// killGroup kills every process in a group and below it.
func killGroup(dir string) error {
	var errs []error
	for _, pid := range groupProcs(dir) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			errs = append(errs, fmt.Errorf("killing PID %d of a former sandbox: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// staleGroups finds the groups whose owner has ended without removing them.
func staleGroups(hs []hierarchy, pidns uint64) []string {
	var stale []string
	for _, h := range hs {
		// Groups come and go while they are walked, so an error means only that this one is gone.
		_ = filepath.WalkDir(h.Mountpoint, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if !strings.HasPrefix(d.Name(), namePrefix) {
				return nil
			}
			if o, ok := parseOwner(d.Name()); ok && o.dead(pidns) {
				stale = append(stale, path)
			}
			return fs.SkipDir
		})
	}
	return stale
}

// collect ends what sandboxes with a dead owner have left running and removes their groups.
func collect(ctx context.Context, hs []hierarchy, pidns uint64) error {
	var errs []error
	for _, dir := range staleGroups(hs, pidns) {
		if err := errors.Join(killGroup(dir), removeTree(ctx, dir)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
