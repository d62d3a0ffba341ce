package daemon

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is something in a daemon.json that its author should know.
type Problem struct {
	// Key is the key it is about.
	Key string
	// Place is the file, line and column.
	Place string
	// Text is one sentence.
	Text string
	// Fatal is true where dockerd does not start with it.
	Fatal bool
}

// String joins place, key and text to one line.
func (p Problem) String() string { return fmt.Sprintf("%s: %q: %s", p.Place, p.Key, p.Text) }

// Problems checks the file for a dockerd of the given version; of an unknown one it is taken that it knows every key of
// the table. Fatal problems are unknown keys, keys that are gone, and values of the wrong JSON type, in the order of the
// file. What a value must be beyond that (an address, a level) is left to dockerd.
func (c Config) Problems(version Version) []Problem {
	var problems []Problem
	report := func(e Entry, fatal bool, format string, args ...any) {
		problems = append(problems, Problem{Key: e.Key, Place: place(c.Path, e.Line, e.Column), Text: fmt.Sprintf(format, args...), Fatal: fatal})
	}
	for _, e := range c.duplicates {
		report(e, false, "it is there twice, and only the last counts")
	}
	if len(c.entries) == 0 {
		return problems
	}
	owners, guesses := keyOwners()
	for _, e := range c.entries {
		o, known := owners[e.Key]
		isOwnKey := o.Name == "" || slices.Contains(o.flatKeys(), e.Key)
		if !known {
			help := ""
			if guess := guesses[plainKey(e.Key)]; guess != "" {
				help = fmt.Sprintf("; it may be meant for %q", guess)
			}
			report(e, true, "dockerd knows no such key%s", help)
			continue
		}
		if o.Name == "" { // a key that is no option's
			if !o.has(version) {
				report(e, true, "dockerd %s does not know this key", version)
			}
			continue
		}
		switch {
		case !o.has(version) && !alsoFileOnly(e.Key, version):
			if o.Until.Known() && version.AtLeast(o.Until.Major, o.Until.Minor, o.Until.Patch) {
				report(e, true, "removed in %d.%d: %s", o.Until.Major, o.Until.Minor, o.Gone)
			} else {
				report(e, true, "it appeared in %d.%d, and this is dockerd %s", o.Since.Major, o.Since.Minor, version)
			}
		case e.Key == "host-gateway-ips" && version.Known() && !version.AtLeast(28, 0, 0):
			report(e, true, "it appeared in 28.0, and this is dockerd %s: the key was host-gateway-ip", version)
		case o.Key == "":
			report(e, false, "dockerd takes --%s from its command line only and ignores the key", o.Name)
		case !isOwnKey:
			report(e, false, "dockerd ignores it: the key is %q", o.Key)
		case !c.effective(o, e) && e.Parent != "":
			report(e, false, "dockerd ignores it inside %q", e.Parent)
		case !c.effective(o, e):
			report(e, false, "dockerd ignores it here: it belongs into %q", strings.TrimSuffix(o.Key, "."+e.Key))
		case e.Key == o.OldKey && c.index(o.flatKeys()[0]) >= 0:
			report(e, true, "it must not stand beside %q, which means the same", o.Key)
		case c.decoded(o, e) && !o.typeFits(e):
			report(e, true, "the value must be %s", o.jsonType())
		}
	}
	return problems
}

// keyOwners maps the keys of a flattened file to what they belong to, and what keys come down to when read with an
// eye half shut to the keys that may be meant. A name whose option has another key is there too: dockerd accepts it,
// since it looks for a flag of that name, and ignores it.
func keyOwners() (owners map[string]Option, guesses map[string]string) {
	owners, guesses = map[string]Option{}, map[string]string{}
	for _, o := range fileOnly {
		owners[o.Key] = o
	}
	for _, o := range options {
		owners[o.Name] = o
		if o.Key != "" && !o.Until.Known() {
			guesses[plainKey(o.Name)], guesses[plainKey(o.Key)] = o.Key, o.Key
		}
	}
	for _, o := range options {
		for _, key := range o.flatKeys() {
			owners[key] = o
		}
	}
	return owners, guesses
}

// plainKey takes away what is often mistaken: underscores, capitals, a plural.
func plainKey(key string) string {
	key = strings.ReplaceAll(strings.ReplaceAll(key, "_", ""), "-", "")
	return strings.TrimSuffix(strings.ToLower(key), "s")
}

// alsoFileOnly tells of a key whose option the version lacks whether the key is accepted without it.
func alsoFileOnly(key string, version Version) bool {
	return slices.ContainsFunc(fileOnly, func(o Option) bool { return o.Key == key && o.has(version) })
}

// typeFits compares the first byte of the value with the type that dockerd decodes it to.
func (o Option) typeFits(e Entry) bool {
	first := e.Raw[0]
	if first == 'n' {
		return true // null leaves the default
	}
	switch o.jsonType() {
	case "true or false":
		return first == 't' || first == 'f'
	case "a number":
		return first == '-' || first >= '0' && first <= '9'
	case "a string":
		return first == '"'
	case "a list":
		return first == '[' || e.Key == o.OldKey && first == '"'
	}
	return first == '{'
}

// Conflict is an option that both the command line and daemon.json give.
type Conflict struct {
	Option, Key string
	// Args and File tell where: `--data-root on the command line`, `"data-root" in /etc/docker/daemon.json, line 3`.
	Args, File string
}

// ConflictError lists what dockerd would refuse to start with.
type ConflictError struct{ Conflicts []Conflict }

func (e *ConflictError) Error() string {
	var list []string
	for _, c := range e.Conflicts {
		list = append(list, c.Args+" and "+c.File)
	}
	return "an option may be given in one place only, even with the same value: " + strings.Join(list, "; ") + ": remove it from one of them"
}

// CheckConflicts returns a *ConflictError where an option is in both, for which dockerd does not start
// (findConfigurationConflicts in moby's daemon/config/config.go); equal values are no excuse, --feature conflicts with any
// key under "features", and only --add-runtime and "runtimes" may stand together.
func CheckConflicts(args Settings, file Config) error {
	var conflicts []Conflict
	for _, o := range options {
		if o.Name == "add-runtime" || !args.Has(o.Name) {
			continue
		}
		if e, ok := file.entry(o.Name); ok {
			conflicts = append(conflicts, Conflict{Option: o.Name, Key: e.Key, Args: args.Where(o.Name), File: file.Where(o.Name)})
		}
	}
	if conflicts == nil {
		return nil
	}
	return &ConflictError{Conflicts: conflicts}
}
