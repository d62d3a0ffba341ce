package mounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

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
