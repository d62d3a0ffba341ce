package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Presence is what the running kernel has of a module.
type Presence int

const (
	Absent  Presence = iota
	Loading          // on its way in, or out
	Loaded           // in use
	BuiltIn          // part of the kernel
)

func (p Presence) String() string {
	return [...]string{"absent", "loading", "loaded", "built in"}[p]
}

// Kernel asks the running kernel for its modules. The zero value asks at /proc and /sys.
type Kernel struct {
	Proc, Sys string // other places for both
}

func (k Kernel) proc(name string) string { return or(k.Proc, "/proc") + "/" + name }
func (k Kernel) sys(name string) string  { return or(k.Sys, "/sys") + "/" + name }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Modular reports whether the kernel can load modules at all: one without CONFIG_MODULES has no /proc/modules. False also
// where /proc is not mounted.
func (k Kernel) Modular() bool {
	_, err := os.Stat(k.proc("modules"))
	return err == nil
}

// Loaded reads the names of all modules in the kernel, without the built-in ones. A kernel without CONFIG_MODULES has none.
func (k Kernel) Loaded() (map[string]Presence, error) {
	text, err := readText(k.proc("modules"))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Presence{}, nil
	} else if err != nil {
		return nil, err
	}
	return readLoaded(text)
}

// readLoaded reads /proc/modules (proc(5)): name, size, uses, users, state and address.
func readLoaded(text string) (map[string]Presence, error) {
	loaded := make(map[string]Presence, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("reading the loaded modules: unexpected line %q", line)
		}
		state := Loaded
		if len(fields) >= 5 && fields[4] != "Live" {
			state = Loading
		}
		loaded[Normalize(fields[0])] = state
	}
	return loaded, nil
}

// Has tells what the kernel has of one module by /sys/module, or /proc/modules where /sys is not mounted. A built-in one
// that has no parameters and no version is not listed in /sys: it comes out as Absent, and only modules.builtin knows it.
func (k Kernel) Has(name string) (Presence, error) {
	name = Normalize(name)
	if name == "" || strings.ContainsRune(name, '/') || name[0] == '.' {
		return Absent, nil
	}
	dir := k.sys("module/" + name)
	state, err := readText(filepath.Join(dir, "initstate"))
	switch {
	case err == nil && strings.TrimSpace(state) == "live":
		return Loaded, nil
	case err == nil:
		return Loading, nil
	case !errors.Is(err, fs.ErrNotExist):
		return Absent, err
	}
	if _, err := os.Stat(dir); err == nil {
		return BuiltIn, nil
	}
	if _, err := os.Stat(k.sys("module")); err == nil {
		return Absent, nil
	}
	loaded, err := k.Loaded()
	return loaded[name], err
}

// references is how many users hold a module, -1 where the kernel does not say.
func (k Kernel) references(name string) (int, error) {
	text, err := readText(k.sys("module/" + name + "/refcnt"))
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	} else if err != nil {
		return -1, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return -1, fmt.Errorf("reading how often %s is used: %w", name, err)
	}
	return n, nil
}

// startedByKernel reports whether this process's parent is a thread of the kernel, as its helpers' are. Where that cannot
// be seen, the parent is a program: a helper runs in the initial namespaces, beside a mounted /proc if there is one at all.
func (k Kernel) startedByKernel() bool {
	text, err := readText(k.proc(fmt.Sprintf("%d/stat", os.Getppid())))
	if err != nil {
		return false
	}
	return kernelThread(text)
}

// kernelThread reads the flags in /proc/PID/stat (proc_pid_stat(5)), the seventh field behind the name, which may hold
// blanks and brackets itself.
func kernelThread(stat string) bool {
	const pfKthread = 0x00200000 // PF_KTHREAD of include/linux/sched.h
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return err == nil && flags&pfKthread != 0
}
