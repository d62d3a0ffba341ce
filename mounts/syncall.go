package mounts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// virtual tells of filesystems that keep nothing, so that there is nothing to flush.
func virtual(fstype string) bool {
	return slices.Contains([]string{
		"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
		"hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rootfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs",
		"tracefs",
	}, fstype)
}

// Sync flushes all filesystems, and waits for it no longer than the limit. A flush that hangs goes on by itself.
func Sync(limit time.Duration) error {
	return bounded(limit, func() error {
		unix.Sync()
		return nil
	})
}

// syncAll flushes the filesystems of the mounts, all at the same time, and names those for which that failed or took longer
// than the limit or the context. Each filesystem by itself: one that hangs does not keep the others from being flushed.
func syncAll(ctx context.Context, entries []Entry, limit time.Duration) (unsynced []string) {
	type answer struct {
		n   int
		err error
	}
	type device struct{ major, minor int }
	seen := map[device]bool{}
	answers := make(chan answer, len(entries))
	waiting := map[int]bool{}
	for n, e := range entries {
		dev := device{e.Major, e.Minor}
		if virtual(e.FSType) || e.ReadOnly() || seen[dev] {
			continue
		}
		seen[dev] = true
		waiting[n] = true
		go func() {
			answers <- answer{n, bounded(limit, func() error { return syncOne(e) })}
		}()
	}
	for len(waiting) > 0 {
		select {
		case a := <-answers:
			delete(waiting, a.n)
			if a.err != nil {
				unsynced = append(unsynced, fmt.Sprintf("%s: %v", printable(entries[a.n].Target), a.err))
			}
		case <-ctx.Done():
			for n := range waiting {
				unsynced = append(unsynced, fmt.Sprintf("%s: %v", printable(entries[n].Target), context.Cause(ctx)))
			}
			slices.Sort(unsynced)
			return unsynced
		}
	}
	return unsynced
}

func syncOne(e Entry) error {
	// O_NONBLOCK: it may be a file that is bound there, a pipe for example.
	fd, err := unix.Open(e.Target, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Syncfs(fd)
}
