package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/dockerlaunch/dockerlaunch/launch"
	"github.com/dockerlaunch/dockerlaunch/launch/report"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

const verbTimeline = "timeline"

const timelineUsage = `Usage:
  dockerlaunch timeline [--svg FILE | --json] [REPORT]

Shows the last start: what took how long, beside what. REPORT is a file that
a launcher wrote, by default ` + report.Path + `, or - for the
standard input.

Flags:
`

// timelineExit is the exit status where there is no report, or the drawing cannot be written.
const timelineExit = 1

// timelineCall is what the command line of timeline asks for.
type timelineCall struct {
	svg  string
	json bool
	path string
}

func (c *timelineCall) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet(verbTimeline, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.Usage = func() {}
	f.StringVar(&c.svg, "svg", "", "write a picture into this `file`, - being the standard output")
	f.BoolVar(&c.json, "json", false, "print the report itself")
	return f
}

// timeline shows the report of a start, and returns the exit status.
func timeline(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := timelineCall{path: report.Path}
	f := c.flags()
	err := f.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return written(fmt.Fprint(stdout, timelineUsage+f.FlagUsages()))
	case err != nil:
	case f.NArg() > 1:
		err = fmt.Errorf("timeline takes one report, and got %q", f.Args())
	case c.json && f.Changed("svg"):
		err = errors.New("--svg and --json exclude each other")
	case f.Changed("svg") && c.svg == "":
		err = errors.New("--svg needs the name of a file")
	}
	if err != nil {
		fmt.Fprintf(stderr, "dockerlaunch: %v\nTry: dockerlaunch timeline --help\n", err)
		return launch.ExitStatus(&launch.UsageError{Err: err})
	}
	if f.NArg() == 1 {
		c.path = f.Arg(0)
	}
	if err := c.show(getenv, stdin, stdout); err != nil && !errors.Is(err, unix.EPIPE) {
		fmt.Fprintf(stderr, "dockerlaunch: %v\n", err)
		return timelineExit
	}
	return 0
}

func (c *timelineCall) show(getenv func(string) string, stdin io.Reader, stdout io.Writer) error {
	run, err := c.read(stdin)
	if err != nil {
		return err
	}
	switch {
	case c.json:
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(run)
	case c.svg == "-":
		err = run.WriteSVG(stdout)
	case c.svg != "":
		var picture bytes.Buffer
		if err = run.WriteSVG(&picture); err == nil {
			err = os.WriteFile(c.svg, picture.Bytes(), 0o666)
		}
	default:
		err = run.WriteText(stdout, style(getenv, stdout))
	}
	if err != nil {
		return fmt.Errorf("writing the timeline: %w", err)
	}
	return nil
}

func (c *timelineCall) read(stdin io.Reader) (*report.Run, error) {
	if c.path == "-" {
		return report.Parse(stdin)
	}
	run, err := report.Read(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no report of a start: a launcher that stays with its daemon (without --exec) writes %s "+
			"once the daemon is ready, or could not be started: %w", report.Path, err)
	}
	return run, err
}

// defaultWidth is for what is no terminal, in columns.
const defaultWidth = 100

// style fits the drawing to where it goes: to the width of a terminal, to its colours unless NO_COLOR
// (https://no-color.org) is set, and to its character set, which locale(7) tells.
func style(getenv func(string) string, stdout io.Writer) report.Style {
	s := report.Style{Width: defaultWidth, ASCII: true}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := getenv(name); value != "" {
			value = strings.ToLower(value)
			s.ASCII = !strings.Contains(value, "utf-8") && !strings.Contains(value, "utf8")
			break
		}
		s.ASCII = false // nothing is said of the locale, as in a container: the terminals of today are meant
	}
	if columns, err := strconv.Atoi(getenv("COLUMNS")); err == nil && columns > 0 {
		s.Width = columns
	}
	file, ok := stdout.(*os.File)
	if !ok {
		return s
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return s // it is no terminal
	}
	if size.Col > 0 { // a serial console does not know its width
		s.Width = int(size.Col)
	}
	s.Color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	return s
}
