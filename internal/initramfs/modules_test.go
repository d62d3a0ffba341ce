package initramfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/vm"
	"github.com/dockerlaunch/dockerlaunch/modules"
)

func TestUnpackedName(t *testing.T) {
	for name, want := range map[string]string{
		"kernel/fs/x.ko": "kernel/fs/x.ko", "kernel/fs/x.ko.xz": "kernel/fs/x.ko", "kernel/fs.ko.d/x.ko.zst": "kernel/fs.ko.d/x.ko", "kernel/odd": "kernel/odd",
	} {
		if got := unpackedName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// The modules of real kernels: what is taken is closed, unpacked, and an index that is read without complaint.
func TestModules(t *testing.T) {
	for _, name := range []string{"6.1", "6.12"} {
		t.Run(name, func(t *testing.T) {
			kernel := vm.KernelNamed(t, name)
			scratch := t.TempDir()
			// As the Makefile names them, the folders are relative.
			t.Chdir(filepath.Dir(kernelTree(kernel)))
			set, err := Modules(t.Context(), ModulesOptions{
				Kernel: filepath.Base(kernelTree(kernel)), Kmod: vm.TreeNamed(t, "kmod"), Wanted: WantedModules(), Scratch: scratch,
			})
			if err != nil {
				t.Fatal(err)
			}
			if set.Release != kernel.Release || len(set.Names) < 100 || set.Size < 10<<20 {
				t.Errorf("%s, %d modules, %d bytes", set.Release, len(set.Names), set.Size)
			}
			for _, name := range []string{"overlay", "bridge", "br_netfilter", "nf_tables", "xt_MASQUERADE", "ip_tables", "veth", "virtio_net", "button", "evdev"} {
				if !slices.Contains(set.Names, name) {
					t.Errorf("%s was not taken", name)
				}
			}
			for _, n := range set.Nodes {
				if !strings.HasPrefix(n.Path, "usr/lib/modules/"+set.Release) || strings.HasSuffix(n.Path, ".ko.xz") {
					t.Errorf("%s is among the nodes", n.Path)
				}
			}
			x, err := modules.Open(modules.Options{Root: scratch, Release: set.Release, ConfigDirs: []string{}})
			if err != nil || x.Scanned {
				t.Fatalf("the index: %v, scanned %v", err, x != nil && x.Scanned)
			}
			for _, name := range set.Names {
				plan, err := x.Resolve(modules.Query{Names: []string{name}, IgnoreCommands: true})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				for _, s := range plan.Steps {
					if s.Builtin {
						continue
					}
					if _, err := os.Stat(s.Path); err != nil {
						t.Errorf("%s needs %s: %v", name, s.Name, err)
					}
				}
			}
			if found, err := x.Lookup("virtio:d00000001v00001AF4"); err != nil || len(found) == 0 {
				t.Errorf("a virtio card's alias finds %v, %v", found, err)
			}
		})
	}
}

// kernelTree is the folder that the kernel was unpacked in.
func kernelTree(k vm.Kernel) string { return filepath.Dir(k.Image) }

func TestModulesRefuses(t *testing.T) {
	kernel := kernelTree(vm.KernelNamed(t, "6.12"))
	kmod := vm.TreeNamed(t, "kmod")
	var missing *MissingModuleError
	_, err := Modules(t.Context(), ModulesOptions{Kernel: kernel, Kmod: kmod, Scratch: t.TempDir(), Wanted: []Wanted{{For: "nothing", Names: []string{"no_such"}, Required: true}}})
	if !errors.As(err, &missing) || missing.Name != "no_such" {
		t.Errorf("a module that is needed and not there: %v", err)
	}
	if _, err := Modules(t.Context(), ModulesOptions{Kernel: t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without modules: %v", err)
	}
	_, err = Modules(t.Context(), ModulesOptions{Kernel: kernel, Kmod: t.TempDir(), Scratch: t.TempDir(), Wanted: []Wanted{{Names: []string{"overlay"}}}})
	if err == nil || !strings.Contains(err.Error(), "depmod") {
		t.Errorf("without depmod: %v", err)
	}
}
