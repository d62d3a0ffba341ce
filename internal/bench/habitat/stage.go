package habitat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
)

// stageWord is the stage's first argument; behind it stand the program and its arguments.
const stageWord = "habitat-stage"

// stage is PID 1 of the sandbox until it executes the program: it makes of the sandbox what `docker run --privileged` makes of
// a container, so that a bare daemon can run in it.
func stage(argv []string) error {
	if err := errors.Join(filesystems(), loopback()); err != nil {
		return err
	}
	// The tree's launcher is in its place, which this program had.
	if err := copyOver("/bench/launcher", sandbox.LauncherPath); err != nil {
		return err
	}
	if err := waitForGate(); err != nil {
		return err
	}
	if err := os.WriteFile(starterPath, starter(), 0o755); err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: argv[0], Err: unix.Exec(starterPath, append([]string{starterPath}, argv...), os.Environ())}
}

const starterPath = "/bench/starter"

func copyOver(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to+".new", data, 0o755); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// waitForGate waits until the driver lets all sandboxes go at once.
func waitForGate() error {
	gate, err := os.Open("/gate")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer gate.Close()
	for {
		if err := unix.Flock(int(gate.Fd()), unix.LOCK_SH); err != unix.EINTR {
			return err
		}
	}
}

// monotonic is the clock that all processes of the machine share, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every kernel has it (clock_gettime(2))
	}
	return t.Nano()
}

// since is the time from a stamp to another.
func since(from, to int64) time.Duration { return time.Duration(to - from) }

type mount struct {
	source, target, fstype, data string
	flags                        uintptr
}

// filesystems are what a container runtime mounts for a privileged container (config.md of the OCI runtime specification).
func filesystems() error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	mounts := []mount{
		{"proc", "/proc", "proc", "", quiet},
		{"sysfs", "/sys", "sysfs", "", quiet},
		{"tmpfs", "/dev", "tmpfs", "mode=755,size=65536k", unix.MS_NOSUID},
		{"devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"shm", "/dev/shm", "tmpfs", "mode=1777,size=65536k", quiet},
		{"mqueue", "/dev/mqueue", "mqueue", "", quiet},
		{"tmpfs", "/run", "tmpfs", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	}
	for _, m := range mounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	groups, err := cgroups()
	if err != nil {
		return err
	}
	for _, m := range groups {
		if err := m.mount(); err != nil {
			return err
		}
	}
	return devices()
}

func (m mount) mount() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", m.fstype, m.target, err)
	}
	return nil
}

// cgroups are the hierarchies that this process is in (cgroups(7)): version 2 alone, or those of version 1.
func cgroups() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	mounts := []mount{{"tmpfs", "/sys/fs/cgroup", "tmpfs", "mode=755", flags}}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || fields[1] == "" {
			continue
		}
		name := strings.TrimPrefix(fields[1], "name=")
		mounts = append(mounts, mount{"cgroup", "/sys/fs/cgroup/" + name, "cgroup", fields[1], flags})
	}
	if len(mounts) == 1 {
		return []mount{{"cgroup2", "/sys/fs/cgroup", "cgroup2", "", flags}}, nil
	}
	return mounts, nil
}

func devices() error {
	unix.Umask(0)
	defer unix.Umask(0o022)
	for name, number := range map[string][2]uint32{
		"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "tty": {5, 0}, "fuse": {10, 229}, "kmsg": {1, 11},
	} {
		if err := unix.Mknod("/dev/"+name, unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			return fmt.Errorf("making /dev/%s: %w", name, err)
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// loopback brings lo up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}
