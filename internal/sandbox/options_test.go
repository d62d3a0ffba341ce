package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestStartRefuses(t *testing.T) {
	good := options(t, "sleep")
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(o *Options)
		is     error
		says   string
	}{
		"no tree":                 {func(o *Options) { o.Root = filepath.Join(empty, "none") }, fs.ErrNotExist, "root tree"},
		"no tree named":           {func(o *Options) { o.Root = "" }, nil, "root tree: no folder was named"},
		"tree is a file":          {func(o *Options) { o.Root = file }, nil, "not a folder"},
		"tree is empty":           {func(o *Options) { o.Root = empty }, nil, "make rootfs"},
		"no launcher":             {func(o *Options) { o.Launcher = filepath.Join(empty, "none") }, fs.ErrNotExist, "launcher: "},
		"launcher not executable": {func(o *Options) { o.Launcher = file }, nil, "not an executable file"},
		"launcher is a folder":    {func(o *Options) { o.Launcher = empty }, nil, "not an executable file"},
		"none in the tree":        {func(o *Options) { o.Launcher = "" }, fs.ErrNotExist, "the root tree has none"},
		"state in the tree":       {func(o *Options) { o.State = filepath.Join(o.Root, "state") }, nil, "within each other"},
		"tree in the state":       {func(o *Options) { o.State = filepath.Dir(o.Root) }, nil, "within each other"},
		"state is a file":         {func(o *Options) { o.State = file }, unix.ENOTDIR, "state folder"},
		"no source of a mount":    {func(o *Options) { o.Binds = []Bind{{Source: file + "x", Target: "/mnt"}} }, fs.ErrNotExist, "/mnt"},
		"no such capability":      {func(o *Options) { o.DropCaps = []int{63} }, unix.EINVAL, "capability 63"},
		"launcher is no program": {func(o *Options) {
			o.Launcher = filepath.Join(t.TempDir(), "text")
			if err := os.WriteFile(o.Launcher, []byte("text"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, unix.ENOEXEC, LauncherPath},
		"launcher lacks its interpreter": {func(o *Options) {
			o.Launcher = filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(o.Launcher, []byte("#!/no/such/shell\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, unix.ENOENT, "static"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			sb, err := Start(context.Background(), o)
			if err == nil {
				_ = sb.Kill()
				t.Fatal("it started")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %q and %v in it", err, c.says, c.is)
			}
		})
	}
	// A refusal leaves the state free for the next start, and nothing else.
	sb := start(t, good)
	if err := sb.Kill(); err != nil {
		t.Error(err)
	}
}

func TestStartIsBoundedByItsContext(t *testing.T) {
	o := options(t, "sleep")
	// A launcher on a pipe that nobody writes to: the stage hangs in opening it.
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Launcher = fifo
	s := &Sandbox{opts: o, done: make(chan struct{})}
	s.opts.Hostname, s.opts.StopTimeout = "x", time.Second
	began := time.Now()
	err := errors.Join(s.launch(ctx), s.Kill())
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	nothingLeft(t, s)
}

func TestReadonlyRoot(t *testing.T) {
	o := options(t, "write", "/etc/written", "x")
	o.ReadonlyRoot = true
	if out, code := run(t, o); code != 99 || !strings.Contains(out, "read-only file system") {
		t.Errorf("writing to /etc: status %d, %s", code, out)
	}
	o.Argv = []string{"write", "/var/lib/docker/written", "x"}
	if out, code := run(t, o); code != 0 {
		t.Errorf("writing to /var/lib/docker: status %d, %s", code, out)
	}
}

func TestHide(t *testing.T) {
	o := options(t, "cat", "/etc/marker")
	o.Hide = []string{"/etc/marker", "usr/share/not-there"}
	if out, code := run(t, o); code != 99 || !strings.Contains(out, "no such file") {
		t.Errorf("status %d, %s", code, out)
	}
	if !exists(filepath.Join(o.Root, "etc/marker")) {
		t.Error("it was removed from the tree itself")
	}
}

func TestFiles(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	o := options(t, "cat", "/etc/docker/daemon.json")
	o.State = onTmpfs(t)
	o.Files = []File{
		{Path: "/etc/docker/daemon.json", Data: []byte("{}"), Mode: 0o600},
		{Path: "/etc/marker", Data: []byte("replaced")},
	}
	if out, code := run(t, o); code != 0 || out != "{}" {
		t.Errorf("status %d, %s", code, out)
	}
	for path, mode := range map[string]fs.FileMode{"etc/docker/daemon.json": 0o600, "etc/marker": 0o644, "etc/docker": fs.ModeDir | 0o755} {
		fi, err := os.Stat(filepath.Join(o.State, "upper", path))
		if err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v", path, fi, err)
		}
	}
}

func TestBinds(t *testing.T) {
	o := options(t, "cat", "/deep/down/here/file")
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "file"), []byte("bound"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Binds = []Bind{
		{Source: src, Target: "/deep/down/here", ReadOnly: true},
		{Source: filepath.Join(src, "file"), Target: "/etc/marker"},
		{Source: filepath.Join(src, "file"), Target: "/etc/new"},
	}
	if out, code := run(t, o); code != 0 || out != "bound" {
		t.Errorf("a folder: status %d, %s", code, out)
	}
	for _, path := range []string{"/etc/marker", "/etc/new"} {
		o.Argv = []string{"cat", path}
		if out, code := run(t, o); code != 0 || out != "bound" {
			t.Errorf("%s: status %d, %s", path, code, out)
		}
	}
	o.Argv = []string{"write", "/deep/down/here/more", "x"}
	if out, code := run(t, o); code != 99 || !strings.Contains(out, "read-only file system") {
		t.Errorf("writing to a read-only one: status %d, %s", code, out)
	}
}

func TestHostCgroupNS(t *testing.T) {
	o := options(t)
	o.HostCgroupNS = true
	r := report(t, o)
	mine, err := os.Readlink("/proc/self/ns/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if r.Namespaces["cgroup"] != mine {
		t.Errorf("cgroup namespace %s, the host's is %s", r.Namespaces["cgroup"], mine)
	}
	if !strings.Contains(r.Cgroup, "/"+namePrefix) {
		t.Errorf("not in groups of its own:\n%s", r.Cgroup)
	}
}

func TestWithoutPrivileges(t *testing.T) {
	// The stub mounts /proc to report, and cannot.
	o := options(t, "report")
	o.UID, o.GID = 65534, 65534
	if out, code := run(t, o); code != 99 || !strings.Contains(out, "not permitted") {
		t.Errorf("UID 65534: status %d, %s", code, out)
	}
	o.UID, o.GID, o.DropCaps = 0, 0, []int{unix.CAP_SYS_ADMIN}
	if out, code := run(t, o); code != 99 || !strings.Contains(out, "not permitted") {
		t.Errorf("root without CAP_SYS_ADMIN: status %d, %s", code, out)
	}
	o.DropCaps = []int{unix.CAP_SYS_TIME}
	if got := capBounding(t, report(t, o)); got&(1<<unix.CAP_SYS_TIME) != 0 || got&(1<<unix.CAP_SYS_ADMIN) == 0 {
		t.Errorf("bounding set %x", got)
	}
}

// capBounding reads the bounding set that the stub found.
func capBounding(t *testing.T, r found) uint64 {
	t.Helper()
	for line := range strings.Lines(r.Status) {
		if hex, ok := strings.CutPrefix(line, "CapBnd:\t"); ok {
			return binary.BigEndian.Uint64(decodeHex(t, strings.TrimSpace(hex)))
		}
	}
	t.Fatalf("no CapBnd in %s", r.Status)
	return 0
}
