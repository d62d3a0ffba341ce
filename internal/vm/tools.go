package vm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// minQEMU is the first release whose software emulation runs two processors in threads of their own without the guest
// losing timer interrupts.
const minQEMU = 10

// ErrMissing is what Find's errors wrap.
var ErrMissing = errors.New("run scripts/fetch-qemu first")

// Tools is what the machine tests stand on.
type Tools struct {
	// QEMU is the command that starts qemu-system-x86_64, with the arguments it needs to find its libraries and firmware.
	QEMU []string
	// Dir is build/vm, with the trees that scripts/fetch-qemu made.
	Dir string
}

// Find looks for QEMU: one in PATH of release 10 or later, else the one that scripts/fetch-qemu unpacked.
func Find() (Tools, error) { return found() }

var found = sync.OnceValues(func() (Tools, error) {
	root, err := moduleRoot()
	if err != nil {
		return Tools{}, err
	}
	tools := Tools{Dir: filepath.Join(root, "build", "vm")}
	if path, err := exec.LookPath("qemu-system-x86_64"); err == nil {
		release, err := qemuRelease(path)
		if err != nil {
			return Tools{}, err
		}
		if release >= minQEMU {
			tools.QEMU = []string{path}
			return tools, nil
		}
	}
	tree := filepath.Join(tools.Dir, "qemu", "usr")
	// The C library of the package's own release, so that the host's does not matter.
	tools.QEMU = []string{
		filepath.Join(tree, "lib64", "ld-linux-x86-64.so.2"),
		"--library-path", filepath.Join(tree, "lib", "x86_64-linux-gnu"),
		filepath.Join(tree, "bin", "qemu-system-x86_64"),
		"-L", filepath.Join(tree, "share", "qemu"), "-L", filepath.Join(tree, "share", "seabios"),
	}
	if _, err := os.Stat(tools.QEMU[3]); err != nil {
		return Tools{}, fmt.Errorf("no QEMU of release %d or later in PATH, and none unpacked (%w): %w", minQEMU, err, ErrMissing)
	}
	return tools, nil
})

func qemuRelease(path string) (int, error) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("%s --version: %w", path, err)
	}
	m := regexp.MustCompile(`version (\d+)\.`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%s --version says no version: %q", path, out)
	}
	return strconv.Atoi(string(m[1]))
}

// Kernel is a Debian kernel that scripts/fetch-qemu unpacked.
type Kernel struct {
	Name    string // "6.1", "6.12", "sid", "6.12-full"
	Release string // what uname -r says in the machine
	Image   string // the bzImage
	Modules string // the folder of its modules, with depmod's indexes
}

// FindKernel finds the kernel that scripts/fetch-qemu unpacked as kernel-NAME.
func FindKernel(name string) (Kernel, error) {
	root, err := moduleRoot()
	if err != nil {
		return Kernel{}, err
	}
	tree := filepath.Join(root, "build", "vm", "kernel-"+name)
	k := Kernel{Name: name, Image: filepath.Join(tree, "vmlinuz")}
	if k.Modules, err = filepath.EvalSymlinks(filepath.Join(tree, "modules")); err != nil {
		return Kernel{}, fmt.Errorf("kernel %s is not there (%w): %w", name, err, ErrMissing)
	}
	if _, err := os.Stat(k.Image); err != nil {
		return Kernel{}, fmt.Errorf("kernel %s has no image (%w): %w", name, err, ErrMissing)
	}
	k.Release = filepath.Base(k.Modules)
	return k, nil
}

// KernelNamed is FindKernel for a test that cannot go on without it.
func KernelNamed(t testing.TB, name string) Kernel {
	t.Helper()
	k, err := FindKernel(name)
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	return k
}

// TreeNamed gives the path of another tree that scripts/fetch-qemu unpacked, such as "kmod" or "iptables".
func TreeNamed(t testing.TB, name string) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "build", "vm", name)
	if _, err := os.Stat(filepath.Join(dir, ".packages")); err != nil {
		testenv.Missing(t, fmt.Sprintf("the tree %s is not there (%v): %v", name, err, ErrMissing))
	}
	return dir
}

// moduleRoot is the folder of go.mod: tests run in their package's folder, somewhere below it.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in the working directory or above it: machine tests run in their source tree")
		}
		dir = parent
	}
}
