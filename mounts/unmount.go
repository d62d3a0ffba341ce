package mounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// UnmountAll unmounts everything at the end of a system's life: what is mounted below / in an order in which it comes off, and
// last it makes / read-only. What was written is flushed first. It is not for a system that goes on.
type UnmountAll struct {
	// Keep are mount points that stay, with what they are mounted on; what is mounted on them goes. /proc should be among
	// them: without it nothing can tell who uses a busy mount, or whether one is gone.
	Keep []string
	// Retries is how often busy mounts are tried again before they are detached, Pause the time between. Zero stands for 5
	// times and 750 ms; a negative number of retries for none.
	Retries int
	Pause   time.Duration
	// SyncLimit bounds the flush before, CallLimit each single unmount: a dead disk or server may never answer. Zero stands for
	// 30 s and 10 s.
	SyncLimit, CallLimit time.Duration
	// Loops says to free loop devices and to end swapping to files which keep a mount busy. It is only for PID 1 of a machine: a
	// container sees all the machine's loop devices, and which file of which namespace they are on shows only by name.
	Loops bool
	// LeaveRoot leaves / writable.
	LeaveRoot bool
}

// UnmountOutcome is what became of one mount.
type UnmountOutcome string

const (
	Unmounted UnmountOutcome = "unmounted"
	// Detached: it stayed busy, and is only out of sight. The kernel unmounts it when its last user is gone; at a power-off
	// that may be never, but what was written is flushed.
	Detached UnmountOutcome = "detached"
	// Remounted: / is read-only.
	Remounted UnmountOutcome = "read-only"
	// Stuck: it is still there.
	Stuck UnmountOutcome = "stuck"
)

// UnmountResult is one line of an UnmountReport.
type UnmountResult struct {
	Target  string         `json:"target"`
	FSType  string         `json:"fstype"`
	Source  string         `json:"source,omitempty"`
	Outcome UnmountOutcome `json:"outcome"`
	Tries   int            `json:"tries"`
	// Users are those who kept it busy at the first try; a few, not necessarily all.
	Users []User `json:"users,omitempty"`
	Err   error  `json:"-"` // the last answer of the kernel; nil where it was unmounted

	entry Entry
}

// String is one line: "/mnt (ext4): detached after 6 tries, device or resource busy: used by sleep (pid 12: cwd)".
func (r UnmountResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s", printable(r.Target), printable(r.FSType), r.Outcome)
	if r.Tries > 1 {
		fmt.Fprintf(&b, " after %d tries", r.Tries)
	}
	if r.Err != nil {
		b.WriteString(", " + oneLine(r.Err.Error()))
	}
	for i, u := range r.Users {
		b.WriteString([]string{": used by ", ", "}[min(i, 1)] + u.String())
	}
	return b.String()
}

// UnmountReport says what became of the mounts, in the order in which they were unmounted; / comes last.
type UnmountReport struct {
	Results []UnmountResult `json:"results,omitempty"`
	// Unsynced are mounts whose flush failed or was given up.
	Unsynced []string `json:"unsynced,omitempty"`
	// Released are loop devices and swap files that were let go of.
	Released []string      `json:"released,omitempty"`
	Took     time.Duration `json:"took"`
}

// Clean tells whether everything was flushed and unmounted and / is read-only.
func (r UnmountReport) Clean() bool {
	for _, x := range r.Results {
		if x.Outcome != Unmounted && x.Outcome != Remounted {
			return false
		}
	}
	return len(r.Unsynced) == 0
}

func (u UnmountAll) defaults() UnmountAll {
	if u.Retries == 0 {
		u.Retries = 5
	}
	u.Retries = max(u.Retries, 0)
	for limit, value := range map[*time.Duration]time.Duration{
		&u.Pause: 750 * time.Millisecond, &u.SyncLimit: 30 * time.Second, &u.CallLimit: 10 * time.Second,
	} {
		if *limit == 0 {
			*limit = value
		}
	}
	return u
}

// String says in one line what Run would do.
func (u UnmountAll) String() string {
	text := "flush and unmount everything"
	if len(u.Keep) > 0 {
		text += " but " + strings.Join(u.Keep, ", ")
	}
	if !u.LeaveRoot {
		text += ", and make / read-only"
	}
	return text
}

// Run unmounts. It takes at most SyncLimit, the pauses, and CallLimit for each call that hangs. When the context ends it does
// not wait any more: what is still busy is detached at once. The error is only about the mount table, without which nothing
// can be done; everything else is in the report.
func (u UnmountAll) Run(ctx context.Context) (UnmountReport, error) {
	u = u.defaults()
	begin := time.Now()
	var report UnmountReport
	defer func() { report.Took = time.Since(begin) }()
	info, err := Read()
	if err != nil {
		return report, err
	}
	order, _ := unmountOrder(info, u.Keep)
	root, hasRoot := info.root()
	flush := order
	if hasRoot {
		flush = append(flush[:len(flush):len(flush)], root)
	}
	report.Unsynced = syncAll(ctx, flush, u.SyncLimit)

	results := make([]UnmountResult, len(order))
	for i, e := range order {
		results[i] = UnmountResult{Target: e.Target, FSType: e.FSType, Source: e.Source, Outcome: Stuck, entry: e}
	}
	for try := 0; ; try++ {
		left := u.round(results, 0)
		if left == 0 || try == u.Retries || ctx.Err() != nil {
			break
		}
		u.nameUsers(results)
		if u.Loops {
			for _, what := range release(results) {
				if !slices.Contains(report.Released, what) {
					report.Released = append(report.Released, what)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(u.Pause):
		}
	}
	u.nameUsers(results)
	// MNT_DETACH takes along what is mounted below, so that the order does not matter; the innermost first tells more.
	u.round(results, unix.MNT_DETACH)
	report.Results = results
	if hasRoot && !u.LeaveRoot {
		report.Results = append(report.Results, u.sealRoot(ctx, root))
	}
	return report, nil
}

// round tries each mount that is still there once, and gives the number of those that stay.
func (u UnmountAll) round(results []UnmountResult, flags int) (left int) {
	for i := range results {
		r := &results[i]
		if r.Outcome != Stuck {
			continue
		}
		r.Tries++
		r.Err = bounded(u.CallLimit, func() error {
			return retry(func() error { return unix.Unmount(r.entry.Target, flags|unix.UMOUNT_NOFOLLOW) })
		})
		if r.Err != nil && !errors.Is(r.Err, unix.EBUSY) && vanished(r.entry) {
			r.Err = nil // it went with another, as shared mounts do
		}
		switch {
		case r.Err != nil:
			left++
		case flags&unix.MNT_DETACH != 0:
			r.Outcome, r.Err = Detached, unix.EBUSY
		default:
			r.Outcome, r.Users = Unmounted, nil
		}
	}
	return left
}

// vanished tells whether a mount is no longer in the table. Where the table cannot be read it is taken to be there.
func vanished(e Entry) bool {
	info, err := Read()
	if err != nil {
		return false
	}
	now, there := info.ByID(e.ID)
	return !there || now.Target != e.Target
}

// nameUsers looks once for who uses any of the mounts that were busy.
func (u UnmountAll) nameUsers(results []UnmountResult) {
	var busy []*UnmountResult
	for i := range results {
		if r := &results[i]; r.Outcome == Stuck && len(r.Users) == 0 && errors.Is(r.Err, unix.EBUSY) {
			busy = append(busy, r)
		}
	}
	if len(busy) == 0 {
		return
	}
	entries := make([]Entry, len(busy))
	for i, r := range busy {
		entries[i] = r.entry
	}
	for i, users := range Users(entries) {
		busy[i].Users = users
	}
}

// sealRoot makes / read-only, which writes a clean superblock.
func (u UnmountAll) sealRoot(ctx context.Context, root Entry) UnmountResult {
	r := UnmountResult{Target: "/", FSType: root.FSType, Source: root.Source, Outcome: Stuck, entry: root}
	for {
		r.Tries++
		r.Err = bounded(u.CallLimit, func() error {
			var st unix.Statfs_t
			if err := retry(func() error { return unix.Statfs("/", &st) }); err != nil {
				return err
			}
			if st.Flags&unix.ST_RDONLY != 0 && hasWord(root.Super, ",", "ro") {
				return nil
			}
			// The flags of the mount are set anew by a remount: those that it has are to stay.
			keep := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
			return unix.Mount("", "/", "", keep|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		})
		switch {
		case r.Err == nil:
			r.Outcome, r.Users = Remounted, nil
			return r
		case !errors.Is(r.Err, unix.EBUSY) || r.Tries > u.Retries || ctx.Err() != nil:
			return r
		case len(r.Users) == 0:
			r.Users = usersOf([]Entry{root}, writersOnly)[0]
		}
		select {
		case <-ctx.Done():
		case <-time.After(u.Pause):
		}
	}
}

// ErrNoAnswer: a system call did not return in time. It may still be under way.
var ErrNoAnswer = errors.New("no answer in time")

// bounded waits for a system call as long as the limit. One that hangs keeps its thread.
func bounded(limit time.Duration, call func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		done <- call()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w (%v)", ErrNoAnswer, limit)
	}
}
