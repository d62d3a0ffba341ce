package mounts

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// What errors of this package match with errors.Is, so that a caller can decide on them. The system call's own answer is
// matched too where there was one, for example unix.EROFS.
var (
	// ErrReadOnlyRoot: something is missing at the target and cannot be made, for the filesystem is read-only.
	ErrReadOnlyRoot = errors.New("read-only file system")
	// ErrReadOnly: what stands at the target is kept, has to be written to, and is read-only.
	ErrReadOnly = errors.New("mounted read-only")
	// ErrReadOnlySys: /sys is read-only, which is how an unprivileged container is told. Such errors match ErrReadOnly too.
	ErrReadOnlySys = errors.New("/sys is read-only, as in an unprivileged container")
	// ErrNoTarget: the target is a file, or leads nowhere.
	ErrNoTarget = errors.New("not a folder")
	// ErrForeign: something else stands at the target. It is never removed.
	ErrForeign = errors.New("something else is there")
	// ErrNoFilesystem: the kernel lacks the filesystem.
	ErrNoFilesystem = errors.New("the kernel lacks this filesystem")
	// ErrNotPermitted: the kernel or a security module does not permit it.
	ErrNotPermitted = errors.New("not permitted")
	// ErrNotMountPoint: the target would have to be a mount point.
	ErrNotMountPoint = errors.New("not a mount point")
)

// The values of Error.Op that decide on the message or the advice.
const (
	opMount = "mount"
	opBind  = "bind"
	opShare = "share"
	opLink  = "link"
)

// Error is an operation that failed or was refused. Its text is one line: what was tried, why it failed, what is lost and what
// can be done.
type Error struct {
	Op             string // a verb phrase, for example "mount"
	Source, Target string
	FSType         string
	Flags          Flags
	Data           string
	// Kind is one of the Err variables of this package, or nil.
	Kind error
	// Err is the answer of the kernel, or nil where nothing was tried.
	Err error
	// Detail says more about Kind and Err: what stands in the way, or the filesystem's own words.
	Detail string
	// Lost says what does not work now, Advice what the user can do. Both are parts of a sentence.
	Lost, Advice string
}

// Error gives the one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op + " ")
	if e.FSType != "" {
		b.WriteString(e.FSType + " at ")
	}
	b.WriteString(printable(e.Target))
	if e.Op == opLink || e.Op == opBind {
		b.WriteString(" to " + printable(e.Source))
	}
	if o := options(e.Flags, e.Data); o != "" {
		b.WriteString(" (" + oneLine(o) + ")")
	}
	for _, part := range []string{message(e.Err), e.kindMessage(), e.Detail} {
		if part != "" {
			b.WriteString(": " + oneLine(part))
		}
	}
	if e.Lost != "" {
		b.WriteString("; without it " + oneLine(e.Lost))
	}
	if e.Advice != "" {
		b.WriteString("; " + oneLine(e.Advice))
	}
	return b.String()
}

// kindMessage leaves out what the kernel's answer has said already.
func (e *Error) kindMessage() string {
	if e.Err != nil && (errors.Is(e.Err, unix.EROFS) && e.Kind == ErrReadOnlyRoot || e.Kind == ErrNotPermitted) {
		return ""
	}
	return message(e.Kind)
}

// Unwrap gives the answer of the kernel.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the Kind.
func (e *Error) Is(target error) bool {
	return e.Kind != nil && (target == e.Kind || e.Kind == ErrReadOnlySys && target == ErrReadOnly)
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// failure makes the error of a system call that was answered, and classifies the answer.
func (m Mount) failure(op string, err error) *Error {
	e := &Error{
		Op: op, Source: m.Source, Target: m.Target, FSType: m.FSType, Flags: m.Flags, Data: m.Data, Err: err, Lost: m.Lost,
	}
	e.classify()
	return e
}

// classify sets Kind and Advice by the answer of the kernel.
func (e *Error) classify() {
	switch {
	case errors.Is(e.Err, unix.EROFS) && e.Op != opMount: // of mount(2) it would speak of a block device
		e.Kind = ErrReadOnlyRoot
		e.Advice = "make " + printable(e.Target) + " in the image, or start with a writable root"
	case errors.Is(e.Err, unix.ENODEV) && e.FSType != "":
		e.Kind, e.Advice = ErrNoFilesystem, kernelAdvice(e.FSType)
	case errors.Is(e.Err, unix.EPERM), errors.Is(e.Err, unix.EACCES):
		// EACCES is what AppArmor and SELinux answer.
		e.Kind, e.Advice = ErrNotPermitted, "run it as root"
		if e.Op == opMount || e.Op == opBind || e.Op == opShare {
			e.Advice = "run it as root with CAP_SYS_ADMIN, in a container with --privileged and without a user namespace"
		}
	case errors.Is(e.Err, unix.ENOTDIR), errors.Is(e.Err, unix.ELOOP):
		e.Kind = ErrNoTarget
	}
}

// printable gives a path as it is, or quoted where it could be misread.
func printable(path string) string {
	if path == "" || strings.ContainsFunc(path, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}

// oneLine keeps a foreign text from breaking the line.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
