package mounts

import (
	"context"

	"golang.org/x/sys/unix"
)

// Propagation makes a mount and everything mounted on it shared, so that mounts made later reach the mount namespaces that are
// cloned from this one, and those made in containers come back. Containers with volumes of shared propagation need that of
// the mount that holds the volume. See mount_namespaces(7).
type Propagation struct {
	Target string `json:"target"`
}

// String says in one line what Apply would do.
func (p Propagation) String() string {
	return "make " + printable(p.Target) + " and all mounts below it shared (rec,shared)"
}

// Apply does it, unless all of them are shared. Mounts made later below a shared one are shared from the start, so a second
// run keeps everything. It reads the mount table, so /proc has to be mounted. A target that is no mount point, as the root of a
// chroot may be, is an ErrNotMountPoint.
func (p Propagation) Apply(ctx context.Context) (kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if shared, err := p.shared(); shared || err != nil {
		return shared, err
	}
	// The kernel changes all of them or none (do_change_type in fs/namespace.c).
	if err := p.share(); err != nil {
		return false, p.failure(opShare, err)
	}
	return false, nil
}

func (p Propagation) share() error {
	return retry(func() error { return unix.Mount("", p.Target, "", unix.MS_REC|unix.MS_SHARED, "") })
}

// Unshared is a Propagation of which it is known, from a mount table that was read already, that it does not stand.
type Unshared struct{ Propagation }

// Apply does what Propagation.Apply does, and reads no mount table unless something is wrong.
func (u Unshared) Apply(ctx context.Context) (kept bool, err error) {
	if ctx.Err() == nil && u.share() == nil {
		return false, nil
	}
	return u.Propagation.Apply(ctx)
}

// Stands tells whether the target and everything on it is shared, so that Apply would keep it.
func (p Propagation) Stands() bool {
	shared, err := p.shared()
	return shared && err == nil
}

// StandsIn is Stands by a mount table that was read already.
func (p Propagation) StandsIn(info Info) bool {
	shared, err := p.sharedIn(info)
	return shared && err == nil
}

// shared tells whether the target and everything on it is shared.
func (p Propagation) shared() (bool, error) {
	info, err := Read()
	if err != nil {
		return false, p.failure("read the mount table to share", err)
	}
	return p.sharedIn(info)
}

func (p Propagation) sharedIn(info Info) (bool, error) {
	s, e := observe(p.Target, info)
	if e != nil {
		return false, p.failure(e.Op, e.Err)
	}
	top, ok := info.At(s.Path)
	if !ok {
		e := p.failure(opShare, nil)
		e.Kind = ErrNotMountPoint
		e.Advice = "mount it onto itself first (mount --bind), or enter the root with pivot_root instead of chroot"
		return false, e
	}
	for _, e := range info.tree(top) {
		if !e.Shared() {
			return false, nil
		}
	}
	return true, nil
}

func (p Propagation) failure(op string, err error) *Error {
	e := &Error{
		Op: op, Target: p.Target, Flags: unix.MS_REC | unix.MS_SHARED, Err: err,
		Lost: "volumes with shared propagation do not work",
	}
	e.classify()
	return e
}
