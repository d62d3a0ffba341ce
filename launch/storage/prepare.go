package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Runner runs programs. PID 1 has one of its own, because it reaps every process itself.
type Runner interface {
	// Run runs a program and waits for it. output is what it wrote, to standard output and error; exitCode is 128+n where
	// signal n ended it. The error is about the starting and waiting, and matches fs.ErrNotExist where there is no such program.
	Run(ctx context.Context, path string, args ...string) (exitCode int, output string, err error)
}

// Preparer carries out a Plan.
type Preparer struct {
	Runner Runner
	// Find gives the path of a program. Nil looks in /usr/sbin, /sbin, /usr/bin and /bin.
	Find func(name string) (path string, ok bool)
	// LoadFilesystem loads the module of a filesystem that the kernel lacks; nil cannot.
	LoadFilesystem func(ctx context.Context, fstype string) error
	// Repair lets e2fsck correct what it would rather ask about (-y).
	Repair bool
	// Options are the mount options, for example "noatime"; of the general ones only noatime, nodiratime and discard belong here.
	Options string
}

// Prepared is what came of a Plan.
type Prepared struct {
	Kept      bool   `json:"kept"` // it was mounted already
	Disk      string `json:"disk,omitempty"`
	FSType    string `json:"fstype,omitempty"`
	Formatted bool   `json:"formatted,omitempty"`
	// Check is what the check of the filesystem found, where there was one.
	Check *CheckResult `json:"check,omitempty"`
	// Size is that of the filesystem in bytes, GrownFrom what it was before it grew.
	Size      uint64 `json:"size,omitempty"`
	GrownFrom uint64 `json:"grown_from,omitempty"`
	// Notices are what a user should know, whole sentences.
	Notices []string `json:"notices,omitempty"`
}

func (p *Prepared) notice(format string, args ...any) {
	p.Notices = append(p.Notices, fmt.Sprintf(format, args...))
}

// Apply formats where the plan says so, checks, mounts and grows. With Memory it does nothing, with Refuse it returns the
// plan's error. Where the disk is mounted at the target already, that is kept. Errors are of type *Error, or those of the
// context; a failing check or growth that leaves the disk usable is a notice.
func (p Preparer) Apply(ctx context.Context, plan Plan) (Prepared, error) {
	var done Prepared
	switch plan.Action {
	case Memory:
		done.notice("%s", plan.Reason)
		return done, nil
	case Refuse:
		return done, plan.Err
	}
	if err := ctx.Err(); err != nil {
		return done, err
	}
	d := *plan.Disk
	done.Disk, done.FSType = d.Path, plan.FSType
	if kept, err := mountedAt(d, plan.Target); err != nil {
		return done, err
	} else if kept {
		done.Kept = true
		return done, p.grow(ctx, d, plan, &done)
	}
	if plan.Action == Format {
		c, err := p.format(ctx, d, plan)
		if err != nil {
			return done, err
		}
		d.Content, done.Formatted = c, true
	}
	if d.Content.Marker != nil {
		if err := eraseMarker(d); err != nil {
			return done, err
		}
	}
	if !done.Formatted {
		if err := p.check(ctx, d, plan, &done); err != nil {
			return done, err
		}
	}
	if err := p.mount(ctx, d, plan); err != nil {
		return done, err
	}
	return done, p.grow(ctx, d, plan, &done)
}

// mountedAt tells whether the disk is mounted at the target. Something else there is an error, except for what is no mount of
// its own.
func mountedAt(d Disk, target string) (bool, error) {
	at := mountPoints()[unix.Mkdev(d.Major, d.Minor)]
	var here, parent unix.Stat_t
	if err := unix.Stat(target, &here); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return false, nil
		}
		return false, &Error{Op: "look at the data-root", Path: target, Err: err}
	}
	if at == filepath.Clean(target) || uint64(here.Dev) == unix.Mkdev(d.Major, d.Minor) {
		return true, nil
	}
	if err := unix.Stat(filepath.Dir(filepath.Clean(target)), &parent); err == nil && parent.Dev != here.Dev {
		return false, &Error{Op: "mount " + d.Path + " at", Path: target, Kind: ErrInUse, Detail: "something else is mounted there", Advice: "unmount it, or do not name a disk"}
	}
	return false, nil
}

func (p Preparer) mount(ctx context.Context, d Disk, plan Plan) error {
	failed := func(err error) error {
		e := &Error{Op: fmt.Sprintf("mount the %s of %s at", plan.FSType, d.Path), Path: plan.Target, Err: err}
		switch {
		case errors.Is(err, unix.ENODEV):
			e.Kind, e.Advice = ErrNoFilesystem, "load its module, or boot a kernel that has it"
		case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES):
			e.Kind = ErrReadOnly
		case errors.Is(err, unix.EBUSY):
			e.Kind = ErrInUse
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EUCLEAN):
			e.Advice = "the kernel's log says more; it may be damaged, or made for a newer kernel"
		}
		return e
	}
	if err := os.MkdirAll(plan.Target, 0o710); err != nil {
		return &Error{Op: "make the data-root", Path: plan.Target, Err: err}
	}
	if len(plan.Others) > 0 {
		if err := scanBtrfs(append([]Disk{d}, plan.Others...)); err != nil {
			return failed(err)
		}
	}
	flags, data := mountOptions(p.Options)
	mount := func() error { return unix.Mount(d.Path, plan.Target, plan.FSType, flags, data) }
	err := mount()
	if errors.Is(err, unix.ENODEV) && p.LoadFilesystem != nil {
		if lerr := p.LoadFilesystem(ctx, plan.FSType); lerr != nil {
			return failed(errors.Join(err, lerr))
		}
		err = mount()
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// mountOptions parts the options that are flags of mount(2) from those of the filesystem.
func mountOptions(options string) (flags uintptr, data string) {
	var rest []string
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "", "defaults", "rw":
		case "noatime":
			flags |= unix.MS_NOATIME
		case "nodiratime":
			flags |= unix.MS_NODIRATIME
		default:
			rest = append(rest, o)
		}
	}
	return flags, strings.Join(rest, ",")
}

// find looks for a program.
func (p Preparer) find(name string) (string, error) {
	if p.Runner == nil {
		return "", fmt.Errorf("%s: nobody is there to run it: %w", name, fs.ErrNotExist)
	}
	if p.Find != nil {
		if path, ok := p.Find(name); ok {
			return path, nil
		}
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path := filepath.Join(dir, name); unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// lastLines cuts a program's output down to what fits into a message.
func lastLines(output string) string {
	const most = 300
	text := oneLine(output)
	if len(text) > most {
		text = "…" + strings.ToValidUTF8(text[len(text)-most:], "")
	}
	return text
}
