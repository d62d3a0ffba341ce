package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// partsVar names the environment variable by which TestMachine tells the test binary in the machine what to run there.
const partsVar = "MODULES_TEST_PARTS"

// parts are the tests that load modules. They run in one process of a virtual machine, in the order that TestMachine gives,
// because what the kernel has by then is part of them.
var parts = map[string]func(*testing.T){
	"coldplug": inMachineColdplug, "packed": inMachinePacked, "want": inMachineWant, "iptables": inMachineIptables,
	"modprobe": inMachineModprobe, "request": inMachineRequest, "errors": inMachineErrors, "unprivileged": inMachineUnprivileged,
	"lockdown": inMachineLockdown, "enforced": inMachineEnforced,
}

// TestInMachine is what runs in the machine.
func TestInMachine(t *testing.T) {
	if os.Getenv("DOCKERLAUNCH_TEST_MACHINE") != "1" {
		t.SkipNow() // not a layer that is missing: TestMachine runs it
	}
	for name := range strings.FieldsSeq(os.Getenv(partsVar)) {
		if parts[name] == nil {
			t.Fatalf("there is no part %q", name)
		}
		t.Run(name, parts[name])
	}
}

const everyPart = "coldplug packed want iptables modprobe request errors unprivileged"

func TestMachine(t *testing.T) {
	// Built once: four machines run the same.
	binary := vm.GoBuild(t, "./modules", "test", "-c")
	modprobe := vm.GoBuild(t, "./modules/testdata/modprobe", "build")
	boot := func(t *testing.T, o vm.Options, parts string, env ...string) {
		t.Helper()
		o.Mount, o.Limit = []string{"proc", "sys", "dev"}, 8*time.Minute
		o.Trees = append(o.Trees, o.Kernel.ModulesTree(nil))
		o.Files = append(append(o.Files, vm.File{Path: "/modules.test", From: binary}, vm.File{Path: "/sbin/modprobe", From: modprobe}), repacked(t, o.Kernel)...)
		o.Commands = []vm.Command{{
			Path: "/modules.test", Args: []string{"-test.v", "-test.run=^TestInMachine$"}, Limit: 6 * time.Minute,
			Env: append(env, partsVar+"="+parts, unpacksVar+"="+kernelUnpacks(t, o.Kernel)),
		}}
		result := vm.Run(t, o)[0]
		result.CheckTest(t, "TestInMachine")
		for part := range strings.FieldsSeq(parts) {
			if !strings.Contains(result.Output, "    --- PASS: TestInMachine/"+part+" ") {
				t.Errorf("%s did not pass", part)
			}
		}
	}
	for _, kernel := range []string{"6.1", "6.12", "sid"} {
		t.Run(kernel, func(t *testing.T) {
			boot(t, vm.Options{
				Kernel: vm.KernelNamed(t, kernel), Memory: 1536,
				Trees:  []vm.Tree{{Path: "/", From: vm.TreeNamed(t, "iptables"), Keep: iptablesFiles}},
				Files:  []vm.File{{Path: "/lib64", Link: "usr/lib64"}, {Path: "/run/.keep"}},
				Drives: []vm.Drive{{Image: emptyDisk(t), Bus: "virtio"}},
				NICs:   []string{"virtio-net-pci"},
			}, everyPart, "COLDPLUG_WANTS=/dev/vda /sys/class/net/eth0")
		})
	}
	// A machine with one device of each kind that people have, and under lockdown, as with secure boot: the kernel's own
	// modules are signed, and it takes them.
	t.Run("6.12-full", func(t *testing.T) {
		drive := func(bus string) vm.Drive { return vm.Drive{Image: emptyDisk(t), Bus: bus} }
		boot(t, vm.Options{
			Kernel: vm.KernelNamed(t, "6.12-full"), Memory: 2048, Cmdline: []string{"lockdown=integrity"},
			Drives: []vm.Drive{drive("virtio"), drive("nvme"), drive("ahci"), drive("usb")},
			NICs:   []string{"virtio-net-pci", "e1000"},
		}, "coldplug lockdown enforced",
			"COLDPLUG_WANTS=/dev/vda /dev/nvme0n1 /dev/sda /dev/sdb /dev/input/event0 "+
				"/sys/bus/pci/drivers/e1000/0000:* /sys/bus/pci/drivers/ahci/0000:* /sys/bus/usb/drivers/usb-storage/*:1.0 "+
				"/sys/class/net/eth0 /sys/class/net/eth1")
	})
}

// kernelUnpacks is the packing that the kernel takes as it is, by its configuration; empty where it takes none.
func kernelUnpacks(t *testing.T, k vm.Kernel) string {
	t.Helper()
	var config []byte
	for _, path := range []string{filepath.Join(k.Modules, "config"), filepath.Join(filepath.Dir(k.Image), "boot/config-"+k.Release)} {
		if data, err := os.ReadFile(path); err == nil {
			config = data
		}
	}
	if config == nil {
		t.Fatalf("kernel %s has no configuration", k.Name)
	}
	if !regexp.MustCompile(`(?m)^CONFIG_MODULE_DECOMPRESS=y$`).Match(config) {
		return ""
	}
	packing := regexp.MustCompile(`(?m)^CONFIG_MODULE_COMPRESS_(XZ|ZSTD|GZIP)=y$`).FindSubmatch(config)
	if packing == nil {
		t.Fatalf("kernel %s unpacks modules, and does not say how", k.Name)
	}
	return map[string]string{"XZ": ".xz", "ZSTD": ".zst", "GZIP": ".gz"}[string(packing[1])]
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
