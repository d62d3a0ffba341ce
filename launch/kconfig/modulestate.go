package kconfig

import "strings"

// ModuleState is what is known of a module of the kernel that a configuration is of.
type ModuleState uint8

// The states.
const (
	// ModuleUnknown is for one that nothing is known of, as where the configuration is of another kernel than the running
	// one and its modules are not at hand.
	ModuleUnknown ModuleState = iota
	// ModuleAbsent is neither in the kernel nor in the index of the installed modules, which was read.
	ModuleAbsent
	// ModuleLoadable is installed.
	ModuleLoadable
	// ModuleLoaded is in the kernel, loaded or built in.
	ModuleLoaded
)

// Modules tells the state of a module by its name, with underscores. nil knows of none.
type Modules func(name string) ModuleState

// state is the best state of several modules, of which one is enough.
func (m Modules) state(names string) (best ModuleState, which string) {
	if m == nil {
		return ModuleUnknown, ""
	}
	for name := range strings.FieldsSeq(names) {
		if s := m(name); s > best {
			best, which = s, name
		}
	}
	return best, which
}
