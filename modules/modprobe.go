package modules

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Modprobe is the program modprobe: args are its arguments without its name, and the result is its exit status, 0 or 1 as
// kmod's. The kernel runs it as "modprobe -q -- NAME" (kernel/module/kmod.c), dockerd as "modprobe -va NAME...".
//
// options are more arguments, which come before the others: the value of the environment variable MODPROBE_OPTIONS, which
// modprobe(8) reads. Double quotes keep blanks in a word that they stand around; others stay what they are.
//
// Beyond kmod's it takes a folder of modules without indexes, and where there is no folder at all it asks the kernel with
// Request, unless it was the kernel that asked. It falls short of kmod's in these:
//   - install and remove commands are reported and not run; one that does nothing, as /bin/true, keeps a module from being loaded;
//   - --showconfig, --show-modversions, --dump-modversions and --show-exports are refused as options that it does not know, and
//     so is --show-config;
//   - --syslog is taken, and messages go to standard error all the same;
//   - --force and its parts need a kernel that unpacks modules itself, or modules that are not packed;
//   - its messages have the same levels, and other words.
func Modprobe(args []string, options string, stdout, stderr io.Writer) int {
	out := bufio.NewWriter(stdout)
	m := modprobe{stdout: out, stderr: stderr, byKernel: slices.Equal(args[:min(2, len(args))], []string{"-q", "--"})}
	status := m.main(append(splitCommandLine(options), args...))
	if err := out.Flush(); err != nil && status == 0 {
		m.say("ERROR: writing: %v", err)
		return 1
	}
	return status
}

type modprobe struct {
	*flags
	stdout   *bufio.Writer
	stderr   io.Writer
	kernel   Kernel
	byKernel bool // started as the kernel starts it; asking the kernel would go in a circle without end
	index    *Index
	begun    map[string]bool // modules that a removal has come to
}

func (m *modprobe) main(args []string) int {
	var err error
	if m.flags, err = parseFlags(args); err != nil {
		m.flags = &flags{}
		m.say("%v", err)
		return 1
	}
	switch {
	case m.help:
		fmt.Fprint(m.stdout, modprobeUsage)
		return 0
	case m.version:
		fmt.Fprintln(m.stdout, "modprobe in Go, after kmod version 34")
		return 0
	case len(m.args) == 0:
		m.say("ERROR: missing parameters. See -h.")
		return 1
	}
	if m.index, err = m.open(); errors.Is(err, ErrNoModules) {
		if m.all || m.remove || !isPath(m.args[0]) {
			return m.withoutIndex(err)
		}
		m.index = &Index{Config: ReadConfig(m.config), records: scanned{}} // which a file can do without
	} else if err != nil {
		m.say("FATAL: %v", err)
		return 1
	}
	for _, problem := range m.index.Config.Problems {
		fmt.Fprintf(m.stderr, "modprobe: WARNING: %s\n", problem) // as kmod, also with -q
	}
	names, params := m.args, ""
	if !m.all && !m.remove {
		names, params = m.args[:1], joinParams(m.args[1:])
	}
	status := 0
	for _, name := range names {
		var err error
		if m.remove {
			err = m.removeName(name)
		} else {
			err = m.insertName(name, params)
		}
		if err != nil {
			status = 1
		}
	}
	return status
}

// say prints a line for a person.
func (m *modprobe) say(format string, args ...any) {
	if !m.quiet {
		m.stdout.Flush() // so that both come in order; its error stays for the end
		fmt.Fprintf(m.stderr, "modprobe: "+format+"\n", args...)
	}
}

func (m *modprobe) open() (*Index, error) {
	o := Options{Release: m.release, ConfigDirs: m.config, mapped: true}
	if m.dir != "" {
		dir, err := filepath.Abs(m.dir)
		if err != nil {
			return nil, err
		}
		o.Root = dir
	}
	var err error
	// Without /proc there are no options on the command line, but modules can be loaded all the same.
	if o.CommandLine, err = ReadCommandLine(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return Open(o)
}

// withoutIndex leaves the work to the kernel.
func (m *modprobe) withoutIndex(why error) int {
	status := 0
	names := m.args
	if !m.all {
		names = names[:1]
	}
	for _, name := range names {
		presence, err := m.kernel.Has(name)
		if err == nil && presence == Absent && m.mayAsk() && !m.byKernel && !m.kernel.startedByKernel() {
			if err = Request(name); err == nil {
				presence, err = m.kernel.Has(name)
			}
		}
		if err == nil && presence != Absent && m.mayAsk() {
			continue
		}
		status = 1
		m.say("FATAL: Module %s not found: %v", name, errors.Join(why, err))
	}
	return status
}

func (m *modprobe) mayAsk() bool {
	return !m.remove && !m.resolve && !m.showDepends && !m.dryRun && m.dir == "" && m.release == ""
}

func (m *modprobe) notFound(name, where string) error {
	level := "FATAL"
	if m.all {
		level = "WARNING" // the others are tried all the same
	}
	m.say("%s: Module %s not found%s", level, name, where)
	return ErrNotFound
}

func (m *modprobe) insertName(name, params string) error {
	found, err := m.lookup(name)
	if err != nil {
		m.say("FATAL: %v", err)
		return err
	}
	if len(found) == 0 {
		if command := commandFor(m.index.Config.Install, Normalize(name)); command != "" && !m.ignoreCommands {
			return m.commandOnly(name, command, params)
		}
		return m.notFound(name, " in directory "+m.index.Dir)
	}
	var errs []error
	for _, module := range found {
		if m.resolve {
			fmt.Fprintln(m.stdout, module.Name)
			continue
		}
		errs = append(errs, m.insert(module, params))
	}
	return errors.Join(errs...)
}

// lookup finds the modules behind a name, or the one in a file, which has the dependencies of the index's of its name.
func (m *modprobe) lookup(name string) ([]Module, error) {
	if !isPath(name) {
		return m.index.Lookup(name)
	}
	_, err := os.Stat(name)
	if err == nil && name[0] == '.' {
		name, err = filepath.Abs(name)
	}
	return []Module{{Name: NameOf(name), Path: name}}, err
}

// isPath tells the file of a module, as kmod does, from an alias, which may have a slash in it, too.
func isPath(name string) bool { return strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") }

// commandOnly is for a name that is nothing but an install command.
func (m *modprobe) commandOnly(name, command, params string) error {
	if m.showDepends || m.dryRun {
		m.printCommand(command, params)
		return nil
	}
	err := &CommandError{Module: name, Command: command}
	if err.disables() {
		return nil
	}
	m.say("ERROR: %v", err)
	return err
}

func (m *modprobe) printCommand(command, params string) {
	if m.showDepends || m.verbose {
		fmt.Fprintf(m.stdout, "install %s %s\n", command, params)
	}
}

func (m *modprobe) insert(module Module, params string) error {
	how := BlacklistAliases
	if m.blacklist {
		how = BlacklistNames
	}
	if m.index.blacklisted(module, how) {
		return nil
	}
	if module.Path == "" && !module.Builtin {
		// An alias of the configuration that leads nowhere. "alias NAME off" is one, too.
		if command := commandFor(m.index.Config.Install, module.Name); command != "" && !m.ignoreCommands {
			return m.commandOnly(module.Name, command, params)
		}
		if m.showDepends || m.dryRun {
			return nil
		}
	}
	var loaded map[string]Presence // which does not matter for what it depends on
	if !m.showDepends {
		var err error
		if loaded, err = m.kernel.Loaded(); err != nil {
			m.say("ERROR: %v", err)
			return err
		}
	}
	if (module.Builtin || loaded[module.Name] == Loaded) && !m.showDepends {
		if m.firstTime {
			m.say("ERROR: could not insert '%s': Module already in kernel", module.Name)
			return unix.EEXIST
		}
		return nil
	}
	plan, err := m.index.resolveOne(module, Query{Params: params, IgnoreCommands: m.ignoreCommands})
	if err != nil {
		m.say("ERROR: could not insert '%s': %v", module.Name, err)
		return err
	}
	if m.showDepends || m.verbose {
		m.print(plan, loaded)
	}
	if m.showDepends || m.dryRun {
		return nil
	}
	m.stdout.Flush() // before what may take long; its error stays for the end
	loader := Loader{Index: m.index, Kernel: m.kernel, force: m.force}
	results, err := loader.Run(context.Background(), plan)
	for _, r := range results {
		var command *CommandError
		switch {
		case r.Outcome == ByCommand && errors.As(r.Err, &command) && command.disables():
			if r.Asked {
				return nil
			}
		case r.Outcome == ByCommand, r.Outcome == Failed && r.Required:
			m.say("ERROR: could not insert '%s': %v", r.Name, r.Err)
		}
	}
	return err
}

// print shows a plan as kmod's modprobe does.
func (m *modprobe) print(plan *Plan, loaded map[string]Presence) {
	for _, s := range plan.Steps {
		switch {
		case !m.showDepends && loaded[s.Name] == Loaded:
		case s.Command != "":
			m.printCommand(s.Command, s.Params)
		case s.Builtin:
			m.printLine("builtin ", s.Name)
		default:
			m.printLine("insmod ", s.Path, " ", s.Params)
		}
	}
}

// printLine prints without package fmt, as there may be a hundred lines.
func (m *modprobe) printLine(words ...string) {
	for _, word := range words {
		m.stdout.WriteString(word)
	}
	m.stdout.WriteByte('\n')
}

// joinParams makes one string of parameters, in which a value with blanks is quoted for the kernel.
func joinParams(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if key, value, ok := strings.Cut(arg, "="); ok && strings.ContainsAny(value, " \t") && !strings.Contains(value, `"`) {
			quoted[i] = key + `="` + value + `"`
		}
	}
	return strings.Join(quoted, " ")
}
