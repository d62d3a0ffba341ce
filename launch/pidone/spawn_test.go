package pidone

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// listFiles prints what each of its descriptors is, as far as it was started with them.
func listFiles() int {
	for fd := range 128 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // closed, or opened by the Go runtime
		}
		name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			return complain(err)
		}
		fmt.Fprintln(os.Stderr, fd, filepath.Base(name))
	}
	return 0
}

// TestDescriptors gives a child descriptors of this process in random order, among them those that others are to become, and
// some twice. The child has these and no others.
func TestDescriptors(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	dir := t.TempDir()
	var mine []int
	for n := range 12 {
		// Some of them without O_CLOEXEC, as if this process had inherited them.
		fd, err := unix.Open(filepath.Join(dir, strconv.Itoa(n)), unix.O_CREAT|unix.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		mine = append(mine, fd)
	}
	// The lowest numbers are what matters; the test binary has some of them already.
	for n, fd := range mine {
		if err := unix.Dup3(fd, 30+n, n%2*unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, strconv.Itoa(n))
		mine[n] = 30 + n
		if err := os.Rename(name, filepath.Join(dir, strconv.Itoa(30+n))); err != nil {
			t.Fatal(err)
		}
		if err := unix.Close(fd); err != nil {
			t.Fatal(err)
		}
	}
	names := map[int]string{-1: "null"}
	for _, fd := range mine {
		names[fd] = strconv.Itoa(fd)
	}
	// Low numbers that are this test's to use.
	for fd := 3; fd < 16; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == unix.EBADF {
			file := filepath.Join(dir, strconv.Itoa(fd))
			got, err := unix.Open(file, unix.O_CREAT|unix.O_RDWR, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if got != fd {
				t.Fatalf("descriptor %d is free, and open returns %d", fd, got)
			}
			if fd%2 == 0 {
				unix.CloseOnExec(fd)
			}
			mine = append(mine, fd)
			names[fd] = strconv.Itoa(fd)
		}
	}
	if len(mine) < 15 {
		t.Fatalf("there are too few low descriptors to try: %v", mine)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		c := Command{Path: self(t), Args: []string{"list"}, Env: []string{roleVar + "=list-files"}}
		pick := func() int { return mine[r.IntN(len(mine))] }
		c.Stdin, c.Stdout = pick(), pick()
		if r.IntN(4) == 0 {
			c.Stdin = Null
		}
		// Many enough to reach what the parent itself has open for the child, too.
		for range r.IntN(60) {
			c.Files = append(c.Files, pick())
		}
		result := filepath.Join(dir, "result")
		out, err := unix.Open(result, unix.O_CREAT|unix.O_TRUNC|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		c.Stderr = out
		p := spawn(t, i, c)
		if s := ends(t, p); s.ExitCode() != 0 {
			t.Fatal(s)
		}
		if err := unix.Close(out); err != nil {
			t.Fatal(err)
		}
		want := []string{"0 " + names[c.Stdin], "1 " + names[c.Stdout], "2 result"}
		for n, fd := range c.Files {
			want = append(want, fmt.Sprintf("%d %s", 3+n, names[fd]))
		}
		data, err := os.ReadFile(result)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(strings.TrimSpace(string(data)), "\n"); !slices.Equal(got, want) {
			t.Fatalf("stdin %d, stdout %d, files %v: the child has\n%s\nand should have\n%s", c.Stdin, c.Stdout, c.Files, data, strings.Join(want, "\n"))
		}
	}
}

func TestListenPID(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	last := func(pid int) {
		// The kernel counts on from here.
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	try := func() int {
		c := shell(`test "$LISTEN_PID" = $$ && test "$LISTEN_FDS" = 2 && test "$OTHER" = kept && test -e /proc/self/fd/4`)
		c.ListenFDs, c.Files = true, []int{2, 2}
		c.Env = []string{"LISTEN_PID=77", "OTHER=kept", "LISTEN_FDS=5"}
		p, err := i.Spawn(c)
		if err != nil {
			t.Fatal(err)
		}
		if s := ends(t, p); s.ExitCode() != 0 {
			t.Fatalf("process %d: %s", p.PID(), s)
		}
		return p.PID()
	}
	for range 1000 {
		try()
	}
	max, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		t.Fatal(err)
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(max)))
	if err != nil {
		t.Fatal(err)
	}
	for edge := 10_000; edge < limit; edge *= 10 {
		last(edge - 2)
		if before, after := try(), try(); before != edge-1 || after != edge {
			t.Errorf("processes %d and %d instead of %d", before, after, edge)
		}
	}
}

// TestOnlyTheChild: limits, score and directory are the child's alone.
func TestOnlyTheChild(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	score := 321
	c := shell("ulimit -n; ulimit -c; cat /proc/self/oom_score_adj; pwd; cut -d' ' -f5,6 /proc/self/stat; echo $$")
	c.Limits = []Limit{{unix.RLIMIT_NOFILE, unix.Rlimit{Cur: 123, Max: 456}}, {unix.RLIMIT_CORE, unix.Rlimit{}}}
	c.OOMScoreAdj, c.Dir, c.Session = &score, "/usr", true
	before := selfState(t)
	out, s := capture(t, i, c)
	lines := strings.Fields(out)
	if len(lines) != 7 || s.ExitCode() != 0 {
		t.Fatalf("%s: %s", s, out)
	}
	if want := []string{"123", "0", "321", "/usr", lines[6], lines[6], lines[6]}; !slices.Equal(lines, want) {
		t.Errorf("the child has %v, and should have %v", lines, want)
	}
	if after := selfState(t); after != before {
		t.Errorf("this process had\n%s\nand has\n%s", before, after)
	}
}

func selfState(t *testing.T) string {
	t.Helper()
	var all []string
	for _, name := range []string{"limits", "oom_score_adj"} {
		data, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(all, dir), "")
}

// TestGroup: one signal to the program alone, and one to all of its group.
func TestGroup(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	c := shell(`trap "exit 4" USR1; (trap "" USR1; exec sleep 1000) & child=$!; while kill -0 $child; do wait; done`)
	c.Session = true
	p := spawn(t, i, c)
	eventually(t, "the program's own child runs", func() bool {
		all, err := processes()
		return err == nil && len(all) == 3 && testenv.SignalMask(t, statusOf(t, p.PID()), "SigCgt")&bit(unix.SIGUSR1) != 0
	})
	if err := p.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if s := ends(t, p); s.ExitCode() != 4 {
		t.Error(s)
	}
	if err := p.SignalGroup(unix.SIGKILL); !errors.Is(err, ErrEnded) {
		t.Errorf("a signal to the group of a process that has ended: %v", err)
	}
	if all, err := processes(); err != nil || len(all) != 2 {
		t.Errorf("the program's child ended too: %v %v", all, err)
	}
	c = shell("sleep 1000 & sleep 1000 & wait")
	c.Foreground, c.Stdin = true, Null
	p = spawn(t, i, c)
	eventually(t, "all of the group run", func() bool {
		all, err := processes()
		return err == nil && len(all) == 5
	})
	if err := p.SignalGroup(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := ends(t, p); s.Signal() != unix.SIGKILL {
		t.Error(s)
	}
	eventually(t, "all of the group have ended", func() bool {
		all, err := processes()
		return err == nil && len(all) == 2
	})
}

// TestSignalsOfTheChild: an empty mask and defaults, also for what this process ignores or was started with.
func TestSignalsOfTheChild(t *testing.T) {
	i := inNamespace(t)
	if i == nil {
		return
	}
	out, s := capture(t, i, Command{Path: "/bin/cat", Args: []string{"cat", "/proc/self/status"}})
	if s.ExitCode() != 0 {
		t.Fatal(s)
	}
	for _, name := range []string{"SigIgn", "SigBlk"} {
		if mask := testenv.SignalMask(t, out, name); mask != 0 {
			t.Errorf("%s of the child is %#x", name, mask)
		}
	}
}

// TestInheritedIgnored: what nohup and a shell's & set stays, unless this is PID 1.
func TestInheritedIgnored(t *testing.T) {
	for _, test := range []struct {
		pid1 bool
		trap string
		want []unix.Signal
	}{
		{false, "", nil},
		{false, "trap '' HUP; ", []unix.Signal{unix.SIGHUP}},
		{false, "trap '' INT TSTP TTOU; ", []unix.Signal{unix.SIGINT, unix.SIGTSTP, unix.SIGTTOU}},
		{true, "trap '' HUP INT TTIN TERM USR1; ", nil},
	} {
		cmd := program(t, "supervise", "/bin/cat", "/proc/self/status")
		if test.pid1 {
			asPID1(t, cmd)
		}
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", test.trap + `exec "$0" "$@"`}, cmd.Args...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var want uint64
		for _, s := range test.want {
			want |= bit(s)
		}
		if got := testenv.SignalMask(t, string(out), "SigIgn"); got != want {
			t.Errorf("%sPID 1 %v: the child ignores %#x instead of %#x", test.trap, test.pid1, got, want)
		}
	}
}

// TestOpenFilesLimit: the child has what this process was started with, and not what the Go runtime makes of it.
func TestOpenFilesLimit(t *testing.T) {
	cmd := program(t, "supervise", "/bin/sh", "-c", "ulimit -Sn; ulimit -Hn")
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -Sn 1234 && ulimit -Hn 2000 && exec "$0" "$@"`}, cmd.Args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != "1234\n2000\n" {
		t.Errorf("soft and hard limit: %q", out)
	}
}

func TestListenEnv(t *testing.T) {
	got := listenEnv([]string{"A=1", "LISTEN_PID=1", "LISTEN_FDNAMES=x", "LISTEN_FDS", "B=2"}, 3)
	if want := []string{"A=1", "LISTEN_FDNAMES=x", "B=2", "LISTEN_FDS=3", listenPID}; !slices.Equal(got, want) {
		t.Errorf("%q instead of %q", got, want)
	}
}
