package modules

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What the kernel refuses is explained.
func inMachineErrors(t *testing.T) {
	l := open(t)
	data, err := os.ReadFile("/packed/dummy.ko")
	if err != nil {
		t.Fatal(err)
	}
	if has, err := l.Kernel.Has("dummy"); err != nil || has == Loaded && Remove("dummy") != nil {
		t.Fatalf("dummy is %v, %v", has, err) // a second module of its name is refused for that alone
	}
	// The marker at its end is what makes a signature of the bytes before it.
	unsigned := bytes.TrimSuffix(data, []byte("~Module signature appended~\n"))
	// Not the release, which a kernel with symbol versions does not look at, but how it was built.
	other := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(" SMP "), []byte(" UMP ")) }
	for _, c := range []struct {
		name, params string
		data         []byte
		errno        unix.Errno
		says         string
	}{
		{"cut short", "", unsigned[:len(data)/3], unix.ENOEXEC, "damaged"},
		{"no module", "", bytes.Repeat([]byte("text "), 100), unix.ENOEXEC, "damaged"},
		{"for another kernel", "", other(unsigned), unix.ENOEXEC, "built for another kernel"},
		{"changed after signing", "", other(data), unix.EKEYREJECTED, "not signed by a key"},
		{"wrong parameter", "numdummies=many", data, unix.EINVAL, "parameters"},
	} {
		path := filepath.Join(t.TempDir(), "dummy.ko")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		err := LoadFile(path, c.params)
		var le *LoadError
		if !errors.As(err, &le) || !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A module whose dependency is not there.
	m, ok, err := l.Index.Module("ip6_vti")
	if !ok || err != nil {
		t.Fatalf("this kernel has no ip6_vti (%v): let the test take another module that depends on one", err)
	}
	if err := LoadFile(m.Path, ""); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "symbol") {
		t.Errorf("without its dependencies: %v", err)
	}
}

// Without CAP_SYS_MODULE the kernel refuses, and the message says what to do.
func inMachineUnprivileged(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and its lack of rights with it
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	caps[0].Effective &^= 1 << unix.CAP_SYS_MODULE
	if err := unix.Capset(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	err := LoadFile("/packed/dummy.ko", "")
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_MODULE") {
		t.Errorf("without the capability: %v", err)
	}
}

// unsignedDummy writes the module without its signature, and sees that a module of its name can be loaded.
func unsignedDummy(t *testing.T) (signed, unsigned string) {
	t.Helper()
	if err := Remove("dummy"); err != nil && !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/packed/dummy.ko")
	if err != nil {
		t.Fatal(err)
	}
	const marker = "~Module signature appended~\n"
	if !bytes.HasSuffix(data, []byte(marker)) {
		t.Fatal("the kernel's own module is not signed")
	}
	unsigned = filepath.Join(t.TempDir(), "dummy.ko")
	if err := os.WriteFile(unsigned, bytes.TrimSuffix(data, []byte(marker)), 0o644); err != nil {
		t.Fatal(err)
	}
	return "/packed/dummy.ko", unsigned
}

// refused sees that the unsigned module is refused, and the signed one not.
func refused(t *testing.T, errno unix.Errno, says string) {
	t.Helper()
	signed, unsigned := unsignedDummy(t)
	err := LoadFile(unsigned, "")
	var le *LoadError
	if !errors.As(err, &le) || !errors.Is(err, errno) || !strings.Contains(err.Error(), says) {
		t.Errorf("unsigned: %v, want %v and %q", err, errno, says)
	}
	if err := LoadFile(signed, ""); err != nil {
		t.Errorf("signed: %v", err)
	}
	var out strings.Builder
	if err := Remove("dummy"); err != nil {
		t.Error(err)
	}
	if status := Modprobe([]string{"dummy"}, "", &out, &out); status != 0 {
		t.Errorf("modprobe of the kernel's own: status %d, %s", status, out.String())
	}
}

// A kernel that is locked down takes signed modules alone.
func inMachineLockdown(t *testing.T) {
	line, err := ReadCommandLine()
	if err != nil || !strings.Contains(line, "lockdown=integrity") {
		t.Fatalf("the machine is not locked down: %q, %v", line, err)
	}
	refused(t, unix.EPERM, "locked down")
}

// With module.sig_enforce, which can be turned on at any time, it takes signed modules alone, too, and says so otherwise.
func inMachineEnforced(t *testing.T) {
	if err := os.WriteFile("/sys/module/module/parameters/sig_enforce", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	refused(t, unix.EKEYREJECTED, "not signed by a key that this kernel trusts")
}
