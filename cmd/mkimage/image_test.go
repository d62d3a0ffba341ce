package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/spdx"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func TestImageWords(t *testing.T) {
	empty := t.TempDir()
	base := []string{"image", "--packages", empty, "--launcher", "x", "--out", t.TempDir()}
	for _, c := range []struct {
		args           []string
		env            map[string]string
		status         int
		stdout, stderr string
	}{
		{args: []string{"image", "--help"}, stdout: "--rest-budget"},
		{args: []string{"image"}, status: 2, stderr: "--packages is missing"},
		{args: []string{"image", "--packages", empty}, status: 2, stderr: "--launcher is missing"},
		{args: []string{"image", "--packages", empty, "--launcher", "x"}, status: 2, stderr: "--out is missing"},
		{args: append(base[:len(base):len(base)], "--variants", "full,huge"), status: 2, stderr: `no variant "huge"`},
		{args: append(base[:len(base):len(base)], "--variants", ""), status: 2, stderr: "--variants"},
		{args: append(base[:len(base):len(base)], "word"), status: 2, stderr: `unexpected word "word"`},
		{args: base, env: map[string]string{"SOURCE_DATE_EPOCH": "now"}, status: 2, stderr: "SOURCE_DATE_EPOCH"},
		{args: base, status: 1, stderr: "has no packages"},
	} {
		status, stdout, stderr := mkimage(c.env, c.args...)
		if status != c.status || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("mkimage %q: status %d, stdout %q, stderr %q; want %d, %q, %q", c.args, status, stdout, stderr, c.status, c.stdout, c.stderr)
		}
	}
}

// built gives the path of something that make built.
func built(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join("..", "..", "build", name)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		testenv.Missing(t, "build/"+name+" is not there (make image)")
	} else if err != nil {
		t.Fatal(err)
	}
	return file
}

// The budget is held, and what the table says adds up to less.
func TestImageBudget(t *testing.T) {
	args := []string{"image", "--packages", built(t, "packages/trixie"), "--launcher", built(t, "dockerlaunch"), "--variants", "minimal"}
	status, stdout, stderr := mkimage(nil, append(args, "--table")...)
	if status != 0 || !strings.Contains(stdout, "| **Docker's own programs** |") || !strings.Contains(stdout, "| **everything else** |") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	out := t.TempDir()
	status, _, stderr = mkimage(nil, append(args, "--out", out, "--rest-budget", "1000000")...)
	if status != 1 || !strings.Contains(stderr, "the budget is 1000000") {
		t.Errorf("with too small a budget: status %d, %s", status, stderr)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("it has written %v, %v", left, err)
	}
}

// The bills of materials that were built are sound, and name what people will look for.
func TestImageSBOM(t *testing.T) {
	for _, name := range []string{"image.spdx.json", "image-minimal.spdx.json"} {
		raw, err := os.ReadFile(built(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := spdx.Check(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var doc spdx.Document
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		packages := map[string]spdx.Package{}
		for _, p := range doc.Packages {
			packages[p.Name] = p
		}
		for pkg, licence := range map[string]string{"libc6": "LGPL-2.1-or-later", "docker.io": "Apache-2.0", "iptables": "GPL-2.0-or-later", "dockerlaunch": "Apache-2.0", "stdlib": "", "golang.org/x/sys": ""} {
			p, ok := packages[pkg]
			if !ok || p.VersionInfo == "" || !strings.Contains(p.LicenseDeclared, licence) {
				t.Errorf("%s: %s is %+v", name, pkg, p)
			}
		}
		if _, git := packages["git"]; git != (name == "image.spdx.json") {
			t.Errorf("%s: git is there: %v", name, git)
		}
	}
}
