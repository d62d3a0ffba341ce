package modules

import (
	"fmt"
	"strconv"
	"strings"
)

// readBuiltin reads modules.builtin: the path of each module that was built into the kernel.
func readBuiltin(text string) map[string]bool {
	names := make(map[string]bool, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names[NameOf(line)] = true
		}
	}
	return names
}

// readBuiltinInfo reads modules.builtin.modinfo: "MODULE.KEY=VALUE" strings, each ended by a zero byte. visit gets them in
// their order.
func readBuiltinInfo(text string, visit func(module, key, value string)) {
	for len(text) > 0 {
		var entry string
		entry, text, _ = strings.Cut(text, "\x00")
		left, value, ok := strings.Cut(entry, "=")
		if !ok {
			continue
		}
		if module, key, ok := strings.Cut(left, "."); ok && module != "" && key != "" {
			visit(Normalize(module), key, value)
		}
	}
}

// DeviceNode is a line of modules.devname: a node below /dev whose opening makes the kernel load a module.
type DeviceNode struct {
	Module string
	Path   string // below /dev
	Block  bool
	Major  uint32
	Minor  uint32
}

// readDevname reads modules.devname: "MODULE PATH TYPEMAJOR:MINOR" with type b or c.
func readDevname(text string) ([]DeviceNode, error) {
	var nodes []DeviceNode
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var n DeviceNode
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%q is not MODULE PATH TYPEMAJOR:MINOR", line)
		}
		kind := fields[2][0]
		majorText, minorText, _ := strings.Cut(fields[2][1:], ":")
		major, err := strconv.ParseUint(majorText, 10, 32)
		minor, alsoErr := strconv.ParseUint(minorText, 10, 32)
		if err != nil || alsoErr != nil || kind != 'b' && kind != 'c' {
			return nil, fmt.Errorf("%q names no device", line)
		}
		n.Module, n.Path, n.Block = Normalize(fields[0]), fields[1], kind == 'b'
		n.Major, n.Minor = uint32(major), uint32(minor)
		nodes = append(nodes, n)
	}
	return nodes, nil
}
