package launch_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/sandbox"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// stubbed runs the launcher with a stub in the daemon's place, which tells what it was given.
func stubbed(t *testing.T, env []string, argv ...string) (status int, said []string) {
	t.Helper()
	o := options(t, argv...)
	o.Env = env
	o.Binds = []sandbox.Bind{{Source: program(t, "testdata/stub"), Target: "/usr/bin/stub"}, {Source: program(t, "testdata/stub"), Target: "/opt/dockerd"}}
	status, text := refused(t, o)
	return status, strings.Split(text, "\n")
}

func with(lines []string, prefix string) []string {
	var found []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, prefix+" "); ok {
			found = append(found, rest)
		}
	}
	return found
}

// TestHandOver: what reaches the daemon is what the launcher was given, but for what is documented.
func TestHandOver(t *testing.T) {
	env := []string{"PATH=/usr/bin:/usr/sbin", "HOME=/home/me", "ODD=a=b c", "EMPTY=", "container=lxc"}
	status, said := stubbed(t, env, "--exec", "/usr/bin/stub", "-s", "overlay", "--", "two words", "")
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, strings.Join(said, "\n"))
	}
	// A program that is not dockerd gets its arguments to the letter.
	if got := with(said, "arg"); !slices.Equal(got, []string{"/usr/bin/stub", "-s", "overlay", "--", "two words", ""}) {
		t.Errorf("arguments are %q", got)
	}
	if got := with(said, "env"); !slices.Equal(got, env) {
		t.Errorf("environment is %q, want %q", got, env)
	}
	if got := with(said, "pid"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the daemon's PID is %v", got)
	}
	for _, fd := range with(said, "fd") {
		// What the stub's own Go runtime opened is of a cgroup.
		if number, goal, _ := strings.Cut(fd, " "); number > "2" && !strings.HasPrefix(goal, "/sys/fs/cgroup/") {
			t.Errorf("a file of the launcher's is open in the daemon: %s", fd)
		}
	}
	for _, name := range []string{"SigIgn", "SigBlk"} {
		if mask := testenv.SignalMask(t, strings.Join(said, "\n"), name); mask != 0 {
			t.Errorf("the daemon starts with %s %x", name, mask)
		}
	}
}

func TestHandOverOfDockerd(t *testing.T) {
	status, said := stubbed(t, []string{"TERM=linux", "PATH="}, "--exec", "/opt/dockerd", "--label", "-d", "-g", "/var/lib/docker")
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, strings.Join(said, "\n"))
	}
	args := with(said, "arg")
	if len(args) < 5 || args[0] != "/opt/dockerd" || !strings.HasPrefix(args[1], "--default-ulimit=nofile=1024:") {
		t.Errorf("arguments are %q", args)
	} else if own := args[4:]; !slices.Equal(own, []string{"--label", "-d", "--data-root", "/var/lib/docker"}) {
		t.Errorf("the user's arguments have become %q", own)
	}
	got := map[string]bool{}
	for _, entry := range with(said, "env") {
		got[entry] = true
	}
	// Where capabilities are missing the launcher stands in front of runc, and a variant of iptables may be chosen.
	for entry := range got {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			rest := strings.TrimPrefix(strings.TrimPrefix(value, "/run/dockerlaunch/iptables:"), "/run/dockerlaunch/bin:")
			delete(got, entry)
			got["PATH="+rest] = true
		}
	}
	want := map[string]bool{
		"TERM=linux": true, "HOME=/root": true, "container=docker": true,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin": true,
	}
	if !maps.Equal(got, want) {
		t.Errorf("environment is %v, want %v", got, want)
	}
}

// TestExitStatus: the daemon's end is the launcher's end.
func TestExitStatusIsTheDaemons(t *testing.T) {
	for env, want := range map[string]int{"STUB_EXIT=0": 0, "STUB_EXIT=42": 42, "STUB_EXIT=255": 255} {
		for _, argv := range [][]string{{"stub"}, {"--exec", "stub"}} {
			if status, said := stubbed(t, []string{"PATH=/usr/bin:/usr/sbin", env}, argv...); status != want {
				t.Errorf("%s, %q: exit status %d\n%s", env, argv, status, strings.Join(said, "\n"))
			}
		}
	}
}
