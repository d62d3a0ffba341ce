package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/cgroups"
	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
)

func TestMergePrecedence(t *testing.T) {
	file := []bootline.Option{{Key: "cgroup", Value: "v1", Where: "file:1"}, {Key: "hostname", Value: "file", Where: "file:2"}, {Key: "without", Value: "ps", Where: "file:3"}}
	line := bootline.Parse("quiet dockerlaunch.cgroup=v2 dockerlaunch.debug dockerlaunch.without=git").Options()
	c, problems, err := merge([]string{"--cgroup=hybrid", "-s", "overlay2"}, append(file, line...))
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
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
	if c, _, _ = merge(nil, append(file, line...)); c.config.Cgroup != cgroups.WantV2 {
		t.Errorf("the file beats the kernel command line: %v", c.config.Cgroup)
	}
}

func TestMergeProblems(t *testing.T) {
	line := bootline.Parse("dockerlaunch.cgruop=v1 dockerlaunch.cgroup=v9 dockerlaunch.exec dockerlaunch.zzzzzzzz=1 dockerlaunch.hostname=good")
	c, problems, err := merge(nil, line.Options())
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Error())
	}
	all := strings.Join(texts, "\n")
	for _, part := range []string{"cgruop, and it is left out; the nearest is cgroup", "v9", "only as a flag", "no option zzzzzzzz"} {
		if !strings.Contains(all, part) {
			t.Errorf("nothing says %q:\n%s", part, all)
		}
	}
	if len(problems) != 4 || c.config.Hostname != "good" || c.config.Cgroup != cgroups.WantAuto || c.config.Exec {
		t.Errorf("%d problems, %+v", len(problems), c.config)
	}
	if _, _, err := merge([]string{"--cgroup", "v9"}, nil); err == nil {
		t.Error("a wrong flag is no error")
	}
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
