package modules

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// The tests with InMachine in their names run in a virtual machine, started by TestMachine; on the host they are skipped by
// their own rule, as they would load modules into it.
func inMachine(t *testing.T) {
	t.Helper()
	if os.Getenv("DOCKERLAUNCH_TEST_MACHINE") != "1" {
		t.SkipNow() // not a layer that is missing: TestMachine runs it
	}
}

func TestMachine(t *testing.T) {
	for _, kernel := range []string{"6.1", "6.12", "sid"} {
		t.Run(kernel, func(t *testing.T) {
			k := vm.KernelNamed(t, kernel)
			test := func(names string, env ...string) vm.Command {
				return vm.Command{Test: "./modules", Args: []string{"-test.v", "-test.run=^(" + names + ")$"}, Env: env, Limit: 2 * time.Minute}
			}
			results := vm.Run(t, vm.Options{
				Kernel: k, Memory: 1536, Mount: []string{"proc", "sys", "dev"}, Limit: 8 * time.Minute,
				Trees: []vm.Tree{k.ModulesTree(nil), {Path: "/", From: vm.TreeNamed(t, "iptables"), Keep: iptablesFiles}},
				Files: append([]vm.File{
					{Path: "/lib64", Link: "usr/lib64"}, {Path: "/run/.keep"},
					{Path: "/sbin/modprobe", From: vm.GoBuild(t, "./modules/testdata/modprobe", "build")},
				}, repacked(t, k)...),
				Drives: []vm.Drive{{Image: emptyDisk(t), Bus: "virtio"}},
				NICs:   []string{"virtio-net-pci"},
				Commands: []vm.Command{
					test("TestColdplugInMachine", "COLDPLUG_WANTS=/dev/vda /sys/class/net/eth0"),
					test("TestPackedInMachine"),
					test("TestWantInMachine"),
					test("TestIptablesInMachine"),
					test("TestModprobeInMachine"),
					test("TestRequestInMachine"),
					test("TestErrorsInMachine"),
					test("TestUnprivilegedInMachine"),
				},
			})
			for i, name := range []string{
				"TestColdplugInMachine", "TestPackedInMachine", "TestWantInMachine", "TestIptablesInMachine", "TestModprobeInMachine",
				"TestRequestInMachine", "TestErrorsInMachine", "TestUnprivilegedInMachine",
			} {
				results[i].CheckTest(t, name)
			}
		})
	}
}

// iptablesFiles are the programs in both variants, their plug-ins and libraries.
func iptablesFiles(rel string) bool {
	return strings.Contains(rel, "lib/x86_64-linux-gnu/") || strings.HasPrefix(rel, "usr/lib64/") || strings.HasPrefix(rel, "usr/sbin/")
}

// repacked are copies of one real module, packed in every way, as /packed/1.ko.zst and so on.
func repacked(t *testing.T, k vm.Kernel) []vm.File {
	t.Helper()
	files, err := filepath.Glob(k.Modules + "/kernel/drivers/net/dummy.ko*")
	if err != nil || len(files) != 1 {
		t.Fatalf("no dummy.ko in %s: %v", k.Modules, err)
	}
	data, err := ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	plainFile := filepath.Join(t.TempDir(), "dummy.ko")
	if err := os.WriteFile(plainFile, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out := []vm.File{{Path: "/packed/dummy.ko", Data: data}}
	for suffix, command := range map[string][]string{
		"zst": {"zstd", "-q", "-c", "-19"}, "gz": {"gzip", "-c"}, "xz": {"xz", "-c", "--check=crc32", "--lzma2=dict=2MiB"},
	} {
		packed, err := exec.Command(command[0], append(command[1:], plainFile)...).Output()
		if err != nil {
			t.Fatalf("%s (install it): %v", command, err)
		}
		out = append(out, vm.File{Path: "/packed/dummy.ko." + suffix, Data: packed})
	}
	return out
}

func open(t *testing.T) *Loader {
	t.Helper()
	line, err := ReadCommandLine()
	if err != nil {
		t.Fatal(err)
	}
	x, err := Open(Options{CommandLine: line})
	if err != nil {
		t.Fatal(err)
	}
	return &Loader{Index: x}
}

// Each way to pack a module is loaded by whichever of both system calls the kernel takes it with.
func TestPackedInMachine(t *testing.T) {
	inMachine(t)
	for _, suffix := range []string{"", ".xz", ".zst", ".gz"} {
		path := "/packed/dummy.ko" + suffix
		if err := LoadFile(path, "numdummies=3"); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if has, err := (Kernel{}).Has("dummy"); has != Loaded || err != nil {
			t.Errorf("%s: after loading it is %v, %v", path, has, err)
		}
		if devices, err := filepath.Glob("/sys/class/net/dummy*"); len(devices) != 3 {
			t.Errorf("%s with numdummies=3: devices %q, %v", path, devices, err)
		}
		if err := LoadFile(path, ""); err != nil {
			t.Errorf("%s once more: %v", path, err)
		}
		if err := Remove("dummy"); err != nil {
			t.Fatal(err)
		}
		if has, err := (Kernel{}).Has("dummy"); has != Absent || err != nil {
			t.Errorf("%s: after removing it is %v, %v", path, has, err)
		}
	}
}

// What a container host wants comes, in whatever way this kernel has it.
func TestWantInMachine(t *testing.T) {
	inMachine(t)
	l := open(t)
	var wants []Want
	for _, name := range dockerSet {
		wants = append(wants, Want{Names: []string{name}})
	}
	wants = append(wants, Want{Names: []string{"nf_nat_ipv4", "nf_nat"}}, Want{Names: []string{"no_such_thing"}, For: "such things"})
	begin := time.Now()
	results := l.Want(context.Background(), wants)
	t.Logf("%d wants in %v", len(wants), time.Since(begin))
	release, err := Release()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results[:len(results)-1] {
		t.Logf("%s: %v", r.Names[0], r.Way)
		if r.Way == Missing {
			t.Errorf("%s: %s", release, r.Warning())
		}
		if has, err := l.Kernel.Has(r.Name); r.Way == WayLoaded && (has != Loaded || err != nil) {
			t.Errorf("%s is %v, %v", wants[i].Names[0], has, err)
		}
	}
	last := results[len(results)-1]
	if last.Way != Missing || !errors.Is(last.Err, ErrNotFound) || !strings.Contains(last.Warning(), "without it, no such things") {
		t.Errorf("no_such_thing: %+v", last)
	}
	for _, r := range l.Want(context.Background(), wants[:len(wants)-1]) {
		if r.Way != WayPresent && r.Way != WayBuiltIn {
			t.Errorf("the second time, %s is %v", r.Name, r.Way)
		}
	}
}

// Rules of the kind that dockerd makes, in both variants, with nothing but the modules of the test before.
func TestIptablesInMachine(t *testing.T) {
	inMachine(t)
	for _, variant := range []string{"nft", "legacy"} {
		for _, family := range []string{"iptables", "ip6tables"} {
			program := "/usr/sbin/xtables-" + variant + "-multi"
			for _, rule := range []string{
				"-t nat -N DOCKER",
				"-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
				"-t nat -A POSTROUTING -o eth0 -j MASQUERADE",
				"-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
				"-S",
			} {
				out, err := exec.Command(program, append([]string{family}, strings.Fields(rule)...)...).CombinedOutput()
				if err != nil {
					t.Errorf("%s %s %s: %v\n%s", variant, family, rule, err, out)
				}
				if rule == "-S" && !strings.Contains(string(out), "--ctstate RELATED,ESTABLISHED -j ACCEPT") {
					t.Errorf("%s %s does not show its rule:\n%s", variant, family, out)
				}
			}
		}
	}
}

// The applet, as programs call it.
func TestModprobeInMachine(t *testing.T) {
	inMachine(t)
	for _, c := range []struct {
		args   string
		status int
		loaded []string
		absent []string
	}{
		{"-va loop dummy", 0, []string{"loop", "dummy"}, nil},
		{"--first-time loop", 1, []string{"loop"}, nil},
		{"loop", 0, []string{"loop"}, nil},
		{"-r loop dummy", 0, nil, []string{"loop", "dummy"}},
		{"-r --first-time loop", 1, nil, nil},
		{"-n -v dummy", 0, nil, []string{"dummy"}},
		{"-q -- rtnl-link-dummy", 0, []string{"dummy"}, nil},
		{"-q no_such_module", 1, nil, nil},
		{"-r dummy", 0, nil, []string{"dummy"}},
		{"dummy numdummies=2", 0, []string{"dummy"}, nil},
		{"-r xt_conntrack", 1, []string{"xt_conntrack"}, nil}, // iptables uses it
		{"dummy no_such_parameter=1", 0, nil, nil},            // it is loaded already
	} {
		var out strings.Builder
		status := Modprobe(strings.Fields(c.args), &out, &out)
		if status != c.status {
			t.Errorf("modprobe %s: status %d\n%s", c.args, status, out.String())
		}
		for name, want := range states(c.loaded, c.absent) {
			if has, err := (Kernel{}).Has(name); has != want || err != nil {
				t.Errorf("after modprobe %s, %s is %v, %v\n%s", c.args, name, has, err, out.String())
			}
		}
	}
	if devices, err := filepath.Glob("/sys/class/net/dummy*"); len(devices) != 2 {
		t.Errorf("numdummies=2: %q, %v", devices, err)
	}
}

func states(loaded, absent []string) map[string]Presence {
	m := map[string]Presence{}
	for _, name := range loaded {
		m[name] = Loaded
	}
	for _, name := range absent {
		m[name] = Absent
	}
	return m
}

// The kernel, asked, runs /sbin/modprobe, which is this package again.
func TestRequestInMachine(t *testing.T) {
	inMachine(t)
	if err := Request("vxlan"); err != nil {
		t.Fatal(err)
	}
	if has, err := (Kernel{}).Has("vxlan"); has != Loaded || err != nil {
		t.Errorf("vxlan is %v, %v", has, err)
	}
	results := (&Loader{}).Want(context.Background(), []Want{{Names: []string{"macvlan"}}, {Names: []string{"a_name_that_is_too_long"}}})
	if results[0].Way != WayRequested || results[1].Way != Missing || !errors.Is(results[1].Err, ErrLongName) {
		t.Errorf("without an index: %+v", results)
	}
	// Without a folder of modules, the program asks the kernel, which runs the program: that must end.
	release, err := Release()
	if err != nil {
		t.Fatal(err)
	}
	dir := "/lib/modules/" + release
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	defer os.Rename(dir+".gone", dir)
	var out strings.Builder
	if status := Modprobe([]string{"ipvlan"}, &out, &out); status != 1 || !strings.Contains(out.String(), "no modules for this kernel") {
		t.Errorf("without modules: status %d, %s", status, out.String())
	}
	if status := Modprobe([]string{"vxlan"}, &out, &out); status != 0 {
		t.Errorf("a loaded module without modules: status %d, %s", status, out.String())
	}
}

// What the kernel refuses is explained.
func TestErrorsInMachine(t *testing.T) {
	inMachine(t)
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
func TestUnprivilegedInMachine(t *testing.T) {
	inMachine(t)
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

// Every device of the machine gets its driver. The environment says what is to appear.
func TestColdplugInMachine(t *testing.T) {
	inMachine(t)
	c := Coldplug{Loader: open(t), Quiet: 3 * time.Second} // USB storage waits a second, and emulation is slow
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	begin := time.Now()
	result, err := c.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d modaliases, %d modules, %v", result.Aliases, len(result.Steps), time.Since(begin))
	for _, s := range result.Steps {
		if s.Outcome == Failed && !errors.Is(s.Err, unix.ENODEV) {
			t.Logf("failed: %v", s.Err)
		}
	}
	for pattern := range strings.FieldsSeq(os.Getenv("COLDPLUG_WANTS")) {
		if found, err := filepath.Glob(pattern); len(found) == 0 {
			t.Errorf("%s is not there (%v)", pattern, err)
		}
	}
	for i := range result.Steps {
		for _, j := range result.Steps[i+1:] {
			if j.Name == result.Steps[i].Name && j.Outcome == Inserted {
				t.Errorf("%s was loaded twice", j.Name)
			}
		}
	}
	again, err := c.Run(ctx)
	if err != nil || slices.ContainsFunc(again.Steps, func(s StepResult) bool { return s.Outcome == Inserted }) {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}

// A machine with one device of each kind that people have.
func TestColdplug(t *testing.T) {
	k := vm.KernelNamed(t, "6.12-full")
	drive := func(bus string) vm.Drive { return vm.Drive{Image: emptyDisk(t), Bus: bus} }
	results := vm.Run(t, vm.Options{
		Kernel: k, Memory: 2048, Mount: []string{"proc", "sys", "dev"}, Limit: 6 * time.Minute,
		Trees:  []vm.Tree{k.ModulesTree(nil)},
		Drives: []vm.Drive{drive("virtio"), drive("nvme"), drive("ahci"), drive("usb")},
		NICs:   []string{"virtio-net-pci", "e1000"},
		Commands: []vm.Command{{
			Test: "./modules", Args: []string{"-test.v", "-test.run=^TestColdplugInMachine$"}, Limit: 4 * time.Minute,
			Env: []string{"COLDPLUG_WANTS=/dev/vda /dev/nvme0n1 /dev/sda /dev/sdb /dev/input/event0 " +
				"/sys/bus/pci/drivers/e1000/0000:* /sys/bus/pci/drivers/ahci/0000:* /sys/bus/usb/drivers/usb-storage/*:1.0 " +
				"/sys/class/net/eth0 /sys/class/net/eth1"},
		}},
	})
	results[0].CheckTest(t, "TestColdplugInMachine")
}

func emptyDisk(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 16<<20); err != nil {
		t.Fatal(err)
	}
	return name
}
