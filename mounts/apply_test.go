package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// action is what the caller of this package sees of every type that has an Apply.
type action interface {
	Apply(ctx context.Context) (kept bool, err error)
	String() string
}

var (
	_ action = Mount{}
	_ action = Device{}
	_ action = Link{}
	_ action = VarRun{}
	_ action = Propagation{}
)

// mountAtTest mounts for a test, without the code under test.
func mountAtTest(t testing.TB, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mounting %s at %s (%s): %v", fstype, target, data, err)
	}
}

// scratch gives an empty folder on a tmpfs of its own. The mount goes with the namespace.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mountAtTest(t, "tmpfs", dir, "tmpfs", 0, "mode=0755")
	t.Cleanup(func() {
		// A test may have mounted more on it. EINVAL says that it is no mount point any more.
		var err error
		for err == nil {
			err = unix.Unmount(dir, unix.MNT_DETACH)
		}
		if err != unix.EINVAL {
			t.Errorf("unmounting the scratch folder: %v", err)
		}
	})
	return dir
}

func mkdir(t testing.TB, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// enterEmptyRoot makes an empty tmpfs the root of this process and all its threads. It moves the mount and changes the root,
// because pivot_root(2) is refused where the root is the kernel's rootfs.
func enterEmptyRoot(t testing.TB) {
	t.Helper()
	dir := os.TempDir()
	mountAtTest(t, "tmpfs", dir, "tmpfs", 0, "mode=0755")
	if err := unix.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	mountAtTest(t, ".", "/", "", unix.MS_MOVE, "")
	if err := errors.Join(unix.Chroot("."), unix.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/")
	if err != nil || len(entries) > 0 {
		t.Fatalf("the root is not empty: %v, %v", entries, err)
	}
}

func apply(t testing.TB, a action, wantKept bool) {
	t.Helper()
	before := stands(a)
	kept, err := a.Apply(t.Context())
	if err != nil {
		t.Errorf("%s: %v", a, err)
		return
	}
	if kept != wantKept {
		t.Errorf("%s: kept is %v", a, kept)
	}
	// A folder of its own at /var/run is kept too, without being the same.
	if _, loose := a.(VarRun); before && !kept || kept && !before && !loose {
		t.Errorf("%s: Stands said %v, kept is %v", a, before, kept)
	}
}

// stands tells beforehand whether an action is going to keep what is there.
func stands(a action) bool {
	switch a := a.(type) {
	case Device:
		return a.Stands()
	case Link:
		return a.Stands()
	case VarRun:
		return a.Stands()
	case Mount:
		info, err := readIfMounted()
		if err != nil {
			return false
		}
		s, err := Observe(a.Target, info)
		d := a.Decide(s)
		return err == nil && (d.Outcome == OutcomeKeep || d.Outcome == OutcomeSkip)
	case Propagation:
		shared, err := a.shared()
		return err == nil && shared
	}
	return false
}

func refused(t testing.TB, a action, kind error, parts ...string) {
	t.Helper()
	kept, err := a.Apply(t.Context())
	if kept || !errors.Is(err, kind) {
		t.Errorf("%s: kept %v, error %v, want %v", a, kept, err, kind)
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || strings.Contains(e.Error(), "\n") {
		t.Errorf("%s: error %T: %v", a, err, err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(e.Error(), part) {
			t.Errorf("%s: %q does not say %q", a, e, part)
		}
	}
	t.Log(e)
}

// table is everything, in the order in which a launcher would apply it on a machine.
func table() []action {
	var all []action
	for _, m := range Base() {
		all = append(all, m)
	}
	for _, d := range Devices("/dev") {
		all = append(all, d)
	}
	for _, l := range Links("/dev") {
		all = append(all, l)
	}
	for _, m := range Rest() {
		all = append(all, m)
	}
	return append(all, NewVarRun(), Propagation{"/"})
}

func TestTableOnEmptyRoot(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID|unix.CLONE_NEWIPC) {
		return
	}
	enterEmptyRoot(t)
	for _, a := range table() {
		if _, err := a.Apply(t.Context()); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	checkTable(t)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range table() {
		apply(t, a, true)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || string(after) != string(before) {
		t.Errorf("the second run changed the mount table (%v) from\n%sto\n%s", err, before, after)
	}
	t.Logf("the table as the kernel shows it:\n%s", after)
}

func checkTable(t *testing.T) {
	info, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(Base(), Rest()...) {
		e, ok := info.At(m.Target)
		if m.When == WhenUnwritable {
			st, err := os.Stat(m.Target)
			if ok || err != nil || st.Mode() != os.ModeDir|m.Mode.FileMode() {
				t.Errorf("%s: mounted %v, %v, %v; want a plain folder", m.Target, ok, st, err)
			}
			continue
		}
		if m.When == WhenExists && !ok {
			if _, err := os.Stat(m.Target); err == nil {
				t.Errorf("%s exists, and nothing is mounted there", m.Target)
			}
			continue
		}
		if !ok || e.FSType != m.FSType || e.Source != m.Source {
			t.Errorf("at %s there is %+v, %v", m.Target, e, ok)
			continue
		}
		for word := range strings.SplitSeq(m.Flags.String(), ",") {
			if !hasWord(e.Options, ",", word) {
				t.Errorf("%s is mounted with %s, not with %s", m.Target, e.Options, word)
			}
		}
		if !e.Shared() {
			t.Errorf("%s is not shared: %q", m.Target, e.Propagation)
		}
	}
	if e, ok := info.At("/"); !ok || !e.Shared() {
		t.Errorf("the root is not shared: %+v, %v", e, ok)
	}
	if st, err := os.Stat("/run"); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("/run: %v, %v", st, err)
	}
	if st, err := os.Stat("/dev/shm"); err != nil || st.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Errorf("/dev/shm: %v, %v", st, err)
	}
	for _, path := range []string{"/dev/shm/x", "/run/x", "/tmp/x", "/var/run/y"} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat("/run/y"); err != nil {
		t.Errorf("/var/run is not /run: %v", err)
	}
	if err := os.WriteFile("/dev/null", []byte("x"), 0); err != nil {
		t.Error(err)
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != "1" {
		t.Errorf("/proc/self leads to %q, %v", self, err)
	}
	openPTY(t, "/dev")
}

// openPTY opens a pseudo-terminal through ptmx and sends a line through it.
func openPTY(t testing.TB, dev string) {
	t.Helper()
	master, err := os.OpenFile(filepath.Join(dev, "ptmx"), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Errorf("opening ptmx: %v", err)
		return
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Errorf("unlocking the terminal: %v", err)
		return
	}
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Errorf("asking for the number of the terminal: %v", err)
		return
	}
	path := filepath.Join(dev, "pts", fmt.Sprint(n))
	slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Errorf("opening the terminal: %v", err)
		return
	}
	defer slave.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(slave.Fd()), &st); err != nil || st.Gid != 5 || st.Mode&0o777 != 0o620 {
		t.Errorf("%s has the group %d and mode %#o, %v; want 5 and 0620", path, st.Gid, st.Mode&0o777, err)
	}
	if _, err := slave.WriteString("hello"); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 16)
	if n, err := master.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("the terminal gave %q, %v", buf[:n], err)
	}
}

// A container whose runtime has mounted everything is kept as it is, with the runtime's flags, sizes and bind mounts.
func TestTableInContainer(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID|unix.CLONE_NEWIPC) {
		return
	}
	enterEmptyRoot(t)
	for _, m := range []struct {
		source, target, fstype string
		flags                  uintptr
		data                   string
	}{
		{"proc", "/proc", "proc", sealed, ""},
		{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "size=65536k,mode=755"},
		{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"sysfs", "/sys", "sysfs", sealed, ""},
		{"mqueue", "/dev/mqueue", "mqueue", sealed, ""},
		{"shm", "/dev/shm", "tmpfs", sealed, "mode=1777,size=65536k"},
		{"tmpfs", "/run/secrets", "tmpfs", unix.MS_RDONLY, ""},
	} {
		mountAtTest(t, m.source, mkdir(t, m.target), m.fstype, m.flags, m.data)
	}
	for _, d := range Devices("/dev") {
		if filepath.Base(d.Path) != "console" {
			apply(t, d, false)
		}
	}
	// The runtime's terminal in the place of the console, as docker run -t has it.
	write(t, "/dev/console", "")
	mountAtTest(t, "/dev/null", "/dev/console", "", unix.MS_BIND, "")
	for _, l := range Links("/dev") {
		if filepath.Base(l.Path) != "stdin" {
			apply(t, l, false)
		}
	}
	for _, a := range table() {
		switch a := a.(type) {
		case Link:
			apply(t, a, filepath.Base(a.Path) != "stdin") // the one that is missing is made
		case Mount:
			// /tmp is missing and made. What the runtime leaves to others is mounted if this kernel has it.
			_, err := os.Stat(a.Target)
			apply(t, a, a.When == WhenAlways || a.When == WhenExists && err != nil)
		case Device:
			apply(t, a, true)
		}
	}
	openPTY(t, "/dev")
	if info, err := Read(); err != nil || len(info.Below("/run")) != 1 {
		t.Errorf("the secret below /run is gone: %v", err)
	}
}

// Before /proc is mounted there is no table to read.
func TestBaseWithoutProc(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	enterEmptyRoot(t)
	dev, run := want(t, "/dev"), want(t, "/run")
	for range 2 {
		s, err := Observe("/run", Info{})
		if err != nil || s.Kind != KindMissing || s.FSType != "tmpfs" || !s.Writable || s.ReadOnly {
			t.Fatalf("before: %+v, %v", s, err)
		}
		apply(t, run, false)
		if s, err = Observe("/run", Info{}); err != nil || !s.MountPoint || s.FSType != "tmpfs" || s.Root != "" {
			t.Errorf("after: %+v, %v", s, err)
		}
		apply(t, run, true)
		apply(t, dev, false)
		apply(t, dev, true)
		if s, err = Observe("/dev", Info{}); err != nil || s.FSType != "tmpfs" || !s.MountPoint {
			t.Errorf("devtmpfs without a table: %+v, %v", s, err)
		}
		if _, err := (Propagation{"/"}).Apply(t.Context()); err == nil {
			t.Error("propagation was judged without a table")
		}
		for _, path := range []string{"/run", "/dev"} {
			if err := errors.Join(unix.Unmount(path, 0), os.Remove(path)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestApplyOutcomes(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	tmpfs := func(target string) Mount {
		return Mount{Source: "tmpfs", Target: target, FSType: "tmpfs", Data: "mode=0700", Mode: 0o711, Lost: "a test fails"}
	}
	t.Run("missing folders are made", func(t *testing.T) {
		unix.Umask(0o077)
		defer unix.Umask(0o022)
		m := tmpfs(scratch(t) + "/a/b/c")
		apply(t, m, false)
		apply(t, m, true)
		if st, err := os.Stat(m.Target); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("the mount: %v, %v", st, err)
		}
		if err := unix.Unmount(m.Target, 0); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{m.Target: 0o711, filepath.Dir(m.Target): 0o755} {
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", path, st, err)
			}
		}
	})
	t.Run("read-only root", func(t *testing.T) {
		dir := scratch(t)
		there := tmpfs(mkdir(t, dir+"/there"))
		mountAtTest(t, "", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		refused(t, tmpfs(dir+"/missing"), ErrReadOnlyRoot, dir+"/missing", "tmpfs", "a test fails", "in the image")
		apply(t, there, false)
		// What a plan did not foresee.
		if err := tmpfs("").makeTarget(State{Path: dir + "/missing"}); !errors.Is(err, ErrReadOnlyRoot) || !errors.Is(err, unix.EROFS) {
			t.Errorf("the kernel's answer: %v", err)
		}
		tmp := tmpfs(mkdir(t, there.Target+"/tmp"))
		tmp.When, tmp.Accept = WhenUnwritable, []string{AnyFS}
		apply(t, tmp, true)
		mountAtTest(t, "", there.Target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		apply(t, tmp, false)
		apply(t, tmp, true)
		write(t, tmp.Target+"/x", "")
	})
	t.Run("foreign filesystem", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, "x", dir, "ramfs", 0, "")
		refused(t, tmpfs(dir), ErrForeign, "ramfs", "unmount it")
		other := tmpfs(dir)
		other.Accept = []string{"ramfs"}
		apply(t, other, true)
	})
	t.Run("the kernel lacks it", func(t *testing.T) {
		dir := scratch(t)
		lacking := Mount{Source: "x", Target: dir + "/x", FSType: "nosuchfs"}
		refused(t, lacking, ErrNoFilesystem, "fs-nosuchfs")
		refused(t, lacking, unix.ENODEV)
		lacking.Fallback = "ramfs"
		apply(t, lacking, false)
		apply(t, lacking, true)
		if s, err := Observe(dir+"/x", Info{}); err != nil || s.FSType != "ramfs" {
			t.Errorf("the fallback: %+v, %v", s, err)
		}
		lacking.Target, lacking.Fallback = dir+"/y", "nosuchfs2"
		refused(t, lacking, ErrNoFilesystem, "fs-nosuchfs2")
	})
	t.Run("file", func(t *testing.T) {
		dir := scratch(t)
		write(t, dir+"/file", "mine")
		refused(t, tmpfs(dir+"/file"), ErrNoTarget, "a file stands there")
		refused(t, tmpfs(dir+"/file/below"), ErrNoTarget)
		if text, err := os.ReadFile(dir + "/file"); err != nil || string(text) != "mine" {
			t.Errorf("the file: %q, %v", text, err)
		}
	})
	t.Run("links", func(t *testing.T) {
		dir := scratch(t)
		mkdir(t, dir+"/real")
		for link, goal := range map[string]string{"link": "real", "dangling": "nowhere", "loop": "loop", "loop2": "loop/x"} {
			if err := os.Symlink(goal, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{"dangling", "dangling/x", "loop", "loop/x/y", "loop2"} {
			refused(t, tmpfs(filepath.Join(dir, path)), ErrNoTarget, "leads nowhere")
		}
		apply(t, tmpfs(dir+"/link"), false)
		apply(t, tmpfs(dir+"/real"), true)
		apply(t, tmpfs(dir+"/link"), true)
		apply(t, tmpfs(dir+"/link/deeper"), false)
		if info, err := Read(); err != nil || len(info.Below(dir+"/real")) != 1 {
			t.Errorf("the mount behind the link: %v, %v", info.Below(dir), err)
		}
	})
	t.Run("stacked", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, "lower", dir, "ramfs", 0, "")
		mountAtTest(t, "below", mkdir(t, dir+"/in"), "ramfs", 0, "")
		mountAtTest(t, "upper", dir, "tmpfs", 0, "")
		apply(t, tmpfs(dir), true)
		info, err := Read()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Observe(dir, info)
		if err != nil || s.FSType != "tmpfs" || len(s.Below) != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("hidden mount", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, "x", mkdir(t, dir+"/a/b"), "tmpfs", 0, "")
		m := tmpfs(dir + "/a")
		refused(t, m, ErrForeign, "would hide", dir+"/a/b")
		m.Populated = true
		apply(t, m, true)
	})
	t.Run("part of the filesystem", func(t *testing.T) {
		dir := scratch(t)
		mountAtTest(t, mkdir(t, dir+"/part"), mkdir(t, dir+"/bound"), "", unix.MS_BIND, "")
		refused(t, tmpfs(dir+"/bound"), ErrForeign, "only /part of a tmpfs")
	})
	t.Run("unknown option", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/x")
		m.Data = "mode=0700,nonsense=1"
		refused(t, m, unix.EINVAL, "invalid argument", "Unknown parameter 'nonsense'")
		m.Data = "mode=0700,,size"
		refused(t, m, unix.EINVAL, "size")
	})
	t.Run("nodev", func(t *testing.T) {
		m := want(t, "/dev/pts")
		m.Target = scratch(t)
		mountAtTest(t, "devpts", m.Target, "devpts", unix.MS_NODEV, "newinstance")
		refused(t, m, ErrForeign, "nodev")
	})
	t.Run("read-only sysfs", func(t *testing.T) {
		m := want(t, "/sys")
		m.Target = scratch(t)
		mountAtTest(t, "sysfs", m.Target, "sysfs", unix.MS_RDONLY, "")
		refused(t, m, ErrReadOnlySys, "--privileged")
	})
	t.Run("make only", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/a/tmp")
		m.When, m.Mode = WhenUnwritable, 0o1777
		apply(t, m, false)
		apply(t, m, true)
		if st, err := os.Stat(m.Target); err != nil || st.Mode() != os.ModeDir|os.ModeSticky|0o777 {
			t.Errorf("%v, %v", st, err)
		}
	})
	t.Run("skip", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/x")
		m.When = WhenExists
		apply(t, m, true)
		if _, err := os.Lstat(m.Target); err == nil {
			t.Error("the folder was made")
		}
		apply(t, m, true)
		mkdir(t, m.Target)
		apply(t, m, false)
	})
	t.Run("relative target", func(t *testing.T) {
		refused(t, tmpfs("relative"), unix.EINVAL)
	})
	t.Run("verify", func(t *testing.T) {
		m := tmpfs(scratch(t) + "/x")
		mountAtTest(t, "x", mkdir(t, m.Target), "ramfs", 0, "")
		if err := m.verify(); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "ramfs") {
			t.Errorf("%v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dir := scratch(t)
		for _, a := range []action{
			tmpfs(dir + "/x"), Device{Path: dir + "/x"}, Link{Path: dir + "/x"}, VarRun{dir + "/x", dir}, Propagation{dir},
		} {
			if kept, err := a.Apply(ctx); kept || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, %v", a, kept, err)
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("something was made: %v, %v", entries, err)
		}
	})
}

// A process with another PID namespace than that of its /proc.
func TestForeignProc(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWPID) {
		return
	}
	proc := want(t, "/proc")
	apply(t, proc, true)
	// The proc of the outer namespace lies under the one that was mounted for this test.
	if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	refused(t, proc, ErrForeign, "PID namespace", "unshare")
}

// Without any capability, as in a container without --privileged.
func TestNotPermitted(t *testing.T) {
	if !testenv.InNamespaces(t, 0) {
		return
	}
	dir := scratch(t)
	target := mkdir(t, dir+"/target")
	closed := mkdir(t, dir+"/closed")
	if err := errors.Join(os.Chmod(closed, 0), os.Chown(closed, 1, 1)); err != nil {
		t.Fatal(err)
	}
	// Capabilities belong to the thread; the test keeps it until the process ends.
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had, none [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		t.Fatal(err)
	}
	for n := range none {
		none[n].Permitted = had[n].Permitted
	}
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Capset(&header, &had[0]); err != nil {
			t.Error(err)
		}
	})
	m := Mount{Source: "tmpfs", Target: target, FSType: "ramfs", Lost: "a test fails"}
	refused(t, m, ErrNotPermitted, "operation not permitted", "--privileged", "CAP_SYS_ADMIN", "a test fails")
	refused(t, m, unix.EPERM)
	m.Target = closed + "/x"
	refused(t, m, ErrNotPermitted, "look at")
	m.Target = "/proc/x"
	if err := m.makeTarget(State{Path: closed + "/x"}); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("making a folder in a closed one: %v", err)
	}
	refused(t, Device{Path: dir + "/null", Major: 1, Minor: 3}, ErrNotPermitted, "1:3", "CAP_MKNOD")
	refused(t, Device{Path: closed + "/null", Major: 1, Minor: 3}, ErrNotPermitted, "look at")
	refused(t, Link{Path: closed + "/x", Goal: "y"}, ErrNotPermitted, "look at")
	refused(t, VarRun{closed + "/x", dir}, ErrNotPermitted, "look at")
	refused(t, Propagation{"/"}, ErrNotPermitted, "rec,shared")
}
