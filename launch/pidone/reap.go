package pidone

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// reapAgain is how long a child could stay unreaped if a SIGCHLD were lost, which the kernel does not do.
const reapAgain = 30 * time.Second

// Orphans returns how many processes were reaped that Spawn did not start: those whose own parents ended before them.
func (i *Init) Orphans() uint64 { return i.orphans.Load() }

func (i *Init) reapForever(childEnded <-chan os.Signal) {
	again := time.NewTicker(reapAgain)
	defer again.Stop()
	for taken := i.taken; ; {
		select {
		case <-taken:
			taken = nil // of what ended before there was no word
		case <-childEnded:
		case <-again.C:
		}
		if err := i.reap(); err != nil {
			// It worked at the start. A process that cannot reap any more cannot supervise either.
			panic(err)
		}
	}
}

// reap takes the status of every child that has ended. One SIGCHLD may stand for many.
func (i *Init) reap() error {
	for {
		switch more, err := i.reapOne(); {
		case err != nil:
			return err
		case !more:
			return nil
		}
	}
}

// reapOne holds the lock for one child only, so that Spawn gets its turn among thousands of orphans.
func (i *Init) reapOne() (more bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var status unix.WaitStatus
	// __WALL: children that were made with another signal than CHLD, too (wait(2)).
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
	switch {
	case err == unix.EINTR:
		return true, nil
	case err == unix.ECHILD: // there are no children
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reaping children: wait4: %w", err)
	case pid == 0: // there are children, and none has ended
		return false, nil
	}
	p, ours := i.children[pid]
	if !ours {
		i.orphans.Add(1)
		return true, nil
	}
	delete(i.children, pid)
	p.end(Status{status})
	return true, nil
}
