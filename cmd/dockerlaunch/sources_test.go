package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
)

func TestMergePrecedence(t *testing.T) {
	if c, problems := merge(nil, bootline.Parse("dockerlaunch.fsck=repair").Options()); len(problems) > 0 || !c.config.Repair {
		t.Errorf("fsck=repair: %+v, %v", c, problems)
	}
	file := []bootline.Option{{Key: "cgroup", Value: "v1", Where: "file:1"}, {Key: "hostname", Value: "file", Where: "file:2"}, {Key: "without", Value: "ps", Where: "file:3"}}
	line := bootline.Parse("quiet dockerlaunch.cgroup=v2 dockerlaunch.debug dockerlaunch.without=git").Options()
	c, problems := merge([]string{"--cgroup=hybrid", "-s", "overlay2"}, append(file, line...))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if c.config.Cgroup != cgroups.WantHybrid || c.config.Hostname != "file" || !c.debug {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.config.Without, []string{"ps", "git"}) {
		t.Errorf("lists do not add up: %q", c.config.Without)
	}
	if !slices.Equal(c.config.Daemon, []string{"-s", "overlay2"}) {
		t.Errorf("the daemon's words are %q", c.config.Daemon)
	}
	if c, _ = merge(nil, append(file, line...)); c.config.Cgroup != cgroups.WantV2 {
		t.Errorf("the file beats the kernel command line: %v", c.config.Cgroup)
	}
}

func TestMergeProblems(t *testing.T) {
	line := bootline.Parse("dockerlaunch.cgruop=v1 dockerlaunch.cgroup=v9 dockerlaunch.exec dockerlaunch.zzzzzzzz=1 dockerlaunch.hostname=good dockerlaunch.fsck=repiar")
	c, problems := merge(nil, line.Options())
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Error())
	}
	all := strings.Join(texts, "\n")
	for _, part := range []string{"cgruop, and it is left out; the nearest is cgroup", "v9", "only as a flag", "no option zzzzzzzz", "repiar", "preen or repair"} {
		if !strings.Contains(all, part) {
			t.Errorf("nothing says %q:\n%s", part, all)
		}
	}
	if len(problems) != 5 || c.config.Repair || c.config.Hostname != "good" || c.config.Cgroup != cgroups.WantAuto || c.config.Exec {
		t.Errorf("%d problems, %+v", len(problems), c.config)
	}
}

// TestMergeWrongFlags: a machine's flags are no different: what is right counts.
func TestMergeWrongFlags(t *testing.T) {
	c, problems := merge([]string{"--cgroup", "v9", "--hostname=good", "--restart=perhaps", "--exec", "--debug", "-s", "overlay2"}, nil)
	all := errors.Join(problems...)
	if len(problems) != 3 || !strings.Contains(all.Error(), "--cgroup v9") || !strings.Contains(all.Error(), "--restart=perhaps") || !strings.Contains(all.Error(), "--exec") {
		t.Errorf("the problems are: %v", all)
	}
	if c.config.Cgroup != cgroups.WantAuto || c.config.Hostname != "good" || !c.debug || c.config.Exec || !slices.Equal(c.config.Daemon, []string{"-s", "overlay2"}) {
		t.Errorf("%+v", c)
	}
	if _, problems := merge([]string{"--help"}, nil); len(problems) != 1 {
		t.Errorf("--help: %v", problems)
	}
	if _, problems := merge([]string{"--cgroup"}, nil); len(problems) != 1 {
		t.Errorf("a flag without its value: %v", problems)
	}
}

// TestInitArgs: the kernel's own words are not taken for the daemon's name.
func TestInitArgs(t *testing.T) {
	for name, c := range map[string]struct {
		line, args, kept string
		problems         []string
	}{
		"nothing":                 {"quiet", "", "", nil},
		"what a boot loader adds": {"quiet splash root=/dev/sda1 auto", "splash auto", "", []string{"splash", "auto"}},
		"a verb":                  {"check", "check", "", []string{"check"}},
		"another init's letters":  {"-b S", "-b S", "", []string{"-b", "S"}},
		"behind the dashes":       {"splash -- --cgroup=v1 -s overlay2", "splash --cgroup=v1 -s overlay2", "--cgroup=v1 -s overlay2", []string{"splash"}},
		"the same on both sides":  {"splash -- splash", "splash splash", "splash", []string{"splash"}},
		"a daemon by its path":    {"text /opt/dockerd -- -D", "text /opt/dockerd -D", "/opt/dockerd -D", []string{"text"}},
		"a daemon by its name":    {"dockerd single", "dockerd single", "dockerd", []string{"single"}},
		"own flags":               {"--debug --cgroup v1 nosplash", "--debug --cgroup v1 nosplash", "--debug --cgroup v1", []string{"nosplash"}},
		"a flag without a value":  {"--cgroup", "--cgroup", "--cgroup", nil},
		"another program's words": {"quiet splash", "mydockerd", "mydockerd", nil},
		"no word of the kernel's": {"", "splash", "splash", nil},
	} {
		t.Run(name, func(t *testing.T) {
			kept, problems := initArgs(strings.Fields(c.args), bootline.Parse(c.line))
			if got := strings.Join(kept, " "); got != c.kept {
				t.Errorf("kept %q, want %q", got, c.kept)
			}
			if len(problems) != len(c.problems) {
				t.Fatalf("problems: %v", problems)
			}
			for i, p := range problems {
				if !strings.Contains(p.Error(), `"`+c.problems[i]+`"`) {
					t.Errorf("%v does not name %s", p, c.problems[i])
				}
			}
		})
	}
}

func FuzzInitArgs(f *testing.F) {
	f.Add("quiet splash -- --cgroup v1", "splash\x00--cgroup\x00v1")
	f.Add("--cgroup", "--cgroup")
	f.Fuzz(func(t *testing.T, line, words string) {
		args := strings.Split(words, "\x00")
		kept, problems := initArgs(args, bootline.Parse(line))
		if len(kept)+len(problems) != len(args) {
			t.Errorf("%q: kept %q, and %d problems", args, kept, len(problems))
		}
		merge(kept, nil)
	})
}

func TestFileOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dockerlaunch.conf")
	if options, problems := fileOptions(path); options != nil || problems != nil {
		t.Errorf("a missing file: %v, %v", options, problems)
	}
	if err := os.WriteFile(path, []byte("# mine\nhostname = 'box'\nnonsense line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options, problems := fileOptions(path)
	if len(options) != 1 || options[0].Key != "hostname" || options[0].Value != "box" || len(problems) != 1 {
		t.Errorf("%v, %v", options, problems)
	}
}
