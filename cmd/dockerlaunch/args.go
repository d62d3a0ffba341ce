package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/spf13/pflag"
)

// The verbs; launching needs no word.
const (
	verbPlan     = "plan"
	verbVersion  = "version"
	verbHelp     = "help"
	verbModprobe = "modprobe" // also by argv[0]
	verbReady    = "ready"
)

// call is what a command line asks for.
type call struct {
	verb   string
	config launch.Config
	debug  bool
	json   bool
}

const usage = `Usage:
  dockerlaunch [flags] [--] [DAEMON [ARGS...]]
  dockerlaunch plan [--json] [flags] [--] [DAEMON [ARGS...]]
  dockerlaunch ready [--wait] [--timeout D] [TARGET]
  dockerlaunch timeline [--svg FILE | --json] [REPORT]
  dockerlaunch modprobe [options] [MODULE...]
  dockerlaunch check [--json] [flags] [--] [DAEMON [ARGS...]]
  dockerlaunch version
  dockerlaunch help

Prepares this system for Docker and starts the daemon: mounts what is missing
(/proc, /sys, /dev, /run, cgroups), makes the files Docker expects, checks the
programs it calls, and starts DAEMON, by default dockerd from PATH, whose parent
it stays. Flags that are not its own are dockerd's, as is all behind --.
"plan" prints what would be done and changes nothing, "check" says whether Docker
will run here and what to mend. "modprobe" is modprobe(8),
as is this program under that name. "ready" ends with 0 where the daemon at
TARGET (unix:///run/docker.sock where not given) answers, with 1 where it does
not within D (5s), and with 2 for a wrong command line; with --wait it asks again
for D (1m).

Flags:
`

const helpTail = `
Environment:
  DOCKER_LAUNCH_DEBUG=true   the same as --debug
  DOCKER_LAUNCH_REAP=true    stay the daemon's parent, which is what happens anyway
  DOCKER_TLS_CERTDIR=DIR     serve TLS at port 2376 with certificates below DIR, made
                             where missing; set and empty: port 2375, without TLS
  DOCKER_TLS_SAN=NAMES       further names in the certificate: DNS:a,IP:b
  DOCKER_HOST=unix://PATH    where the daemon listens instead of /run/docker.sock
  DOCKER_IPTABLES_LEGACY=1   use iptables-legacy; empty: iptables-nft; not set: decide

Exit status: the daemon's own, once it was started. Before that:
  2    the command line is wrong
  3    the system is not fit to start the daemon on; the message says why
  126  the daemon cannot be executed
  127  the daemon was not found
  128+n  signal n came before the daemon was started

Examples:
  dockerlaunch                                   dockerd from PATH
  dockerlaunch /usr/bin/dockerd -s overlay2      this daemon, with an argument
  dockerlaunch -- --data-root /mnt/docker        dockerd from PATH, with an argument
  dockerlaunch plan --json                       what would be done, for programs
`

// optionsFile is where the options of a machine or an image are, beside the flags and the kernel command line.
const optionsFile = "/etc/dockerlaunch.conf"

// flags returns the launcher's own flags. Each is also a key of the options file and, on a machine, of the kernel command
// line.
func (c *call) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("dockerlaunch", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.Usage = func() {}
	f.BoolVar(&c.debug, "debug", false, "say what each step does")
	f.TextVar(&c.config.Cgroup, "cgroup", cgroups.WantAuto, "which cgroup hierarchies to mount: auto, v1, v2 or hybrid")
	f.BoolVar(&c.config.Exec, "exec", false, "become the daemon, instead of starting it as a child and staying with it")
	f.BoolVar(&c.config.Restart, "restart", false, "start a daemon that ends again, as is done on a machine always")
	f.Var(&listValue{&c.config.Without}, "without", "start although these are missing, `names` as the message has them, for example ps,git")
	f.BoolVar(&c.config.NoRuntimeWrapper, "no-runtime-wrapper", false, "do not stand in front of runc where capabilities are missing here that containers ask for")
	f.StringVar(&c.config.Preload, "preload", "", "load the image archives in this `folder`, each once, when the daemon is ready; /usr/share/dockerlaunch/images where not given")
	f.StringVar(&c.config.Data, "data", "", "on a machine: the `disk` with the data-root, as LABEL=, UUID=, PARTLABEL=, PARTUUID= or /dev/; LABEL=docker-data where not given")
	f.StringVar(&c.config.Format, "format", "", "on a machine: \"blank\" lets a blank data disk be formatted; nothing else ever is")
	f.Var(&fsckValue{&c.config.Repair}, "fsck", "on a machine: \"repair\" lets e2fsck correct everything on the data disk, \"preen\" what is safe; preen where not given")
	f.Var(&ipValue{&c.config.IPs}, "ip", "on a machine: what an interface is given, as ip= of the kernel command line has it; may be repeated")
	f.StringVar(&c.config.Hostname, "hostname", "", "on a machine: its name")
	f.StringVar(&c.config.StateDir, "state-dir", "", "on a machine: the folder for what outlives a boot, the clock and the entropy seed")
	f.StringVar(&c.config.RootMove, "root-move", launch.RootAuto, "on a machine: how to leave the initramfs: auto, copy (to a tmpfs of its own), bind, or keep")
	f.DurationVar(&c.config.PanicAfter, "panic-after", 0, "panic after so long, to see what becomes of it")
	f.Lookup("panic-after").Hidden = true
	return f
}

// parse reads a command line. The verbs count only as the first word; a daemon of such a name is given with its path.
func parse(args []string) (*call, error) {
	c := &call{}
	if len(args) > 0 {
		switch args[0] {
		case verbPlan, verbVersion, verbHelp:
			c.verb, args = args[0], args[1:]
		case "--version":
			c.verb, args = verbVersion, args[1:]
		case "--help", "-h":
			c.verb, args = verbHelp, args[1:]
		}
	}
	if c.verb == verbVersion || c.verb == verbHelp {
		if len(args) > 0 {
			return nil, fmt.Errorf("%s takes no arguments, and got %q", c.verb, args)
		}
		return c, nil
	}
	f := c.flags()
	if c.verb == verbPlan {
		f.BoolVar(&c.json, "json", false, "print JSON")
	}
	own, daemon := split(f, args)
	if err := f.Parse(own); errors.Is(err, pflag.ErrHelp) {
		return &call{verb: verbHelp}, nil
	} else if err != nil {
		return nil, err
	}
	c.config.Daemon = daemon
	return c, nil
}

// split parts the launcher's own flags from the daemon's words, which begin at the first that is none of the launcher's
// flags, or behind "--". A flag that only dockerd knows so goes to dockerd, as with other images that people start it from.
func split(f *pflag.FlagSet, args []string) (own, daemon []string) {
	for i := 0; i < len(args); {
		if args[i] == "--" {
			return args[:i], args[i+1:]
		}
		if name, _, _ := strings.Cut(args[i], "="); name == "-h" || name == "--help" {
			return args[:i+1], nil
		}
		n := flagWords(f, args[i:])
		if n == 0 {
			return args[:i], args[i:]
		}
		i += n
	}
	return args, nil
}

// flagWords tells how many of the words are the launcher's own flag that they begin with: one, or two with its value; 0 where
// the first is none.
func flagWords(f *pflag.FlagSet, words []string) int {
	name, ok := strings.CutPrefix(words[0], "--")
	name, _, hasValue := strings.Cut(name, "=")
	flag := f.Lookup(name)
	switch {
	case !ok || flag == nil:
		return 0
	case !hasValue && flag.NoOptDefVal == "":
		return min(2, len(words))
	}
	return 1
}

func helpText() string {
	return usage + new(call).flags().FlagUsages() + helpTail
}

// ipValue takes words in the form of the kernel's ip=.
type ipValue struct{ ips *[]bootline.IP }

func (v *ipValue) Set(word string) error {
	ip, err := bootline.ParseIP(word)
	if err == nil {
		*v.ips = append(*v.ips, ip)
	}
	return err
}

func (v *ipValue) Type() string { return "ip" }

func (v *ipValue) String() string { return "" }

// fsckValue takes how far the check of a disk goes.
type fsckValue struct{ repair *bool }

func (v *fsckValue) Set(word string) error {
	if word != "repair" && word != "preen" {
		return errors.New("it is to be preen or repair")
	}
	*v.repair = word == "repair"
	return nil
}

func (v *fsckValue) Type() string { return "word" }

func (v *fsckValue) String() string { return "" }

// listValue takes names with commas between them; several add up. pflag's own, which reads CSV, would cost 20 KB.
type listValue struct{ names *[]string }

func (v *listValue) Set(text string) error {
	*v.names = append(*v.names, strings.Split(text, ",")...)
	return nil
}

func (v *listValue) Type() string { return "names" }

func (v *listValue) String() string { return "" }
