package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// killTimeout bounds the wait for PID 1 to be gone after SIGKILL: the kernel first kills and reaps all of its namespace.
const killTimeout = 20 * time.Second

// ErrForced is in Stop's error when the launcher did not end by itself after SIGTERM and was killed.
var ErrForced = errors.New("the launcher did not end after SIGTERM and was killed")

// Stop ends the launcher with SIGTERM, or with SIGKILL (which ends every process of the sandbox) when it has not ended after
// Options.StopTimeout or when ctx ends; the error then is ErrForced. Then it removes what the sandbox held: cgroups, network
// devices, NAT. The error names everything that could not be removed. Stop may be called again, to the same end.
func (s *Sandbox) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil || s.ended() {
		return s.clean()
	}
	s.awaitHandler(unix.SIGTERM)
	if err := s.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(err, s.killed(), s.clean())
	}
	limit := time.NewTimer(s.opts.StopTimeout)
	defer limit.Stop()
	select {
	case <-s.done:
		return s.clean()
	case <-limit.C:
		return errors.Join(fmt.Errorf("%w (%v had passed)", ErrForced, s.opts.StopTimeout), s.killed(), s.clean())
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%w: %w", ErrForced, ctx.Err()), s.killed(), s.clean())
	}
}

// Kill ends every process of the sandbox with SIGKILL, and removes what it held as Stop does.
func (s *Sandbox) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.killed(), s.clean())
}

// killed kills PID 1, and with it its PID namespace, and waits until the kernel is done.
func (s *Sandbox) killed() error {
	if s.cmd == nil || s.ended() {
		return nil
	}
	if err := s.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(killTimeout):
		return fmt.Errorf("PID %d has not ended %v after SIGKILL", s.pid, killTimeout)
	}
}

// clean removes what is held and lets the keeper go. It has bounds of its own, as it must also work when a caller's ctx is over.
func (s *Sandbox) clean() error {
	err := s.held.release(context.Background())
	if s.keep != nil {
		err = errors.Join(err, s.keep.dismiss())
		s.keep = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	if s.tree != nil {
		err = errors.Join(err, s.tree.Close())
		s.tree = nil
	}
	return err
}
