package vm

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/dockerlaunch/dockerlaunch/internal/vm/script"
)

const commandLimit = time.Minute

// GoBuild builds a Go package of this module for the machine, static, and returns the program's path on the host. args
// are go's first arguments: {"build"} or {"test", "-c"}.
func GoBuild(t testing.TB, pkg string, args ...string) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), strings.ReplaceAll(strings.Trim(pkg, "./"), "/", "-"))
	cmd := exec.Command("go", append(args, "-o", out, pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s for the machine: %v\n%s", pkg, err, msg)
	}
	if _, err := os.Stat(out); err != nil {
		t.Fatalf("building %s for the machine made no program (a package without tests?): %v", pkg, err)
	}
	return out
}

// place puts the command's program and data into the archive, and gives what the init is told of it.
func place(t testing.TB, archive *initramfs, c Command) script.Command {
	t.Helper()
	s := script.Command{Path: c.Path, Args: c.Args, Dir: c.Dir, Limit: c.Limit}
	if s.Limit == 0 {
		s.Limit = commandLimit
	}
	s.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"DOCKERLAUNCH_TEST_MACHINE=1", "DOCKERLAUNCH_TEST_STRICT=1",
	}, c.Env...)
	var err error
	switch {
	case c.Test != "":
		// The folders keep their names, for tests that tell paths in what they print.
		dir := path.Join("/src", strings.TrimPrefix(c.Test, "./"))
		s.Path = path.Join(dir, path.Base(dir)+".test")
		if s.Dir == "" {
			s.Dir = dir
		}
		err = archive.host(s.Path, GoBuild(t, c.Test, "test", "-c"))
		if root, rootErr := moduleRoot(); err == nil && rootErr == nil {
			data := filepath.Join(root, c.Test, "testdata")
			if _, statErr := os.Stat(data); statErr == nil {
				err = archive.tree(Tree{Path: path.Join(dir, "testdata"), From: data})
			}
		}
	case c.Program != "":
		s.Path = path.Join("/bin", path.Base(c.Program))
		err = archive.host(s.Path, GoBuild(t, c.Program, "build"))
	case c.Path == "":
		err = fmt.Errorf("a command needs one of Test, Program and Path")
	}
	if err != nil {
		t.Fatalf("preparing a command of the machine: %v", err)
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	return s
}

// build makes the machine's initramfs and returns its path.
func build(t testing.TB, o *Options) string {
	t.Helper()
	archive := newInitramfs()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("preparing the machine: %s: %v", what, err)
		}
	}
	if o.Initramfs == "" {
		for _, dir := range []string{"tmp", "root", ".vm"} {
			archive.add(cpio.Directory(dir, 0o755))
		}
	} else if len(o.Trees)+len(o.Files) == 0 {
		return o.Initramfs
	}
	// Without it process 1 starts with no standard output. The kernel's own initramfs has it too, but only where it was
	// not configured otherwise.
	archive.add(cpio.CharDev("dev/console", 0o600, 5, 1))
	for _, tree := range o.Trees {
		check(tree.From, archive.tree(tree))
	}
	for _, f := range o.Files {
		check(f.Path, archive.file(f))
	}
	switch {
	case o.Initramfs != "":
	case o.Init != "":
		check("init", archive.host("init", o.Init))
	default:
		archive.add(cpio.CharDev(script.Report, 0o600, script.ReportMajor, script.ReportMinor))
		check("init", archive.host("init", GoBuild(t, "./internal/vm/init", "build")))
		check("script", archive.script(t, o))
	}
	name := filepath.Join(t.TempDir(), "initramfs.cpio")
	check("initramfs", archive.write(name, o.Initramfs))
	return name
}

// script places the commands and writes down what the init is to do.
func (a *initramfs) script(t testing.TB, o *Options) error {
	t.Helper()
	s := script.Script{Mount: o.Mount}
	for _, c := range o.Commands {
		s.Commands = append(s.Commands, place(t, a, c))
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return a.file(File{Path: script.Path, Data: data})
}
