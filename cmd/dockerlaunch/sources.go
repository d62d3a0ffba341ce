package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/spf13/pflag"
)

// boot completes the configuration of a machine: what the options file says, then the kernel command line, then the flags,
// the last counting most. A mistake in the first two is told and left out: who mistypes a key is to get a machine all the
// same, to mend it on.
func boot(c launch.Config, line bootline.Line, args []string) (launch.Config, []error, error) {
	options, problems := fileOptions(optionsFile)
	merged, more, err := merge(args, append(options, line.Options()...))
	if err != nil {
		return c, nil, &launch.UsageError{Err: err}
	}
	config := merged.config
	config.Debug = c.Debug || merged.debug
	config.Environ, config.Version, config.Log, config.Boot = c.Environ, c.Version, c.Log, c.Boot
	return config, append(problems, more...), nil
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

// merge reads options and then the flags, which beat them. Options that are unknown or have a wrong value are problems; a
// wrong flag is an error.
func merge(args []string, options []bootline.Option) (c *call, problems []error, err error) {
	c = &call{}
	f := c.flags()
	for _, o := range options {
		if err := set(f, o); err != nil {
			problems = append(problems, err)
		}
	}
	own, daemon := split(f, args)
	if err := f.Parse(own); err != nil {
		return nil, problems, err
	}
	c.config.Daemon = daemon
	return c, problems, nil
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
