// Package kconfig reads kernel configurations and knows what Docker needs of a kernel: which options, in which releases,
// what is lost without them and what became of those that are gone.
//
// Read and Find give a Config, Judge compares it with the table of requirements, Explain tells all there is to know about one
// option, and Fragment writes what a kernel's builder has to turn on.
package kconfig

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrNotConfig is returned for text that is not a Linux kernel's configuration.
var ErrNotConfig = errors.New("this is not the configuration of a Linux kernel")

// Config is what a kernel's configuration says.
type Config struct {
	// Source is where it was read, for messages.
	Source string
	// Text is the release as the header gives it ("6.12.43", "3.10.0-1160.el7.x86_64"), or "" where there is no header.
	Text string
	// Release is the same as numbers.
	Release Release
	// Arch is the header's architecture, for example x86, x86_64 or arm64, or "".
	Arch string
	// Complete tells that every option of the kernel is there, so that one that is absent is off. It is false for fragments
	// and for what `make savedefconfig` writes, which leave out what is as it would be anyway, and for a probed kernel.
	Complete bool
	// Options counts the lines that set an option or say that it is not set, Garbage those that are neither that nor a
	// comment, and Duplicates the options that a later line set again, which wins.
	Options, Garbage, Duplicates int

	probed bool // what Runtime found, rather than a file
	values map[string]string
}

// Value is the value of an option, named without CONFIG_: "y", "m", "n" for one that is said not to be set, a number, or a
// string without its quotes. It is "" for an option that is not there, and for an empty string.
func (c *Config) Value(name string) string { return c.values[name] }

// On tells whether an option is built in or a module.
func (c *Config) On(name string) bool {
	v := c.values[name]
	return v == "y" || v == "m"
}

// anchors are options that every full configuration has a line for, on any architecture, since 2.6: plain choices without
// conditions, all over the file. The first has no condition for being asked but a value that practically nobody changes, so
// that savedefconfig leaves it out; a file that was cut off lacks one of the others (scripts/kconfig/confdata.c: conf_write
// and conf_write_defconfig; init/Kconfig, net/Kconfig, lib/Kconfig.debug, crypto/Kconfig).
var anchors = [...]string{"INIT_ENV_ARG_LIMIT", "LOCALVERSION", "MODULES", "NET", "CRYPTO", "DEBUG_KERNEL"}

// Parse reads a configuration. It never fails on single lines, which it counts; text without any option is ErrNotConfig.
func Parse(data []byte) (*Config, error) {
	c := &Config{values: make(map[string]string, len(data)/40)}
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	head, other := 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		head++
		switch {
		case line == "":
		case line[0] == '#':
			if !c.unset(line) && head <= 10 {
				other = c.header(line, other)
			}
		default:
			c.set(line)
		}
	}
	if c.Text == "" && other != "" {
		return nil, fmt.Errorf("%w: its header says %q", ErrNotConfig, clip(other))
	}
	if c.Options == 0 || c.Garbage > c.Options {
		return nil, fmt.Errorf("%w: %d of its lines set an option, %d are something else", ErrNotConfig, c.Options, c.Garbage)
	}
	c.Complete = true
	for _, name := range anchors {
		if _, ok := c.values[name]; !ok {
			c.Complete = false
		}
	}
	return c, nil
}

// header takes a comment of the first lines apart and returns what another program's header says. The forms are
//
//	# Linux/x86 6.12.43 Kernel Configuration       (since 2.6.37)
//	# Linux kernel version: 2.6.32                 (before)
//	# U-Boot 2020.01 Configuration                 (another program that is configured the same way)
func (c *Config) header(line, other string) string {
	words := strings.Fields(strings.TrimLeft(line, "#"))
	switch {
	case len(words) >= 4 && words[0] == "Linux" && words[1] == "kernel" && words[2] == "version:":
		c.release(words[3])
	case len(words) >= 3 && strings.HasPrefix(words[0], "Linux/") && words[len(words)-1] == "Configuration":
		c.Arch = strings.Clone(words[0][len("Linux/"):])
		c.release(words[1])
	case len(words) >= 2 && words[len(words)-1] == "Configuration", len(words) == 3 && words[1] == "version:":
		return strings.Join(words, " ")
	}
	return other
}

func (c *Config) release(text string) {
	if r, ok := ParseRelease(text); ok && c.Text == "" {
		c.Text, c.Release = strings.Clone(text), r
	}
}

// unset reads "# CONFIG_X is not set".
func (c *Config) unset(line string) bool {
	name, ok := strings.CutPrefix(line, "# CONFIG_")
	if !ok {
		return false
	}
	name, ok = strings.CutSuffix(name, " is not set")
	if !ok || !isName(name) {
		return false
	}
	c.put(name, "n")
	return true
}

// set reads "CONFIG_X=value".
func (c *Config) set(line string) {
	rest, ok := strings.CutPrefix(line, "CONFIG_")
	name, value, equals := strings.Cut(rest, "=")
	if !ok || !equals || !isName(name) {
		c.Garbage++
		return
	}
	if value == "" { // what the kernel's own reader takes for not set
		value = "n"
	}
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	c.put(name, value)
}

func (c *Config) put(name, value string) {
	before := len(c.values)
	c.values[name] = value
	if len(c.values) == before {
		c.Duplicates++
	}
	c.Options++
}

func isName(name string) bool {
	for i := range len(name) {
		b := name[i]
		if (b < 'A' || b > 'Z') && (b < '0' || b > '9') && (b < 'a' || b > 'z') && b != '_' {
			return false
		}
	}
	return name != ""
}

// clip shortens foreign text for a message.
func clip(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
