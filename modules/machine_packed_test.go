package modules

import (
	"os"
	"path/filepath"
	"testing"
)

// unpacksVar names the environment variable with the packing that the machine's kernel takes.
const unpacksVar = "MODULES_TEST_KERNEL_UNPACKS"

// Each way to pack a module is loaded: by the kernel, where it knows the packing, else unpacked by this process.
func inMachinePacked(t *testing.T) {
	for _, suffix := range []string{"", ".xz", ".zst", ".gz"} {
		path := "/packed/dummy.ko" + suffix
		unpacked, err := loadFile(path, "numdummies=3", 0)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if want := suffix != "" && suffix != os.Getenv(unpacksVar); unpacked != want {
			t.Errorf("%s was unpacked by this process: %v, want %v (the kernel unpacks %q)", path, unpacked, want, os.Getenv(unpacksVar))
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
