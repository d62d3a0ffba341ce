package launch

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/launch/daemon"
)

// narrow are facts in which one flag depends on the version: the uplink takes small packets only.
func narrow() Facts {
	f := prepared()
	f.Network.MTU = 1400
	return f
}

const mtuFlag = "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"

func TestPlanTakesVersionIntoAccount(t *testing.T) {
	for _, test := range []struct {
		version, args string
		want          bool   // mtuFlag
		left          string // of the user's arguments
		needs         bool
	}{
		{"", "--oom-score-adjust=-5 -D", false, "--oom-score-adjust=-5 -D", true},
		{"20.10.24", "--oom-score-adjust=-5 -D", false, "--oom-score-adjust=-5 -D", false},
		{"26.1.5", "--oom-score-adjust=-5 -D", true, "-D", false},
		{"26.1.5", "-D", true, "-D", false},
	} {
		f := narrow()
		if test.version != "" {
			var err error
			if f.Daemon.Version, err = daemon.ParseVersion(test.version); err != nil {
				t.Fatal(err)
			}
		}
		p, err := NewPlan(Config{Daemon: append([]string{"dockerd"}, strings.Fields(test.args)...)}, f)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(p.Command.Args, mtuFlag); got != test.want {
			t.Errorf("%q: %s is there: %v", test.version, mtuFlag, got)
		}
		if !strings.HasSuffix(strings.Join(p.Command.Args, " "), " "+test.left) {
			t.Errorf("%q: the arguments are %q", test.version, p.Command.Args)
		}
		if dropped := test.left == "-D" && test.args != "-D"; dropped != (len(p.Command.Notices) == 1) {
			t.Errorf("%q: notices %q", test.version, p.Command.Notices)
		}
		i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == "version of dockerd" })
		if (i >= 0) != test.needs || i >= 0 && p.Steps[i].Verdict != Skip {
			t.Errorf("%q: the plan tells that the version is asked for: %d", test.version, i)
		}
		if p.needsVersion != test.needs || p.DaemonVersion != f.Daemon.Version {
			t.Errorf("%q: needs the version: %v, which is %s", test.version, p.needsVersion, p.DaemonVersion)
		}
	}
}

// With --exec nobody stays to ask, and a flag is lost.
func TestVersionIsNotKnown(t *testing.T) {
	p := planned(t, Config{Exec: true}, narrow())
	if s := step(t, p, "version of dockerd"); s.Verdict != Warn || slices.Contains(p.Command.Args, mtuFlag) {
		t.Errorf("%+v, %q", s, p.Command.Args)
	}
}

// The version is asked for where something depends on it, and nowhere else.
func TestAskVersion(t *testing.T) {
	small, wide := narrow(), prepared()
	known := narrow()
	known.Daemon.Version = daemon.Version{Major: 26}
	refused := narrow()
	refused.Daemon.DataRootWritable = false
	gone := narrow()
	gone.Daemon.Path, gone.Daemon.Problem = "", &ExecError{Daemon: "dockerd", Err: context.Canceled}
	for name, test := range map[string]struct {
		facts Facts
		want  bool
	}{"needed": {small, true}, "not needed": {wide, false}, "known": {known, false}, "refused": {refused, false}, "not found": {gone, false}} {
		p, err := NewPlan(Config{}, test.facts)
		if err != nil {
			t.Fatal(err)
		}
		asked := ""
		hooks := Hooks{AskVersion: func(_ context.Context, path string) <-chan daemon.Version {
			asked = path
			return make(chan daemon.Version, 1)
		}}
		if got := hooks.askVersion(t.Context(), p); (got != nil) != test.want || (asked == "/usr/bin/dockerd") != test.want {
			t.Errorf("%s: asked %q", name, asked)
		}
		if (Hooks{}).askVersion(t.Context(), p) != nil {
			t.Errorf("%s: somebody is asked though nobody can be", name)
		}
	}
}

// The answer changes the command line, and nothing but that; without one all stays.
func TestFit(t *testing.T) {
	c := Config{Daemon: []string{"dockerd", "--oom-score-adjust=-5"}}
	answer := func(v daemon.Version) <-chan daemon.Version {
		c := make(chan daemon.Version, 1)
		c <- v
		return c
	}
	closed := make(chan daemon.Version)
	close(closed)
	for name, test := range map[string]struct {
		asked <-chan daemon.Version
		want  bool
	}{"nobody was asked": {nil, false}, "no answer": {closed, false}, "unknown": {answer(daemon.Version{}), false}, "26.1": {answer(daemon.Version{Major: 26, Minor: 1}), true}} {
		p, err := NewPlan(c, narrow())
		if err != nil {
			t.Fatal(err)
		}
		steps, opened := len(p.Steps), p.opened
		if err := p.fit(c, narrow(), test.asked); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := slices.Contains(p.Command.Args, mtuFlag); got != test.want || slices.Contains(p.Command.Args, "--oom-score-adjust=-5") == test.want {
			t.Errorf("%s: the arguments are %q", name, p.Command.Args)
		}
		if len(p.Steps) != steps || p.opened != opened || p.DaemonVersion.Known() != test.want {
			t.Errorf("%s: more than the command line has changed", name)
		}
	}
}

// Whether containerd is started is settled when the answer comes: dockerd is told of one only where there is one.
func TestFitLeavesContainerd(t *testing.T) {
	for json, want := range map[string]int{`{}`: 1, `{"features": {"embedded-containerd": true}}`: 0} {
		f := narrow()
		f.Daemon.Config = readConfig(t, json)
		p := planned(t, Config{}, f)
		asked := make(chan daemon.Version, 1)
		asked <- daemon.Version{Major: 28, Minor: 5}
		if err := p.fit(Config{Environ: environ()}, f, asked); err != nil {
			t.Fatal(err)
		}
		if got := flags(p, "containerd"); len(got) != want || !slices.Contains(p.Command.Args, mtuFlag) {
			t.Errorf("%s: the arguments are %q", json, p.Command.Args)
		}
	}
}
