package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	type want struct {
		verb    string
		daemon  []string
		debug   bool
		json    bool
		cgroup  cgroups.Want
		without []string
	}
	for line, w := range map[string]want{
		"":                                     {},
		"/usr/bin/dockerd -s overlay2":         {daemon: []string{"/usr/bin/dockerd", "-s", "overlay2"}},
		"/usr/bin/docker -d -s overlay":        {daemon: []string{"/usr/bin/docker", "-d", "-s", "overlay"}},
		"docker daemon --debug":                {daemon: []string{"docker", "daemon", "--debug"}},
		"-- -s overlay2":                       {daemon: []string{"-s", "overlay2"}},
		"-s overlay2":                          {daemon: []string{"-s", "overlay2"}},
		"--debug --tlsverify=false x":          {debug: true, daemon: []string{"--tlsverify=false", "x"}},
		"--cgroup v1 -D --debug":               {cgroup: cgroups.WantV1, daemon: []string{"-D", "--debug"}},
		"--debug=false --data-root /x --debug": {daemon: []string{"--data-root", "/x", "--debug"}},
		"-- dockerd -- x":                      {daemon: []string{"dockerd", "--", "x"}},
		"dockerd -- --debug":                   {daemon: []string{"dockerd", "--", "--debug"}},
		"--debug dockerd --debug":              {daemon: []string{"dockerd", "--debug"}, debug: true},
		"--cgroup v1 --without ps,git dockerd": {daemon: []string{"dockerd"}, cgroup: cgroups.WantV1, without: []string{"ps", "git"}},
		"--cgroup=hybrid --without ps":         {cgroup: cgroups.WantHybrid, without: []string{"ps"}},
		"--without ps --without git":           {without: []string{"ps", "git"}},
		"plan":                                 {verb: verbPlan},
		"plan --json dockerd -D":               {verb: verbPlan, json: true, daemon: []string{"dockerd", "-D"}},
		"plan dockerd --json":                  {verb: verbPlan, daemon: []string{"dockerd", "--json"}},
		"./plan":                               {daemon: []string{"./plan"}},
		"dockerd plan":                         {daemon: []string{"dockerd", "plan"}},
		"version":                              {verb: verbVersion},
		"--version":                            {verb: verbVersion},
		"help":                                 {verb: verbHelp},
		"--help":                               {verb: verbHelp},
		"-h":                                   {verb: verbHelp},
		"--debug --help":                       {verb: verbHelp},
		"dockerd --help":                       {daemon: []string{"dockerd", "--help"}},
	} {
		t.Run(line, func(t *testing.T) {
			c, err := parse(strings.Fields(line))
			if err != nil {
				t.Fatal(err)
			}
			got := want{c.verb, c.config.Daemon, c.debug, c.json, c.config.Cgroup, c.config.Without}
			if len(got.daemon) == 0 {
				got.daemon = nil
			}
			if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	for line, says := range map[string]string{
		"--cgroup v3":        "v3",
		"version 2":          "no arguments",
		"docker run -it x":   "run",
		"--without nonsense": "nonsense",
	} {
		t.Run(line, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			// "plan", so that a mistake in the test cannot start a daemon.
			args := append([]string{"plan"}, strings.Fields(line)...)
			if strings.HasPrefix(line, "version") {
				args = args[1:]
			}
			if status := run(args, &stdout, &stderr); status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			if !strings.Contains(stderr.String(), says) {
				t.Errorf("the message does not say %q:\n%s", says, stderr.String())
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, says := range map[string]string{"help": "--without", "version": "dockerlaunch "} {
		var stdout, stderr bytes.Buffer
		if status := run([]string{arg}, &stdout, &stderr); status != 0 || stderr.Len() != 0 {
			t.Errorf("%s: exit status %d, %s", arg, status, stderr.String())
		}
		if !strings.Contains(stdout.String(), says) {
			t.Errorf("%s does not say %q:\n%s", arg, says, stdout.String())
		}
	}
}
