package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/spf13/pflag"
)

// boot completes the configuration of a machine: what the options file says, then the kernel command line, then the flags,
// the last counting most. A mistake is told and left out: who mistypes a key is to get a machine all the same, to mend it on.
func boot(c launch.Config, line bootline.Line, args []string) (launch.Config, []error) {
	options, problems := fileOptions(optionsFile)
	args, strange := initArgs(args, line)
	merged, more := merge(args, append(options, line.Options()...))
	config := merged.config
	config.Debug = c.Debug || merged.debug
	config.Environ, config.Version, config.Log, config.Boot = c.Environ, c.Version, c.Log, c.Boot
	return config, slices.Concat(problems, strange, more)
}

// initArgs leaves out of a machine's arguments what was not meant for it: words that the kernel did not know, such as "splash"
// and "single", which it hands to its init in front of those behind "--" (unknown_bootoption in init/main.c). What could be
// meant counts: the launcher's own flags, and a daemon, by its path or its name. So do words that are not the kernel's, as the
// arguments of a launcher that another program executed are.
func initArgs(args []string, line bootline.Line) (kept []string, problems []error) {
	front := args
	if n := len(args) - len(line.InitArgs); n >= 0 && slices.Equal(args[n:], line.InitArgs) {
		front = args[:n]
	}
	f := new(call).flags()
	for i := 0; i < len(front); {
		word := front[i]
		n := max(1, flagWords(f, front[i:]))
		isKernels := slices.ContainsFunc(line.Words, func(w bootline.Word) bool { return w.String() == word })
		if !isKernels || word == "dockerd" || word == "docker" || strings.Contains(word, "/") || flagWords(f, front[i:]) > 0 {
			kept = append(kept, front[i:i+n]...)
		} else {
			problems = append(problems, fmt.Errorf("%s: neither the kernel nor the launcher knows the word %q, and it is left out; "+
				"arguments of the daemon stand behind --", bootline.CommandLine, word))
		}
		i += n
	}
	return append(kept, args[len(front):]...), problems
}

// fileOptions reads a file of options; one that is missing has none.
func fileOptions(path string) (options []bootline.Option, problems []error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{fmt.Errorf("the options file: %w", err)}
	}
	defer f.Close()
	options, err = bootline.ParseFile(path, f)
	if err != nil {
		problems = append(problems, err)
	}
	return options, problems
}

// merge reads options and then the flags, which beat them. Those that are unknown or have a wrong value are left out, and are
// problems.
func merge(args []string, options []bootline.Option) (c *call, problems []error) {
	c = &call{}
	f := c.flags()
	for _, o := range options {
		if err := set(f, o); err != nil {
			problems = append(problems, err)
		}
	}
	own, daemon := split(f, args)
	for len(own) > 0 {
		n := max(1, flagWords(f, own))
		if err := f.Parse(own[:n]); err != nil {
			problems = append(problems, fmt.Errorf("argument %s: %w, and it is left out", strings.Join(own[:n], " "), err))
		}
		own = own[n:]
	}
	if c.config.Exec {
		problems = append(problems, errors.New("argument --exec: it counts only in front of all others, and without a mistake in them, and is left out"))
		c.config.Exec = false
	}
	c.config.Daemon = daemon
	return c, problems
}

// flagOnly are the flags that are no options: they count before any file can be read.
var flagOnly = map[string]bool{"exec": true}

func set(f *pflag.FlagSet, o bootline.Option) error {
	if flagOnly[o.Key] {
		return fmt.Errorf("%s: %s counts only as a flag, and is left out", o.Where, o.Key)
	}
	if f.Lookup(o.Key) == nil {
		var known []string
		f.VisitAll(func(flag *pflag.Flag) {
			if !flagOnly[flag.Name] {
				known = append(known, flag.Name)
			}
		})
		if near := bootline.Nearest(o.Key, known); near != "" {
			return fmt.Errorf("%s: there is no option %s, and it is left out; the nearest is %s", o.Where, o.Key, near)
		}
		return fmt.Errorf("%s: there is no option %s, and it is left out", o.Where, o.Key)
	}
	if err := f.Set(o.Key, o.Value); err != nil {
		return fmt.Errorf("%s: %w, and it is left out", o.Where, err)
	}
	return nil
}
