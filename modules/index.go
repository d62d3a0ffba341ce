package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNoModules is returned by Open where there is no folder of modules for the kernel. That is normal in a container, and
// for a kernel with everything built in.
var ErrNoModules = errors.New("no modules for this kernel")

// Options say where an Index is read from. The zero value is the running system.
type Options struct {
	// Root is put before /lib/modules, as modprobe's -d.
	Root string
	// Release names the kernel; empty for the running one.
	Release string
	// ConfigDirs are read as modprobe.d(5); nil means ConfigDirs().
	ConfigDirs []string
	// CommandLine is the kernel's, for "module.param=value" and "modprobe.blacklist="; see ReadCommandLine.
	CommandLine string

	mapped bool // see openTrie
}

// Index knows the modules of one kernel and the configuration of modprobe. It reads depmod's files: those that kmod's modprobe
// reads, modules.dep.bin and its like, or the text of the same where they are missing. Where depmod never ran, it goes by what
// the modules say of themselves.
type Index struct {
	// Dir is the folder, /lib/modules/RELEASE.
	Dir string
	// Scanned tells that there was no modules.dep, so that every module was read instead.
	Scanned bool
	Config  *Config

	records        recordSource
	builtin        func() map[string]bool
	configure      *aliasTable // aliases of the configuration
	aliases        aliasLookup
	symbols        aliasLookup
	builtinAliases func() (*aliasTable, error)
}

// Open reads the index of a kernel. Without a modules.dep it reads every module there is, which takes seconds. What it had to
// skip on the way, in modprobe.d or of such modules, is no error: it is in Config.Problems, for the caller to tell.
func Open(o Options) (*Index, error) {
	dir, err := findDir(o)
	if err != nil {
		return nil, err
	}
	config := ReadConfig(o.ConfigDirs)
	x := &Index{Dir: dir, Config: config}
	if err := x.read(o.mapped); err != nil {
		return nil, err
	}
	config.CommandLine(o.CommandLine)
	x.configure = newAliasTable(len(config.Aliases))
	for _, a := range config.Aliases {
		x.configure.add(a.Pattern, a.Module)
	}
	x.builtinAliases = sync.OnceValues(x.readBuiltinAliases)
	return x, nil
}

func findDir(o Options) (string, error) {
	release := o.Release
	if release == "" {
		var err error
		if release, err = Release(); err != nil {
			return "", err
		}
	}
	if strings.ContainsRune(release, '/') || release == ".." {
		return "", fmt.Errorf("%q is not the release of a kernel", release)
	}
	var dirs []string
	for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
		dir := filepath.Join(o.Root, "/", lib, release)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, nil
		}
		dirs = append(dirs, dir)
	}
	return "", fmt.Errorf("%w: neither %s is there", ErrNoModules, strings.Join(dirs, " nor "))
}

// Release is the running kernel's, as uname -r prints it.
func Release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", os.NewSyscallError("uname", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// ReadCommandLine reads the kernel command line for Options.
func ReadCommandLine() (string, error) {
	return readText("/proc/cmdline")
}

func (x *Index) read(mapped bool) error {
	var err error
	if x.records, err = recordsIn(x.Dir, mapped); errors.Is(err, fs.ErrNotExist) {
		x.Scanned = true
		if err := x.scan(); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else {
		x.aliases, x.symbols = aliasesIn(x.Dir, "modules.alias", mapped), aliasesIn(x.Dir, "modules.symbols", mapped)
		softdep, err := x.optional("modules.softdep")
		if err != nil {
			return err
		}
		x.Config.parse(filepath.Join(x.Dir, "modules.softdep"), softdep)
	}
	builtin, err := x.optional("modules.builtin")
	x.builtin = sync.OnceValue(func() map[string]bool { return readBuiltin(builtin) })
	return err
}

// optional reads a file that may be missing: depmod of some age did not write all of them.
func (x *Index) optional(name string) (string, error) {
	text, err := readText(filepath.Join(x.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return text, err
}

func (x *Index) readBuiltinAliases() (*aliasTable, error) {
	text, err := x.optional("modules.builtin.modinfo")
	t := newAliasTable(64)
	readBuiltinInfo(text, func(module, key, value string) {
		if key == "alias" {
			t.add(value, module)
		}
	})
	return t, err
}

// DeviceNodes are the nodes below /dev that make the kernel load a module when someone opens them (modules.devname).
func (x *Index) DeviceNodes() ([]DeviceNode, error) {
	text, err := x.optional("modules.devname")
	if err != nil {
		return nil, err
	}
	return readDevname(text)
}

// Names are the names of all modules that can be loaded, sorted.
func (x *Index) Names() ([]string, error) {
	names, err := x.records.names()
	slices.Sort(names)
	return names, err
}

// Module is one module of an Index.
type Module struct {
	Name string
	// Path is the module's file; empty for one that is built in.
	Path    string
	Builtin bool
	// Alias is the name it was asked by, where that is an alias.
	Alias string
}

// Module finds a module by its own name, with - and _ alike. One that is not there is no error.
func (x *Index) Module(name string) (m Module, ok bool, err error) {
	name = Normalize(name)
	r, ok, err := x.records.find(name)
	switch {
	case err != nil:
		return Module{}, false, err
	case ok:
		return x.module(name, r), true, nil
	case x.builtin()[name]:
		return Module{Name: name, Builtin: true}, true, nil
	}
	return Module{}, false, nil
}

func (x *Index) module(name string, r record) Module {
	path := r.path
	if !filepath.IsAbs(path) {
		path = filepath.Join(x.Dir, path)
	}
	return Module{Name: name, Path: path}
}
