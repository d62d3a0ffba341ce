package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sandbox is a launcher running as PID 1 of its own namespaces. Its methods may be called from several goroutines.
type Sandbox struct {
	opts   Options
	cmd    *exec.Cmd
	pid    int
	start  uint64 // start time of pid
	tail   tail
	lock   *os.File // on the state folder
	tree   *os.File // on the root tree
	veth   *veth
	nat    *nat
	groups []string
	data   string // what is mounted at /var/lib/docker inside, see dataMount

	volatile bool

	done chan struct{} // closed when PID 1 has ended and its output is read
	end  ExitError     // valid when done is closed

	mu   sync.Mutex // for what Stop takes away
	held holdings
	keep *keeper
}

// Start starts a sandbox and returns when its launcher has been executed. ctx bounds the start alone: a sandbox that runs
// is ended with Stop or Kill. An error means that nothing was left behind, or names what was.
func Start(ctx context.Context, o Options) (*Sandbox, error) {
	if !initCalled {
		return nil, errors.New("sandbox.Init was not called at the start of main or TestMain: the sandbox runs this program again and needs it")
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("a sandbox needs root: %w", unix.EPERM)
	}
	o, err := o.resolve()
	if err != nil {
		return nil, fmt.Errorf("starting a sandbox: %w", err)
	}
	s := &Sandbox{opts: o, done: make(chan struct{})}
	if err := s.launch(ctx); err != nil {
		// The caller's ctx may be what ended the start; the way back must be bounded by its own.
		return nil, errors.Join(fmt.Errorf("starting a sandbox: %w", err), s.Kill())
	}
	return s, nil
}

func (s *Sandbox) launch(ctx context.Context) error {
	me, err := newOwner()
	if err != nil {
		return err
	}
	if err := s.openState(); err != nil {
		return err
	}
	hs, err := hostHierarchies()
	if err != nil {
		return err
	}
	if err := collectBounded(ctx, hs, me.PIDNS); err != nil {
		return fmt.Errorf("removing what a former sandbox left: %w", err)
	}
	cfg, err := s.stageConfig()
	if err != nil {
		return err
	}
	stage, err := s.spawn()
	if err != nil {
		return err
	}
	defer stage.close()
	for _, h := range hs {
		dir, err := h.makeGroup(me.String())
		if dir != "" {
			s.held.Groups = append(s.held.Groups, dir)
			s.groups = append(s.groups, dir)
		}
		if err == nil {
			err = join(dir, s.pid)
		}
		if err != nil {
			return err
		}
	}
	if err := s.connect(ctx, me); err != nil {
		return err
	}
	if s.keep, err = startKeeper(stage.pidfd, s.held); err != nil {
		return err
	}
	if err := stage.run(ctx, cfg, s); err != nil {
		return err
	}
	// A launcher that has ended already has no mounts, and its end is for Wait and Ready to tell.
	s.data, _ = dataMount(s.pid)
	return nil
}

func collectBounded(ctx context.Context, hs []hierarchy, pidns uint64) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	return collect(ctx, hs, pidns)
}

// openState makes the folders of the state and locks it: two overlays on one upper folder corrupt it.
func (s *Sandbox) openState() error {
	if s.opts.State == "" {
		dir, err := os.MkdirTemp("", "dockerlaunch-state-")
		if err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
		s.opts.State, s.held.TempState = dir, dir
	}
	root, err := os.Stat(s.opts.Root)
	if err != nil {
		return fmt.Errorf("root tree: %w", err)
	}
	// docker is mounted at /var/lib/docker, which dockerd makes 0710 itself; the others are mount points and layers.
	for _, name := range []string{"lower", "upper", "work", "volatile", "merged", "docker"} {
		if err := os.MkdirAll(filepath.Join(s.opts.State, name), 0o711); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	if s.opts.State, err = realPath(s.opts.State); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	// The upper folder's mode is what / shows.
	if err := os.Chmod(filepath.Join(s.opts.State, "upper"), root.Mode().Perm()); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(s.opts.State, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("locking %s: %w (another sandbox runs on this state folder)", lock.Name(), err)
	}
	s.lock = lock
	return s.useTree()
}

// useTree holds a lock on the root tree's folder, by which whoever builds it anew sees that it is the lower layer of an
// overlay: the kernel says nothing of that, as the mount is in another namespace.
func (s *Sandbox) useTree() error {
	tree, err := os.Open(s.opts.Root)
	if err != nil {
		return fmt.Errorf("root tree: %w", err)
	}
	if err := unix.Flock(int(tree.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		tree.Close()
		return fmt.Errorf("locking %s: %w (it is being built anew)", s.opts.Root, err)
	}
	s.tree = tree
	return nil
}

// connect makes the network that the options ask for.
func (s *Sandbox) connect(ctx context.Context, me owner) error {
	if s.opts.Network != NetworkVeth {
		return nil
	}
	mtu := s.opts.MTU
	if s.opts.NAT && mtu == 0 {
		up, err := uplinkMTU()
		if err != nil {
			return err
		}
		if up > 0 && up < 1500 {
			mtu = up
		}
	}
	v, err := newVeth(me, mtu)
	if err != nil {
		return err
	}
	s.veth, s.held.Veth = v, v
	if err := v.create(s.pid); err != nil {
		return err
	}
	if !s.opts.NAT {
		return nil
	}
	n, err := newNAT(ctx, me, v)
	if err != nil {
		return err
	}
	if err := n.collect(ctx, me.PIDNS); err != nil {
		return err
	}
	s.nat, s.held.NAT = n, n
	return n.create(ctx)
}

// PID returns the launcher's process ID on the host. It is 1 inside.
func (s *Sandbox) PID() int { return s.pid }

// Addr returns the sandbox's own address, at which published ports answer; it is not valid without a network.
func (s *Sandbox) Addr() netip.Addr {
	if s.veth == nil {
		return netip.Addr{}
	}
	return s.veth.Inner
}

// HostAddr returns the host's address as the sandbox sees it, its default gateway; it is not valid without a network.
func (s *Sandbox) HostAddr() netip.Addr {
	if s.veth == nil {
		return netip.Addr{}
	}
	return s.veth.Host
}

// State returns the state folder. What is written to / inside lies in its folder `upper`, unless Volatile.
func (s *Sandbox) State() string { return s.opts.State }

// Volatile tells that what is written to / is not kept, because the state folder's filesystem cannot be the upper layer of
// an overlay and a tmpfs took its place.
func (s *Sandbox) Volatile() bool { return s.volatile }

// CgroupDirs returns the folders of the sandbox's groups on the host, one per hierarchy.
func (s *Sandbox) CgroupDirs() []string { return append([]string(nil), s.groups...) }

// Output returns the last lines of what the launcher and its children wrote.
func (s *Sandbox) Output() []string { return s.tail.lines() }

// Done is closed when the launcher has ended.
func (s *Sandbox) Done() <-chan struct{} { return s.done }

func (s *Sandbox) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Wait waits for the launcher's end and returns its exit status, 128+n where signal n ended it. What the sandbox holds
// stays until Stop.
func (s *Sandbox) Wait() int {
	<-s.done
	return s.end.Code
}

// Exit waits as Wait does, and returns the launcher's status with its last lines as an error, also where the status is 0.
func (s *Sandbox) Exit() *ExitError {
	<-s.done
	e := s.end
	return &e
}

// Signal sends a signal to the launcher alone. One that has ended gives os.ErrProcessDone.
func (s *Sandbox) Signal(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("sending %v to PID %d: %w", sig, s.pid, err)
	}
	return nil
}
