package pidone

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExecFailures(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	score, before := 2000, fileCount(t)
	for name, test := range map[string]struct {
		command Command
		stage   Stage
		err     error
		status  int
	}{
		"no such file":        {Command{Path: dir + "/none"}, StageExec, unix.ENOENT, 127},
		"many descriptors":    {Command{Path: dir + "/none", Files: slices.Repeat([]int{2}, 60)}, StageExec, unix.ENOENT, 127},
		"empty path":          {Command{}, StageExec, unix.ENOENT, 127},
		"not executable":      {Command{Path: write("plain", "#!/bin/sh\n", 0o600)}, StageExec, unix.EACCES, 126},
		"directory":           {Command{Path: dir}, StageExec, unix.EACCES, 126},
		"no program":          {Command{Path: write("noise", "noise", 0o700)}, StageExec, unix.ENOEXEC, 126},
		"empty file":          {Command{Path: write("empty", "", 0o700)}, StageExec, unix.ENOEXEC, 126},
		"missing interpreter": {Command{Path: write("script", "#!/none\n", 0o700)}, StageExec, unix.ENOENT, 127},
		"below a file":        {Command{Path: write("file", "", 0o600) + "/x"}, StageExec, unix.ENOTDIR, 126},
		"too long":            {Command{Path: "/bin/true", Args: []string{strings.Repeat("x", 1<<20)}}, StageExec, unix.E2BIG, 126},
		"bad directory":       {Command{Path: "/bin/true", Dir: dir + "/none"}, StageDir, unix.ENOENT, 126},
		"file as directory":   {Command{Path: "/bin/true", Dir: "/etc/passwd"}, StageDir, unix.ENOTDIR, 126},
		"closed descriptor":   {Command{Path: "/bin/true", Files: []int{1000}}, StageFiles, unix.EBADF, 126},
		"closed stdin":        {Command{Path: "/bin/true", Stdin: 1000}, StageFiles, unix.EBADF, 126},
		"score":               {Command{Path: "/bin/true", OOMScoreAdj: &score}, StageOOMScore, unix.EINVAL, 126},
		"limit":               {Command{Path: "/bin/true", Limits: []Limit{{unix.RLIMIT_CORE, unix.Rlimit{Cur: 2, Max: 1}}}}, StageLimits, unix.EINVAL, 126},
		"signal":              {Command{Path: "/bin/true", ParentDeathSignal: 99}, StageParent, unix.EINVAL, 126},
	} {
		p, err := i.Spawn(test.command)
		var failed *ExecError
		if p != nil || !errors.As(err, &failed) {
			t.Errorf("%s: process %v, error %v", name, p, err)
			continue
		}
		if failed.Stage != test.stage || !errors.Is(err, test.err) || failed.ExitStatus() != test.status {
			t.Errorf("%s: %v (exit status %d)", name, err, failed.ExitStatus())
		}
		if !strings.Contains(err.Error(), test.command.Path) || !strings.Contains(err.Error(), test.command.Dir) {
			t.Errorf("%s: the message does not name what failed: %v", name, err)
		}
		if all, err := processes(); err != nil || len(all) != 1 {
			t.Errorf("%s: processes are left: %v %v", name, all, err)
		}
	}
	for name, c := range map[string]Command{
		"NUL in the path":        {Path: "a\x00b"},
		"NUL in an argument":     {Path: "/bin/true", Args: []string{"true", "a\x00b"}},
		"NUL in the environment": {Path: "/bin/true", Env: []string{"a=\x00b"}},
		"NUL in the directory":   {Path: "/bin/true", Dir: "a\x00b"},
		"no descriptor":          {Path: "/bin/true", Files: []int{-1}},
		"a negative one":         {Path: "/bin/true", Stdout: -2},
	} {
		if p, err := i.Spawn(c); err == nil {
			t.Errorf("%s: process %d", name, p.PID())
		}
	}
	if after := fileCount(t); after != before {
		t.Errorf("%d descriptors before and %d after", before, after)
	}
	// tini is content with a descriptor that is no terminal, too.
	if s := ends(t, spawn(t, i, Command{Path: "/bin/true", Stdin: Null, Foreground: true})); s.ExitCode() != 0 {
		t.Error(s)
	}
}

func fileCount(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
