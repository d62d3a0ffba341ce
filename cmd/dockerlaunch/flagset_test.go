package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// parsed is what a command line comes to.
type parsed struct {
	Debug, Help bool
	Name        string
	Limit       time.Duration
	Cgroup      cgroups.Want
	Changed     string
	Args        []string
	Err         string
}

func (p *parsed) end(args []string, err, help error) {
	if p.Args = args; len(args) == 0 {
		p.Args = nil
	}
	switch {
	case errors.Is(err, help):
		p.Err = "help"
	case err != nil:
		p.Err = err.Error()
	}
	// What a line with a mistake has set before it means nothing.
	if err != nil {
		*p = parsed{Err: p.Err}
	}
}

// ours and theirs read a command line with flags of all kinds, with flagSet and with pflag.
func ours(args []string, daemonFollows, withHelp bool) (p parsed, usages string) {
	f := flagSet{daemonFollows: daemonFollows}
	p.Cgroup = cgroups.WantAuto
	f.boolean(&p.Debug, "debug", "say `more`")
	f.text(&p.Name, "name", "", "this `word`")
	f.text(new(string), "other", "auto", "a word")
	f.duration(&p.Limit, "limit", "so long")
	f.add(codedValue{&p.Cgroup, &p.Cgroup}, "cgroup", "which")
	f.boolean(new(bool), "secret", "").hidden = true
	if withHelp {
		f.boolean(&p.Help, "help", "show this").short = 'h'
	}
	err := f.parse(args)
	if f.changed("name") {
		p.Changed = "name"
	}
	p.end(f.args, err, errHelp)
	return p, f.usages()
}

func theirs(args []string, daemonFollows, withHelp bool) (p parsed, usages string) {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.SetInterspersed(!daemonFollows)
	f.BoolVar(&p.Debug, "debug", false, "say `more`")
	f.StringVar(&p.Name, "name", "", "this `word`")
	f.String("other", "auto", "a word")
	f.DurationVar(&p.Limit, "limit", 0, "so long")
	f.TextVar(&p.Cgroup, "cgroup", cgroups.WantAuto, "which")
	f.Bool("secret", false, "")
	f.Lookup("secret").Hidden = true
	if withHelp {
		f.BoolVarP(&p.Help, "help", "h", false, "show this")
	}
	err := f.Parse(args)
	if f.Changed("name") {
		p.Changed = "name"
	}
	p.end(f.Args(), err, pflag.ErrHelp)
	return p, f.FlagUsages()
}

func compareFlags(t *testing.T, line string) {
	t.Helper()
	var args []string
	if line != "" {
		args = strings.Split(line, " ")
	}
	for _, daemonFollows := range []bool{false, true} {
		for _, withHelp := range []bool{false, true} {
			got, usages := ours(args, daemonFollows, withHelp)
			want, theirUsages := theirs(args, daemonFollows, withHelp)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-pflag +ours):\n%s", line, diff)
			}
			if usages != theirUsages {
				t.Errorf("the help is\n%s, and pflag's\n%s", usages, theirUsages)
			}
		}
	}
}

var flagLines = []string{
	"", "--debug", "--debug=false x", "--debug=maybe", "--name", "--name x --debug", "--name=x=y z", "--name=", "--name  y", "--limit 3s a -- --debug",
	"--limit 3", "--cgroup v1", "--cgroup v9", "--nmae x", "a --debug b", "-", "--", "-- --", "---debug", "--=x", "-h", "--help", "--help=false", "-hh", "-hx", "-x", "x -h",
	"--debug --debug=0", "--secret", "--name -h",
}

func TestFlagsAsPflag(t *testing.T) {
	for _, line := range flagLines {
		compareFlags(t, line)
	}
}

func FuzzFlagsAsPflag(f *testing.F) {
	for _, line := range flagLines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		// pflag lets single dashes with go test's own flags through, and takes -h=x and letters that are no ASCII apart in its own way.
		for word := range strings.SplitSeq(line, " ") {
			if len(word) > 1 && word[0] == '-' && word[1] != '-' && (strings.HasPrefix(word, "-test.") || strings.Trim(word[1:], "abcdefghijklmnopqrstuvwxyz") != "") {
				return
			}
		}
		compareFlags(t, line)
	})
}
