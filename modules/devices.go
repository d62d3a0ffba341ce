package modules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// modaliases are those of all devices below /sys, each once, in the order in which to load for them. They are looked for where
// buses and classes list their devices, as `udevadm trigger` does, which is a tenth of the folders below /sys/devices. The
// processor alone has its own elsewhere; what it asks for, kvm and ciphers, is large and nobody waits for it: it comes last.
func (k Kernel) modaliases() (aliases []string, err error) {
	if _, err := os.Stat(k.sys("bus")); err != nil {
		return nil, err
	}
	for _, pattern := range [...]string{"bus/*/devices/*/modalias", "class/*/*/modalias"} {
		files, err := filepath.Glob(k.sys(pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			aliases = addModalias(aliases, file)
		}
	}
	slices.Sort(aliases)
	return addModalias(slices.Compact(aliases), k.sys("devices/system/cpu/modalias")), nil
}

// addModalias adds the modalias of a device, if it has one; one that has gone, or does not answer, has none.
//
//go:noinline
func addModalias(aliases []string, file string) []string {
	if text, err := readText(file); err == nil && text != "" {
		aliases = append(aliases, strings.TrimSpace(text))
	}
	return aliases
}
