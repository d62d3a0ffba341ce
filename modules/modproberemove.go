package modules

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// removeName removes the modules behind a name.
func (m *modprobe) removeName(name string) error {
	found, err := m.index.Lookup(name)
	if err != nil {
		m.say("FATAL: %v", err)
		return err
	}
	if len(found) == 0 {
		return m.notFound(name, ".")
	}
	m.begun = map[string]bool{}
	for _, module := range found {
		if err := m.removeModule(module, m.holders, false); err != nil {
			return err
		}
	}
	return nil
}

// removeModule removes a module with what goes before and after it: its soft dependencies, with holders the modules that
// use it, and at last the modules it needed, where nobody else uses them.
func (m *modprobe) removeModule(module Module, holders, builtinIsFine bool) error {
	if m.begun[module.Name] {
		return nil // soft dependencies may go round
	}
	m.begun[module.Name] = true
	config := m.index.Config
	if command := commandFor(config.Remove, module.Name); command != "" && !m.ignoreCommands {
		if m.verbose {
			fmt.Fprintf(m.stdout, "remove %s\n", command)
		}
		err := &CommandError{Module: module.Name, Command: command}
		if m.dryRun || err.disables() {
			return nil
		}
		m.say("ERROR: %v", err)
		return err
	}
	presence, err := m.kernel.Has(module.Name)
	switch {
	case err != nil:
		m.say("ERROR: %v", err)
		return err
	case presence == BuiltIn || module.Builtin:
		if builtinIsFine {
			return nil
		}
		m.say("FATAL: Module %s is builtin.", module.Name)
		return unix.ENOENT
	case presence == Absent:
		if m.firstTime {
			m.say("FATAL: Module %s is not in kernel.", module.Name)
			return unix.ENOENT
		}
		return nil
	}
	softDep := SoftDep{}
	if !m.ignoreCommands {
		softDep, _ = config.softDep(module.Name)
	}
	m.removeSoft(softDep.Post)
	if holders {
		if err := m.removeHolders(module.Name); err != nil {
			return err
		}
	}
	if err := m.delete(module.Name); err != nil {
		return err
	}
	r, ok, err := m.index.records.find(module.Name)
	if err != nil {
		m.say("ERROR: %v", err)
		return err
	}
	if ok {
		deps := slices.Clone(r.dependencies())
		slices.Reverse(deps) // the users before the used
		for _, dep := range deps {
			if n, err := m.kernel.references(dep); err == nil && n == 0 {
				m.deleteQuietly(dep)
			}
		}
	}
	m.removeSoft(softDep.Pre)
	return nil
}

// removeSoft removes soft dependencies, the last first. That one is in use is no error of the module that wanted it.
func (m *modprobe) removeSoft(names []string) {
	quiet := m.quiet
	m.quiet = true
	defer func() { m.quiet = quiet }()
	for _, name := range slices.Backward(names) {
		found, err := m.index.Lookup(name)
		if err != nil {
			continue // a table that cannot be read was reported with the module itself
		}
		for _, module := range slices.Backward(found) {
			if err := m.removeModule(module, false, true); err != nil {
				continue // in use
			}
		}
	}
}

func (m *modprobe) removeHolders(name string) error {
	entries, err := os.ReadDir(m.kernel.sys("module/" + name + "/holders"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, entry := range entries {
		holder, ok, err := m.index.Module(entry.Name())
		if err != nil {
			m.say("ERROR: %v", err)
			return err
		}
		if ok {
			if err := m.removeModule(holder, true, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// delete removes one module, and waits for its users as -w says.
func (m *modprobe) delete(name string) error {
	if n, err := m.kernel.references(name); err == nil && n > 0 && m.wait == 0 {
		m.say("FATAL: Module %s is in use.", name)
		return unix.EBUSY
	}
	if m.verbose {
		fmt.Fprintf(m.stdout, "rmmod %s\n", name)
	}
	if m.dryRun {
		return nil
	}
	m.stdout.Flush() // before what may take long; its error stays for the end
	flags := unix.O_NONBLOCK
	if m.forceRemove {
		flags |= unix.O_TRUNC // delete_module(2); for kernels with CONFIG_MODULE_FORCE_UNLOAD
	}
	end := time.Now().Add(time.Duration(m.wait) * time.Millisecond)
	for {
		err := remove(name, flags)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EAGAIN) && time.Now().Before(end):
			time.Sleep(10 * time.Millisecond)
			continue
		case errors.Is(err, unix.ENOENT) && !m.firstTime:
			return nil
		}
		m.say("ERROR: could not remove '%s': %v", name, err)
		return err
	}
}

// deleteQuietly removes a module that has become unused; that it is needed again meanwhile is nobody's error.
func (m *modprobe) deleteQuietly(name string) {
	quiet := m.quiet
	m.quiet = true
	defer func() { m.quiet = quiet }()
	if err := m.delete(name); err != nil {
		return // it stays
	}
}
