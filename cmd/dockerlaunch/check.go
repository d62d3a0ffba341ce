package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/check"
	"github.com/dockerlaunch/dockerlaunch/launch/check/render"
	"github.com/dockerlaunch/dockerlaunch/launch/finding"
	"github.com/dockerlaunch/dockerlaunch/launch/host"
	"github.com/dockerlaunch/dockerlaunch/launch/kconfig"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

const verbCheck = "check"

// Exit statuses of check.
const (
	exitRuns    = 0 // Docker will run, perhaps with losses
	exitFails   = 1 // it will not
	exitCannot  = 2 // the command line is wrong, or input cannot be read
	checkPrompt = "Try: dockerlaunch check --help\n"
)

const checkUsage = `Usage:
  dockerlaunch check [flags] [--] [DAEMON [ARGS...]]

Says whether this kernel and this system will run Docker, what will not work, and
how to mend it. Nothing is changed. ARGS are those the daemon will get.

With --kernel-config alone the kernel is judged, with --root the programs of a
tree and the kernel in it (the one that runs where it has none).

Flags:
`

const checkTail = `
Exit status: 0 Docker will run, perhaps without some features; 1 it will not;
2 the command line is wrong, or something that was named cannot be read.
--explain and --fragment exit with 0 where they printed what was asked for.
`

// checkCall is what a command line of check asks for.
type checkCall struct {
	request check.Request
	config  launch.Config
	explain string

	fragment, json, verbose, help bool
}

func (c *checkCall) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet(verbCheck, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.Usage = func() {}
	// The first word that is no flag begins the daemon's.
	f.SetInterspersed(false)
	f.StringVar((*string)(&c.request.For), "for", "", "judge it as a machine (whose first process is the launcher), a container or a host (default: as what it is)")
	f.StringVar(&c.request.Docker, "docker-version", "", "judge it for this version of Docker (default: the one that is installed, else the newest)")
	f.TextVar(&c.request.Cgroup, "cgroup", cgroups.WantAuto, "judge it for cgroup v1, v2 or hybrid")
	f.StringVar(&c.request.DataRoot, "data-root", "", "judge this `folder` as the data-root")
	f.StringVar(&c.request.Root, "root", "", "judge another root tree, for example one just built")
	f.StringVar(&c.request.KernelConfig, "kernel-config", "", "judge the kernel of this `file`: a configuration, packed or not, or a kernel image with CONFIG_IKCONFIG")
	f.StringVar(&c.explain, "explain", "", "tell all there is to know about one kernel `option`")
	f.BoolVar(&c.fragment, "fragment", false, "print a kernel configuration fragment that turns on what is missing")
	f.BoolVar(&c.json, "json", false, "print JSON, as docs/check.schema.json has it")
	f.BoolVar(&c.verbose, "verbose", false, "show also what is fine")
	f.BoolVarP(&c.help, "help", "h", false, "show this")
	return f
}

// runCheck is the verb check: arguments in, exit status out.
func runCheck(args []string, stdout, stderr io.Writer) int {
	fail := func(err error, more string) int {
		fmt.Fprintf(stderr, "dockerlaunch check: %v\n%s", err, more)
		return exitCannot
	}
	c := &checkCall{}
	f := c.flags()
	if err := f.Parse(args); err != nil {
		return fail(err, checkPrompt)
	}
	switch c.request.For {
	case "", host.Machine, host.Container, host.Host:
	default:
		return fail(fmt.Errorf("--for %s: it is one of machine, container, host", c.request.For), checkPrompt)
	}
	for _, name := range []string{"root", "kernel-config", "data-root", "explain", "docker-version"} {
		if flag := f.Lookup(name); flag.Changed && flag.Value.String() == "" {
			return fail(fmt.Errorf("--%s needs a value", name), checkPrompt)
		}
	}
	output := func(text string) int {
		return checkWritten(stderr, func() error { _, err := io.WriteString(stdout, text); return err }, exitRuns)
	}
	switch {
	case c.help:
		return output(checkUsage + f.FlagUsages() + checkTail)
	case c.explain != "":
		text, err := kconfig.Explain(c.explain)
		if err != nil {
			return fail(err, "")
		}
		return output(text)
	}
	c.config.Daemon, c.config.Environ = f.Args(), os.Environ()
	report, err := launch.Check(&c.config, &c.request)
	if err != nil {
		return fail(err, "")
	}
	if c.fragment {
		return output(kconfig.Fragment(report.Config, report.Findings))
	}
	status := exitRuns
	if report.Verdict == finding.WillFail {
		status = exitFails
	}
	return checkWritten(stderr, func() error {
		if c.json {
			return render.JSON(stdout, report)
		}
		return render.Text(stdout, report, c.look(stdout))
	}, status)
}

// look is how the report is to look on an output. See https://no-color.org for NO_COLOR.
func (c *checkCall) look(w io.Writer) render.Options {
	o := render.Options{Verbose: c.verbose}
	if file, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ); err == nil {
			o.Width = int(size.Col)
			o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		}
	}
	return o
}

// checkWritten writes an answer. One that could not be written is no answer; a reader that has seen enough is no failure.
func checkWritten(stderr io.Writer, write func() error, status int) int {
	if err := write(); err != nil && !errors.Is(err, unix.EPIPE) {
		fmt.Fprintf(stderr, "dockerlaunch check: writing the report: %v\n", err)
		return exitCannot
	}
	return status
}
