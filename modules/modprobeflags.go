package modules

import (
	"fmt"
	"strconv"
	"strings"
)

// flags are modprobe's, by kmod's modprobe(8).
type flags struct {
	all, remove, holders, resolve, firstTime, ignoreCommands, blacklist bool
	showDepends, dryRun, quiet, verbose, version, help                  bool
	forceRemove                                                         bool
	force                                                               int // see loadFile
	wait                                                                int // milliseconds
	config                                                              []string
	dir, release                                                        string
	args                                                                []string
}

// longFlags are the long names of flags; those with "=" take a value. What prints the configuration and symbol versions is
// unknown to this program, and refused, because who needs that has a machine with kmod.
var longFlags = [...]struct {
	name   string
	letter byte
}{
	{"all", 'a'}, {"remove", 'r'}, {"remove-dependencies", 'H'}, {"remove-holders", 'H'}, {"wait=", 'w'}, {"resolve-alias", 'R'},
	{"first-time", 'F'}, {"ignore-install", 'i'}, {"ignore-remove", 'i'}, {"use-blacklist", 'b'}, {"show-depends", 'D'},
	{"dry-run", 'n'}, {"show", 'n'}, {"config=", 'C'}, {"dirname=", 'd'}, {"set-version=", 'S'}, {"syslog", 's'}, {"quiet", 'q'},
	{"verbose", 'v'}, {"force", 'f'}, {"force-vermagic", 'M'}, {"force-modversion", 'm'}, {"version", 'V'}, {"help", 'h'},
}

const (
	plainFlags = "aribfDnRsqvVh"
	valueFlags = "wCdS"
)

// parseFlags reads the arguments as getopt_long(3) does: flags may follow names, short ones may be joined, long ones may be
// cut where that is clear, and -- ends them.
func parseFlags(args []string) (*flags, error) {
	f := &flags{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			f.args = append(f.args, args...)
			return f, nil
		case strings.HasPrefix(arg, "--"):
			name, value, hasValue := strings.Cut(arg[2:], "=")
			letter, takes, err := findLong(name)
			if err != nil {
				return nil, err
			}
			if takes && !hasValue {
				if len(args) == 0 {
					return nil, fmt.Errorf("option '--%s' requires an argument", name)
				}
				value, args = args[0], args[1:]
			} else if !takes && hasValue {
				return nil, fmt.Errorf("option '--%s' doesn't allow an argument", name)
			}
			if err := f.set(letter, value); err != nil {
				return nil, err
			}
		case len(arg) > 1 && arg[0] == '-':
			for rest := arg[1:]; rest != ""; {
				letter := rest[0]
				rest = rest[1:]
				value := ""
				if strings.IndexByte(valueFlags, letter) >= 0 {
					if value, rest = rest, ""; value == "" {
						if len(args) == 0 {
							return nil, fmt.Errorf("option requires an argument -- '%c'", letter)
						}
						value, args = args[0], args[1:]
					}
				} else if strings.IndexByte(plainFlags, letter) < 0 {
					return nil, fmt.Errorf("invalid option -- '%c'", letter)
				}
				if err := f.set(letter, value); err != nil {
					return nil, err
				}
			}
		default:
			f.args = append(f.args, arg)
		}
	}
	return f, nil
}

// findLong finds a long flag by its name or an unambiguous beginning of it.
func findLong(name string) (letter byte, takes bool, err error) {
	found := map[byte]bool{}
	for _, flag := range longFlags {
		l := flag.letter
		bare, value := strings.CutSuffix(flag.name, "=")
		if bare == name {
			return l, value, nil
		}
		if name != "" && strings.HasPrefix(bare, name) {
			found[l] = true
			letter, takes = l, value
		}
	}
	switch len(found) {
	case 0:
		return 0, false, fmt.Errorf("unrecognized option '--%s'", name)
	case 1:
		return letter, takes, nil
	}
	return 0, false, fmt.Errorf("option '--%s' is ambiguous", name)
}

func (f *flags) set(letter byte, value string) error {
	switch letter {
	case 'a':
		f.all = true
	case 'r':
		f.remove = true
	case 'H':
		f.holders = true
	case 'w':
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("unexpected wait value '%s'", value)
		}
		f.wait = n
	case 'f':
		f.force, f.forceRemove = ignoreModversions|ignoreVermagic, true
	case 'M':
		f.force |= ignoreVermagic
	case 'm':
		f.force |= ignoreModversions
	case 'R':
		f.resolve = true
	case 'F':
		f.firstTime = true
	case 'i':
		f.ignoreCommands = true
	case 'b':
		f.blacklist = true
	case 'D':
		f.showDepends = true
	case 'n':
		f.dryRun = true
	case 'C':
		f.config = append(f.config, value)
	case 'd':
		f.dir = value
	case 'S':
		f.release = value
	case 's': // syslog: there may be none, and standard error is where the caller looks
	case 'q':
		f.quiet = true
	case 'v':
		f.verbose = true
	case 'V':
		f.version = true
	case 'h':
		f.help = true
	}
	return nil
}

const modprobeUsage = `Usage:
	modprobe [options] [-i] [-b] NAME|/FILE|./FILE [PARAMETER=VALUE...]
	modprobe [options] -a [-i] [-b] NAME...
	modprobe [options] -r [-i] NAME...
	-a, --all            all arguments are names
	-r, --remove         remove modules, and those they needed that nobody uses any more
	    --remove-holders remove the modules that use them, too
	-w, --wait=MSEC      wait so long for a module to be unused
	    --first-time     fail where the module is loaded (or, with -r, is not)
	-i, --ignore-install, --ignore-remove
	                     pay no heed to install and remove commands; none is ever run
	-b, --use-blacklist  apply the blacklist to names, too, not only to aliases
	-f, --force          load a module of another kernel's (--force-vermagic), with
	                     other symbols (--force-modversion); with -r, remove
	                     one that knows no way to be removed
	-R, --resolve-alias  print the modules behind a name
	-D, --show-depends   print what would be loaded
	-n, --dry-run        change nothing
	-C, --config=FILE    read this file or folder instead of modprobe.d
	-d, --dirname=DIR    look for lib/modules below DIR
	-S, --set-version=RELEASE
	                     the kernel's release, instead of the running one's
	-q, --quiet          say nothing of errors
	-v, --verbose        print what is done
	-V, --version        -h, --help
`
