package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMachineWords(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{args: []string{"initramfs", "--help"}, stdout: "--kernel"},
		{args: []string{"initramfs"}, status: 2, stderr: "--packages is missing"},
		{args: []string{"initramfs", "--packages", empty, "--launcher", "x"}, status: 2, stderr: "--out is missing"},
		{args: []string{"initramfs", "--packages", empty, "--launcher", "x", "--out", empty + "/x"}, status: 1, stderr: "has no packages"},
		{args: []string{"cpio", "--help"}, stdout: "--behind"},
		{args: []string{"cpio"}, status: 2, stderr: "--out or --add is missing"},
		{args: []string{"cpio", "--out", empty + "/x", "--add", "x"}, status: 2, stderr: "want PATH=SOURCE"},
		{args: []string{"cpio", "--out", empty + "/x", "--add", "x=" + empty + "/gone"}, status: 1, stderr: "no such file"},
		{args: []string{"cpio", "--out", empty + "/x", "--behind", empty + "/gone", "--add", "x=" + empty}, status: 1, stderr: "no such file"},
		{args: []string{"certs", "--help"}, stdout: "--host"},
		{args: []string{"certs"}, status: 2, stderr: "--out is missing"},
	} {
		status, stdout, stderr := mkimage(nil, c.args...)
		if status != c.status || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("mkimage %q: status %d, stdout %q, stderr %q; want %d, %q, %q", c.args, status, stdout, stderr, c.status, c.stdout, c.stderr)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// What is put behind an initramfs begins where the kernel looks for the next archive.
func TestCpioBehind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"first", "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out")
	if status, _, stderr := mkimage(nil, "cpio", "--behind", dir+"/first", "--out", out, "--add", "certs/key.pem="+dir+"/secret"); status != 0 {
		t.Fatal(stderr)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(raw, []byte("12345\x00\x00\x00070701")) || !bytes.Contains(raw, []byte("certs/key.pem\x00")) {
		t.Errorf("it begins with %q", raw[:min(len(raw), 40)])
	}
}

func TestCerts(t *testing.T) {
	dir := t.TempDir()
	for _, want := range []string{"certificates made", "certificates kept"} {
		if status, stdout, stderr := mkimage(nil, "certs", "--out", dir, "--host", "localhost,192.0.2.1"); status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("status %d, %q, %q; want %q", status, stdout, stderr, want)
		}
	}
}
