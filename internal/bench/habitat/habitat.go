// Package habitat runs a program as PID 1 of namespaces that look like those of `docker run --privileged`, on a root tree and
// with a data-root that is new each time, and tells when it was executed, when its daemon answered and how long it took to
// stop. Every program gets the same; what the start of the namespaces costs is not part of the figures.
package habitat

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/bench/ping"
	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// Init must come first in main, or in TestMain, of every program that uses this package: it is run again inside.
func Init() {
	if len(os.Args) > 2 && os.Args[1] == stageWord {
		fmt.Fprintf(os.Stderr, "habitat: %v\n", stage(os.Args[2:]))
		os.Exit(125)
	}
	sandbox.Init()
}

// Options say what runs.
type Options struct {
	Root     string   // the root tree
	Launcher string   // is /usr/bin/dockerlaunch inside
	Stage    string   // a static program that calls Init; empty for this one
	Argv     []string // the program, by its path inside, and its arguments
	Env      []string // nil means sandbox.DefaultEnv
	// Files go into / before the program starts.
	Files []sandbox.File
	Binds []sandbox.Bind
	// Gate, where it is not empty, is a file whose lock holds the program back: see Gate.
	Gate string
}

// Habitat is a program at work.
type Habitat struct {
	box *sandbox.Sandbox
	dir string // /bench inside
}

// Start starts a program. What it made is gone after Close.
func Start(ctx context.Context, o Options) (*Habitat, error) {
	if o.Stage == "" {
		var err error
		if o.Stage, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "habitat-")
	if err != nil {
		return nil, err
	}
	h := &Habitat{dir: dir}
	if err := copyOver(o.Launcher, filepath.Join(dir, "launcher")); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	binds := append([]sandbox.Bind{{Source: dir, Target: "/bench"}}, o.Binds...)
	if o.Gate != "" {
		binds = append(binds, sandbox.Bind{Source: o.Gate, Target: "/gate"})
	}
	h.box, err = sandbox.Start(ctx, sandbox.Options{
		Root: o.Root, Launcher: o.Stage, Argv: append([]string{stageWord}, o.Argv...), Env: o.Env, Binds: binds,
		Files: append([]sandbox.File{
			{Path: "/etc/resolv.conf", Data: []byte("# none\n")}, {Path: "/etc/hosts", Data: []byte("127.0.0.1 localhost\n")},
		}, o.Files...),
	})
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Close ends the program where it still runs, and removes everything.
func (h *Habitat) Close() error {
	var err error
	if h.box != nil {
		err = h.box.Kill()
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// stamp is the clock that a program wrote; false where it did not yet.
func (h *Habitat) stamp(path string) (int64, bool) {
	data, err := os.ReadFile(filepath.Join(h.dir, filepath.Base(path)))
	if err != nil || len(data) < 16 {
		return 0, false // not yet; who waits has a bound
	}
	return int64(binary.LittleEndian.Uint64(data))*int64(time.Second) + int64(binary.LittleEndian.Uint64(data[8:])), true
}

// Ready waits until the daemon answers /_ping with 200 on its unix socket, and returns how long after the execution of the
// program that was. It asks every interval.
func (h *Habitat) Ready(ctx context.Context, interval time.Duration) (time.Duration, error) {
	socket := h.Path("/run/docker.sock")
	return h.ReadyBy(ctx, interval, func(ctx context.Context) error { return ping.Unix(ctx, socket) })
}

// ReadyBy is Ready for another way to ask; a nil error of it means yes.
func (h *Habitat) ReadyBy(ctx context.Context, interval time.Duration, ask func(context.Context) error) (time.Duration, error) {
	for {
		if ask(ctx) == nil { // until it is there, every kind of failure is to be expected
			now := monotonic()
			if begin, ok := h.stamp(startPath); ok {
				return since(begin, now), nil
			}
		}
		if err := h.pause(ctx, interval); err != nil {
			return 0, err
		}
	}
}

func (h *Habitat) pause(ctx context.Context, interval time.Duration) error {
	select {
	case <-h.box.Done():
		return h.box.Exit()
	case <-ctx.Done():
		return fmt.Errorf("waiting for the daemon: %w; the last lines of its output:\n%s", ctx.Err(), strings.Join(h.box.Output(), "\n"))
	case <-time.After(interval):
		return nil
	}
}

// Stubbed waits until the Stub was executed, and returns how long after the execution of the program that was.
func (h *Habitat) Stubbed(ctx context.Context) (time.Duration, error) {
	for {
		begin, started := h.stamp(startPath)
		if end, ok := h.stamp(stubPath); ok && started {
			return since(begin, end), nil
		}
		if err := h.pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// Stop sends PID 1 a SIGTERM and returns how long it took to end, which took all of its processes with it.
func (h *Habitat) Stop(ctx context.Context) (time.Duration, error) {
	begin := monotonic()
	if err := h.box.Signal(unix.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-h.box.Done():
		return since(begin, monotonic()), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for PID 1 to end after SIGTERM: %w", ctx.Err())
	}
}

// Resident is the memory of PID 1 in bytes (VmRSS of proc_pid_status(5)).
func (h *Habitat) Resident() (int64, error) {
	path := fmt.Sprintf("/proc/%d/status", h.box.PID())
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(rest)), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", path)
}

// Addr is the habitat's address, which the host reaches.
func (h *Habitat) Addr() netip.Addr { return h.box.Addr() }

// Path is where the host finds a file of what PID 1 sees, as long as that runs.
func (h *Habitat) Path(inside string) string {
	return fmt.Sprintf("/proc/%d/root%s", h.box.PID(), inside)
}

// Output is the last lines of what the program wrote.
func (h *Habitat) Output() []string { return h.box.Output() }

// Gate makes a file for Options.Gate whose programs wait until open is called. Sandbox.Start returns before they do.
func Gate() (path string, open func() error, err error) {
	file, err := os.CreateTemp("", "gate-")
	if err != nil {
		return "", nil, err
	}
	open = func() error { return errors.Join(os.Remove(file.Name()), file.Close()) } // which lets go of the lock
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return "", nil, errors.Join(os.NewSyscallError("flock", err), open())
	}
	return file.Name(), open, nil
}

// PID is the program's process on the host.
func (h *Habitat) PID() int { return h.box.PID() }
