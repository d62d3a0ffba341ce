package storage

import (
	"errors"
	"strings"
)

// What errors of this package match with errors.Is.
var (
	// ErrAmbiguous: several disks are meant.
	ErrAmbiguous = errors.New("several disks are meant")
	// ErrNotBlank: there is something on the disk, so that it is not formatted.
	ErrNotBlank = errors.New("there is something on the disk")
	// ErrReadOnly: the disk or the data-root is read-only.
	ErrReadOnly = errors.New("read-only")
	// ErrUnfit: Docker cannot keep its data there.
	ErrUnfit = errors.New("not fit for Docker's data")
	// ErrNoFilesystem: the kernel lacks the filesystem.
	ErrNoFilesystem = errors.New("the kernel lacks the filesystem")
	// ErrUnreadable: the disk cannot be read.
	ErrUnreadable = errors.New("the disk cannot be read")
	// ErrInUse: the disk or the data-root is in use.
	ErrInUse = errors.New("in use")
	// ErrNeedsRepair: the check found errors that it does not correct by itself.
	ErrNeedsRepair = errors.New("the filesystem has errors that need a decision")
	// ErrProgram: a program is missing, or failed.
	ErrProgram = errors.New("a program failed")
)

// Error is one thing that does not work with a disk or data-root. Its text is one line.
type Error struct {
	Op     string // what was tried, a verb phrase
	Path   string // of the disk or folder
	Kind   error  // one of the Err variables of this package
	Detail string
	Err    error // the kernel's answer, if there was one
	Lost   string
	Advice string
}

// Error gives the line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + e.Path)
	}
	for _, part := range []string{said(e.Kind), e.Detail, said(e.Err)} {
		if part != "" {
			b.WriteString(": " + oneLine(part))
		}
	}
	if e.Lost != "" {
		b.WriteString("; " + e.Lost)
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Unwrap gives the kernel's answer.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the Kind.
func (e *Error) Is(target error) bool { return e.Kind != nil && target == e.Kind }

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
