package certs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockLimit bounds the wait for another process that is making files in the same folder, which takes it milliseconds.
const lockLimit = 10 * time.Second

// Apply makes what the plan says. It looks at the files again first, under a lock, so that of two launchers on one volume
// the second keeps what the first has made; and so that a second Apply changes nothing. Each file appears whole or not at
// all, and what a power cut leaves is mended by the next run.
func (p *Plan) Apply(ctx context.Context) (kept bool, err error) {
	if len(p.parts) == 0 {
		return true, nil // verified
	}
	fail := func(err error) error {
		return fmt.Errorf("making TLS files in %s: %w (the daemon is not reachable by TLS without them)", p.Dir, err)
	}
	if p.right() {
		return true, nil
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return false, fail(err)
	}
	unlock, err := lock(ctx, p.Dir)
	if err != nil {
		return false, fail(err)
	}
	defer unlock()
	now, err := NewPlan(p.Dir, p.wanted, p.now)
	if err != nil {
		return false, err
	}
	if now.right() || len(now.parts) == 0 {
		return true, nil
	}
	if err := sweep(p.Dir); err != nil {
		return false, fail(fmt.Errorf("removing what was left half written: %w", err))
	}
	if err := now.make(ctx); err != nil {
		return false, fail(err)
	}
	return false, nil
}

// right tells whether nothing has to be made.
func (p *Plan) right() bool {
	for _, a := range p.Actions {
		if a.Verb == Make {
			return false
		}
	}
	return true
}

// lock holds the folder for this process. A filesystem that has no locks is used without: two launchers on one volume are
// rare, and what they leave is mended at the next start.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil, errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EINVAL):
			return func() { _ = f.Close() }, nil // a folder that was only read has nothing to lose
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(fmt.Errorf("locking %s: %w", dir, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is locked by another process: %w", dir, ctx.Err()), f.Close())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// make writes all parts that are to be made.
func (p *Plan) make(ctx context.Context) error {
	var w writer
	defer w.discard()
	var ca *part
	for i := range p.parts {
		one := &p.parts[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.makePart(&w, one, ca); err != nil {
			return err
		}
		if i == 0 {
			ca = one
		}
	}
	return w.commit(p.Dir)
}

func (p *Plan) makePart(w *writer, one, ca *part) (err error) {
	w.aside = append(w.aside, one.aside...)
	if one.tighten != "" {
		w.tighten = append(w.tighten, one.tighten)
	}
	if one.key == nil {
		if one.key, err = generateP256(); err != nil {
			return fmt.Errorf("making the %s's key: %w", one.name, err)
		}
		if err := w.write(p.Dir, one.name+"/key.pem", one.key.encode()); err != nil {
			return err
		}
	}
	if one.cert == nil {
		from, to := lifespan(p.now, one.later)
		signer, issuer := one.key, (*certificate)(nil)
		if ca != nil {
			signer, issuer = ca.key, ca.cert
			if to.After(issuer.to) {
				to = issuer.to
			}
		}
		if one.cert, err = certificateFor(one.profile, one.subject, one.key.publicKey, p.wanted, from, to, issuer, signer); err != nil {
			return err
		}
		if err := w.write(p.Dir, one.name+"/cert.pem", one.cert.encode()); err != nil {
			return err
		}
	}
	if one.copy {
		return w.write(p.Dir, one.name+"/ca.pem", ca.cert.encode())
	}
	return nil
}
