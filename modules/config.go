package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ConfigDirs are the folders of modprobe.d(5), the most important first: of files with the same name only the first counts.
func ConfigDirs() []string {
	return []string{"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"}
}

// Config is what modprobe.d, modules.softdep and the kernel command line say, in the order in which they say it. Names are
// normalized.
type Config struct {
	Aliases   []Alias
	Blacklist []string
	Options   []Option
	SoftDeps  []SoftDep
	Install   []Command
	Remove    []Command
	// Problems are what was skipped, as lines for a person, at most a thousand: lines that were not understood, with their
	// file and number, and files and folders that could not be read; of a folder without indexes also its modules that could
	// not.
	Problems []string
}

// maxProblems bounds Problems: any file may have the name of a configuration.
const maxProblems = 1000

// skip notes what is skipped.
func (c *Config) skip(err error) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, "skipped: "+err.Error())
	}
}

// Alias is "alias PATTERN MODULE".
type Alias struct{ Pattern, Module string }

// Option is "options NAME PARAMS", where NAME is a module or an alias by which it is asked for.
type Option struct{ Name, Params string }

// SoftDep is "softdep NAME pre: ... post: ...": what should be loaded before and after the module, and may be missing.
type SoftDep struct {
	Name      string
	Pre, Post []string
}

// Command is "install NAME COMMAND" or "remove NAME COMMAND".
type Command struct{ Name, Command string }

// ReadConfig reads the files *.conf of the folders, and single files, in the order of their base names; nil means
// ConfigDirs(). What cannot be read is among the Problems, as one file must not cost a machine all its drivers.
func ReadConfig(dirs []string) *Config {
	c := &Config{}
	if dirs == nil {
		dirs = ConfigDirs()
	}
	for _, file := range c.files(dirs) {
		text, err := readText(file)
		if err != nil {
			c.skip(err)
			continue
		}
		c.parse(file, text)
	}
	return c
}

func (c *Config) files(dirs []string) []string {
	seen := map[string]string{}
	var names []string
	add := func(path string) {
		name := filepath.Base(path)
		if _, ok := seen[name]; !ok {
			seen[name] = path
			names = append(names, name)
		}
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var entries []os.DirEntry
		if err == nil && !info.IsDir() {
			add(dir)
			continue
		} else if err == nil {
			entries, err = os.ReadDir(dir)
		}
		if err != nil {
			c.skip(err)
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".conf") && entry.Name()[0] != '.' {
				add(filepath.Join(dir, entry.Name()))
			}
		}
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = seen[name]
	}
	return names
}

// parse adds a file of modprobe.d. A backslash before the end of a line joins it with the next.
func (c *Config) parse(file, text string) {
	var joined []string
	for number := 1; text != ""; number++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		before, more := strings.CutSuffix(strings.TrimSuffix(line, "\r"), "\\")
		if joined = append(joined, before); more && text != "" {
			continue
		}
		line, joined = strings.TrimSpace(strings.Join(joined, " ")), joined[:0]
		if line != "" && line[0] != '#' && !c.line(line) {
			word, _ := cutField(line)
			c.skip(fmt.Errorf("%s:%d: not understood: the line that begins with %.40q", file, number, word))
		}
	}
}

func (c *Config) line(line string) bool {
	word, rest := cutField(line)
	name, rest := cutField(rest)
	name = Normalize(name)
	switch word {
	case "alias":
		module, _ := cutField(rest) // as kmod, which pays no heed to what follows
		if name == "" || module == "" {
			return false
		}
		c.Aliases = append(c.Aliases, Alias{name, Normalize(module)})
	case "blacklist":
		if name == "" {
			return false
		}
		c.Blacklist = append(c.Blacklist, name)
	case "options":
		if name == "" || rest == "" {
			return false
		}
		c.Options = append(c.Options, Option{name, rest})
	case "install", "remove":
		if name == "" || rest == "" {
			return false
		}
		list := &c.Install
		if word == "remove" {
			list = &c.Remove
		}
		*list = append(*list, Command{name, rest})
	case "softdep":
		if name == "" || rest == "" {
			return false
		}
		c.SoftDeps = append(c.SoftDeps, parseSoftDep(name, rest))
	case "weakdep":
		// It names modules that may be of use later, for those who build an initramfs. Loading does not follow it.
		return name != ""
	default:
		return false
	}
	return true
}

// parseSoftDep reads "pre: a b post: c". Words before the first of both markers mean nothing, as in kmod.
func parseSoftDep(name, text string) SoftDep {
	s := SoftDep{Name: name}
	var list *[]string
	for _, word := range strings.Fields(text) {
		switch word {
		case "pre:":
			list = &s.Pre
		case "post:":
			list = &s.Post
		default:
			if list != nil {
				*list = append(*list, Normalize(word))
			}
		}
	}
	return s
}

func cutField(s string) (field, rest string) {
	s = strings.TrimLeft(s, " \t")
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

// CommandLine adds what the kernel command line says for modules: "module.param=value" and "modprobe.blacklist=a,b". Words
// behind "--" are init's.
func (c *Config) CommandLine(text string) {
	for _, word := range splitCommandLine(text) {
		if word == "--" {
			return
		}
		module, param, ok := strings.Cut(word, ".")
		if !ok || module == "" || param == "" || param[0] == '=' || strings.ContainsAny(module, "= \t\"") {
			continue
		}
		module = Normalize(module)
		if list, ok := strings.CutPrefix(param, "blacklist="); ok && module == "modprobe" {
			for name := range strings.SplitSeq(list, ",") {
				if name != "" {
					c.Blacklist = append(c.Blacklist, Normalize(name))
				}
			}
			continue
		}
		// A word that was quoted as a whole: the kernel splits a module's parameters at blanks, too.
		c.Options = append(c.Options, Option{module, joinParams([]string{param})})
	}
}

// splitCommandLine splits at blanks outside double quotes, as the kernel does (lib/cmdline.c). A word that is quoted as a
// whole loses its quotes; others keep them, because the kernel takes them from a module's parameters itself.
func splitCommandLine(text string) []string {
	var words []string
	start, quoted := -1, false
	flush := func(end int) {
		if start < 0 {
			return
		}
		word := text[start:end]
		if len(word) >= 2 && word[0] == '"' && word[len(word)-1] == '"' && !strings.Contains(word[1:len(word)-1], `"`) {
			word = word[1 : len(word)-1]
		}
		if word != "" {
			words = append(words, word)
		}
		start = -1
	}
	for i := 0; i < len(text); i++ {
		blank := text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r' || text[i] == 0
		if blank && !quoted {
			flush(i)
			continue
		}
		if text[i] == '"' {
			quoted = !quoted
		}
		if start < 0 {
			start = i
		}
	}
	flush(len(text))
	return words
}

// options joins all parameters for a module that may have been asked for by an alias.
func (c *Config) options(module, alias string) string {
	var params []string
	for _, o := range c.Options {
		if o.Name == module || alias != "" && o.Name == alias {
			params = append(params, o.Params)
		}
	}
	return strings.Join(params, " ")
}

// softDep finds the first line for a module; kmod's modprobe goes by the first alone, too.
func (c *Config) softDep(module string) (SoftDep, bool) {
	for _, s := range c.SoftDeps {
		if s.Name == module || matches(s.Name, module) {
			return s, true
		}
	}
	return SoftDep{}, false
}

func commandFor(list []Command, module string) string {
	for _, c := range list {
		if c.Name == module || matches(c.Name, module) {
			return c.Command
		}
	}
	return ""
}
