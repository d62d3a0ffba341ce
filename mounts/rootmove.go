package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoMemory: there is not enough memory to move the root. Nothing was changed.
var ErrNoMemory = errors.New("not enough memory")

// The folders of the old root that RootMove works in. They are gone afterwards.
const (
	moveOld = "/.root-move-old"
	moveNew = "/.root-move-new"
)

// RootMove gives a system that was booted from an initramfs a root that is a mount like any other. The kernel unpacks an
// initramfs into its rootfs, the one mount without a parent, and pivot_root(2) refuses to work there (EINVAL), so that no
// container starts. See https://docs.kernel.org/filesystems/ramfs-rootfs-initramfs.html.
//
// The content is copied into a fresh tmpfs, and each file is removed as soon as it is copied. Where no other process runs, as
// at the start of PID 1, large files are even given back piece by piece while they are copied, from their end, so that the
// peak is the content and some tens of MiB, however large a file is; otherwise it is the content and the largest files being
// copied at the time. Owners, modes, times, hard links, holes, devices and extended attributes, file capabilities among them,
// are kept. Whatever is mounted below / moves along.
//
// Afterwards the process's root and working directory are the new ones, and those of the kernel's threads with them if this
// is PID 1, as they share it. The process still runs from the old file: to free that memory it should execute
// itself anew, by path or as /proc/self/exe. Descriptors of files in the old root stay open, on files that have no name any more.
// All mounts are private afterwards, as MS_MOVE does not work out of a shared one.
//
// It is to be done before other processes are started: those keep the old root. An error that is not ErrNoMemory may leave the
// content in two halves, from which there is no way back but a new boot.
type RootMove struct {
	// InPlace keeps the content where it is, and makes a bind mount of the rootfs the root. It costs neither time nor memory,
	// and pivot_root(2) works. The root is then what the kernel chose, a ramfs perhaps, which has no extended attributes and
	// no limit; and the same content lies once more beneath the root of every mount namespace, for a process with
	// CAP_SYS_ADMIN to uncover, where otherwise an empty rootfs is.
	InPlace bool `json:"in_place,omitempty"`
	// Limit is the size in bytes up to which the new tmpfs may grow. Zero stands for the content and half of the memory that
	// is left beside it.
	Limit uint64 `json:"limit,omitempty"`
}

// RootMoveReport is what a move came to.
type RootMoveReport struct {
	Files   int           `json:"files"`   // everything but folders
	Folders int           `json:"folders"` // the root among them
	Bytes   uint64        `json:"bytes"`   // of files' content, holes not counted
	Limit   uint64        `json:"limit"`   // of the new tmpfs, bytes
	Took    time.Duration `json:"took"`
	Moved   []string      `json:"moved,omitempty"`   // mount points that moved along
	Dropped []string      `json:"dropped,omitempty"` // mounts that were hidden by others, and are detached
	// Lost names attributes that the new filesystem did not take, for example "/bin/x: security.capability: not supported".
	Lost []string `json:"lost,omitempty"`
}

// Needed tells by the mount table whether the root is the kernel's rootfs, so that pivot_root(2) does not work. It is the one
// mount that is its own parent. (Where a newer kernel puts its rootfs on another mount, pivot_root works and nothing is needed.)
func (m RootMove) Needed(info Info) bool {
	root, ok := info.root()
	return ok && root.Parent == root.ID
}

// root gives the mount that the process's root is on.
func (i Info) root() (Entry, bool) {
	n := i.child(outside, "/")
	if n < 0 {
		return Entry{}, false
	}
	return i.entries[n], true
}

// String says in one line what Apply would do.
func (m RootMove) String() string {
	if m.InPlace {
		return "bind the initramfs over itself, so that containers can leave it with pivot_root(2)"
	}
	return "move the root from the initramfs into a tmpfs of its own, so that containers can leave it with pivot_root(2)"
}

// Apply is Move without the report.
func (m RootMove) Apply(ctx context.Context) (kept bool, err error) {
	info, err := Read()
	if err != nil {
		return false, err
	}
	if !m.Needed(info) {
		return true, nil
	}
	_, err = m.Move(ctx)
	return false, err
}

// Move does what is described at RootMove. It needs /proc. Where the root is not the kernel's rootfs the error matches
// ErrForeign and nothing is changed; where the memory does not suffice it matches ErrNoMemory and nothing is changed. The
// context is looked at until the first file is touched, and not from then on.
func (m RootMove) Move(ctx context.Context) (RootMoveReport, error) {
	begin := time.Now()
	var report RootMoveReport
	info, err := Read()
	if err != nil {
		return report, err
	}
	if !m.Needed(info) {
		return report, rootFailure("move", &Error{Kind: ErrForeign, Detail: "the root is not the kernel's rootfs"})
	}
	if err := makePrivate(info); err != nil {
		return report, err
	}
	if m.InPlace {
		err = m.bind(&report, info)
	} else {
		err = m.copy(ctx, &report, info)
	}
	report.Took = time.Since(begin)
	return report, err
}

func rootFailure(op string, e *Error) *Error {
	e.Op, e.Target = op+" the root", "/"
	e.Lost = "no container can start (pivot_root fails)"
	return e
}

func rootError(op string, err error) error {
	if err == nil {
		return nil
	}
	e := rootFailure(op, &Error{Err: err})
	e.classify()
	return e
}

// makePrivate takes all mounts out of their peer groups: moving out of a shared mount is EINVAL.
func makePrivate(info Info) error {
	for _, e := range info.entries {
		if e.Shared() {
			return rootError("make private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		}
	}
	return nil
}

func (m RootMove) bind(report *RootMoveReport, info Info) error {
	if err := os.Mkdir(moveNew, 0o700); err != nil {
		return rootError("make a folder in", err)
	}
	if err := unix.Mount("/", moveNew, "", unix.MS_BIND, ""); err != nil {
		return rootError("bind", errors.Join(err, os.Remove(moveNew)))
	}
	report.moveMounts(info, moveNew)
	if err := becomeRoot(moveNew); err != nil {
		return err
	}
	// The same folder, seen through the new mount; in the old one it is the mount point no more.
	return rootError("tidy", os.Remove(moveNew))
}

func (m RootMove) copy(ctx context.Context, report *RootMoveReport, info Info) (err error) {
	if err := os.Mkdir(moveOld, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return rootError("make a folder in", err)
	}
	// A bind mount without MS_REC shows the filesystem and nothing that is mounted on it, so that the copying cannot stray
	// into other filesystems, and finds what the mounts hide.
	if err := unix.Mount("/", moveOld, "", unix.MS_BIND, ""); err != nil {
		return rootError("bind", errors.Join(err, os.Remove(moveOld)))
	}
	t := &treeCopy{from: moveOld, to: moveNew, skip: []string{filepath.Base(moveOld), filepath.Base(moveNew)}}
	undo := func(err error) error {
		return errors.Join(err, unix.Unmount(moveOld, unix.MNT_DETACH), os.Remove(moveOld))
	}
	if err := t.scan(ctx); err != nil {
		return undo(rootError("look through", err))
	}
	t.workers = min(runtime.NumCPU(), maxWorkers)
	t.shrink = alone()
	if report.Limit, err = m.fits(t); err != nil {
		return undo(err)
	}
	if err := os.Mkdir(moveNew, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return undo(rootError("make a folder in", err))
	}
	data := fmt.Sprintf("mode=0755,size=%d,nr_inodes=%d", report.Limit, uint64(len(t.nodes))+report.Limit/(8<<10))
	if err := unix.Mount("tmpfs", moveNew, "tmpfs", 0, data); err != nil {
		return undo(errors.Join(rootError("mount a tmpfs for", err), os.Remove(moveNew)))
	}
	if err := t.run(); err != nil {
		return rootError("copy", err)
	}
	report.Files, report.Folders, report.Bytes, report.Lost = t.files, t.folders, t.bytes, t.lost
	report.moveMounts(info, moveNew)
	// What is left of the old root are empty folders. They are of no use, and hardly any memory.
	if err := errors.Join(t.tidy(), unix.Unmount(moveOld, unix.MNT_DETACH), os.Remove(moveOld)); err != nil {
		report.Lost = append(report.Lost, "memory of what could not be removed: "+oneLine(err.Error()))
	}
	return becomeRoot(moveNew)
}

// moveMounts moves everything that is mounted on the root to the same places in another folder, with what is mounted on it.
// One that cannot be moved is detached: left behind, nobody could reach it.
func (r *RootMoveReport) moveMounts(info Info, to string) {
	root, _ := info.root()
	var hidden []string
	for n, e := range info.entries {
		if e.Parent != root.ID || e.ID == root.ID || e.Target == "/" || e.Target == to {
			continue
		}
		if info.walk(e.Target) < 0 || !info.visible(n) {
			hidden = append(hidden, e.Target)
			continue
		}
		if err := unix.Mount(e.Target, filepath.Join(to, e.Target), "", unix.MS_MOVE, ""); err != nil {
			r.Lost = append(r.Lost, "the mount at "+printable(e.Target)+": "+err.Error())
			hidden = append(hidden, e.Target)
			continue
		}
		r.Moved = append(r.Moved, e.Target)
	}
	for _, target := range hidden {
		if err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err == nil {
			r.Dropped = append(r.Dropped, target)
		}
		// Otherwise it stays where it is, out of sight as before.
	}
}

// visible tells whether the mount, or one that is mounted on its root, is what is seen at its target.
func (i Info) visible(n int) bool {
	top := i.walk(i.entries[n].Target)
	for steps := 0; top >= 0 && steps <= len(i.entries); steps++ {
		if top == n {
			return true
		}
		if i.entries[top].Target != i.entries[n].Target {
			return false
		}
		under, ok := i.byID[i.entries[top].Parent]
		if !ok || under == top {
			return false
		}
		top = under
	}
	return false
}

// becomeRoot puts the mount at a folder over the root and enters it. pivot_root is what would be used anywhere else.
func becomeRoot(folder string) error {
	if err := unix.Chdir(folder); err != nil {
		return rootError("enter", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return rootError("replace", err)
	}
	if err := unix.Chroot("."); err != nil {
		return rootError("change", err)
	}
	return rootError("enter", unix.Chdir("/"))
}
