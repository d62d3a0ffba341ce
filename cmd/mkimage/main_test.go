package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mkimage(env_ map[string]string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(context.Background(), args, env{stdout: &out, stderr: &errs, getenv: func(name string) string { return env_[name] }})
	return status, out.String(), errs.String()
}

func TestWords(t *testing.T) {
	empty := t.TempDir()
	foreign := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "tree")
	for _, c := range []struct {
		args           []string
		env            map[string]string
		status         int
		stdout, stderr string
	}{
		{args: nil, status: 2, stderr: "mkimage COMMAND --help"},
		{args: []string{"--help"}, stdout: "mkimage rootfs"},
		{args: []string{"help"}, stdout: "mkimage rootfs"},
		{args: []string{"rootsf"}, status: 2, stderr: `unknown command "rootsf"`},
		{args: []string{"rootfs", "--help"}, stdout: "--launcher"},
		{args: []string{"rootfs", "--pakages", "x"}, status: 2, stderr: "unknown flag: --pakages"},
		{args: []string{"rootfs", "--packages", empty}, status: 2, stderr: "--out is missing"},
		{args: []string{"rootfs", "--out", out}, status: 2, stderr: "--packages is missing"},
		{args: []string{"rootfs", "--out", out, "--packages", empty, "word"}, status: 2, stderr: `unexpected word "word"`},
		{args: []string{"rootfs", "--out", out, "--packages", empty}, status: 1, stderr: empty + " has no packages"},
		{args: []string{"rootfs", "--out", foreign, "--packages", empty}, status: 1, stderr: foreign + " is a folder that was not built here"},
		{args: []string{"rootfs", "--out", out, "--table"}, status: 1, stderr: "there is no tree at " + out},
		{args: []string{"rootfs", "--out", out, "--packages", empty}, env: map[string]string{"SOURCE_DATE_EPOCH": "today"}, status: 2, stderr: `SOURCE_DATE_EPOCH is "today"`},
		{args: []string{"packages"}, stdout: "\ndocker-cli\ndocker.io\n"},
		{args: []string{"packages", "--suite", "bookworm"}, stdout: "\ndash\ndocker.io\n"},
		{args: []string{"packages", "--without-git"}, stdout: "base-files\nca-certificates\ncontainerd\ndocker-cli\ndocker.io\ne2fsprogs\niptables\nprocps\nrunc\nxz-utils\n"},
		{args: []string{"packages", "--without-git", "--docker-tgz", "x.tgz"}, stdout: "base-files\nca-certificates\ne2fsprogs\niptables\nprocps\nxz-utils\n"},
		{args: []string{"packages", "git"}, status: 2, stderr: `unexpected word "git"`},
	} {
		status, stdout, stderr := mkimage(c.env, c.args...)
		if status != c.status || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("mkimage %q: status %d, stdout %q, stderr %q; want %d, %q, %q", c.args, status, stdout, stderr, c.status, c.stdout, c.stderr)
		}
		if status != 0 && stdout != "" {
			t.Errorf("mkimage %q: an error, and on standard output %q", c.args, stdout)
		}
	}
}

func TestEpoch(t *testing.T) {
	for value, want := range map[string]int64{"": 0, "0": 0, "1700000000": 1_700_000_000} {
		if got, err := epoch(value); err != nil || got != want {
			t.Errorf("epoch(%q) = %d, %v; want %d", value, got, err, want)
		}
	}
	for _, value := range []string{"-1", "1e9", "99999999999999999999", "9999999999999"} {
		if got, err := epoch(value); err == nil {
			t.Errorf("epoch(%q) = %d", value, got)
		}
	}
}

func TestProgress(t *testing.T) {
	var plain bytes.Buffer
	p := newProgress(&plain)
	for i := range 3 {
		p.step("unpacking", i+1, 3)
	}
	p.step("writing", 1, 2)
	p.end()
	if want := "unpacking: 3 to do\nunpacking: done\nwriting: 2 to do\n"; plain.String() != want {
		t.Errorf("plain lines are %q; want %q", plain.String(), want)
	}
	var drawn bytes.Buffer
	p = &progress{w: &drawn, terminal: true}
	for i := range 1000 {
		p.step("writing", i+1, 1000)
	}
	p.end()
	if s := drawn.String(); strings.Contains(s, "\n") || strings.Count(s, "\r") > 100 || !strings.Contains(s, "writing: 1000 of 1000") || !strings.HasSuffix(s, "\r\x1b[K") {
		t.Errorf("the terminal got %q", s)
	}
}
