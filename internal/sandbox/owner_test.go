package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

func TestOwnerName(t *testing.T) {
	o := owner{PIDNS: 4026531836, PID: 4711, Start: 345112, N: 3}
	if got, ok := parseOwner(o.String()); !ok || got != o {
		t.Errorf("%q: %+v, %v", o, got, ok)
	}
	for _, name := range []string{
		"", "dockerlaunch-", "dockerlaunch-1-2-3", "dockerlaunch-1-2-3-4-5", "dockerlaunch-1-0-3-4", "dockerlaunch-1-99999999999-3-4",
		"dockerlaunch-1--2-3-4", "dockerlaunch-01-2-3-4", "dockerlaunch-1-+2-3-4", "docker-1-2-3-4", "xdockerlaunch-1-2-3-4",
	} {
		if got, ok := parseOwner(name); ok {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

func FuzzParseOwner(f *testing.F) {
	f.Add("dockerlaunch-4026531836-4711-345112-3")
	f.Add("dockerlaunch-1-2-3")
	f.Fuzz(func(t *testing.T, name string) {
		if o, ok := parseOwner(name); ok && (o.String() != name || o.PID <= 0) {
			t.Errorf("%q: %+v", name, o)
		}
	})
}

func TestParseStartTime(t *testing.T) {
	tail := " S 1 2 2 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 345112 10 11"
	for name, in := range map[string]string{
		"plain":       "17 (sh)" + tail,
		"parentheses": "17 (a) Z 1 2 (b)" + tail,
		"newline":     "17 (a\n) R 9)" + tail,
	} {
		if got, err := parseStartTime([]byte(in)); err != nil || got != 345112 {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	if _, err := parseStartTime([]byte("17 (sh) Z" + tail[2:])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("zombie: %v", err)
	}
	for _, in := range []string{"", "17", "17 (sh", "17 (sh)", "17 (sh) S 1 2", "17 (sh) S 1 2 2 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 x 1"} {
		if got, err := parseStartTime([]byte(in)); err == nil {
			t.Errorf("%q: %d", in, got)
		}
	}
}

func FuzzParseStartTime(f *testing.F) {
	f.Add([]byte("17 (a) b) S 1 2 2 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 345112 10 11"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if _, err := parseStartTime(stat); err != nil {
			return
		}
		// Whatever stands in the name changes nothing.
		i := 0
		for stat[i] != ')' {
			i++
		}
		a, errA := parseStartTime(stat)
		b, errB := parseStartTime(append([]byte("1 (x) Z (y"), stat[i:]...))
		if a != b || errA != nil || errB != nil {
			t.Errorf("%d, %v against %d, %v", a, errA, b, errB)
		}
	})
}

func TestDead(t *testing.T) {
	me, err := newOwner()
	if err != nil {
		t.Fatal(err)
	}
	again, err := newOwner()
	if err != nil || again == me {
		t.Errorf("two sandboxes of one owner: %v, %v, %v", me, again, err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	child := owner{PIDNS: me.PIDNS, PID: cmd.Process.Pid, Start: start, N: 1}
	if me.dead(me.PIDNS) || child.dead(me.PIDNS) {
		t.Error("a living owner counts as dead")
	}
	reused := child
	reused.Start--
	if !reused.dead(me.PIDNS) {
		t.Error("an owner whose PID has gone to a later process counts as living")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the zombie to count as dead", func() bool { return child.dead(me.PIDNS) }) // nobody has waited for it
	_ = cmd.Wait()                                                                         // killed
	if !child.dead(me.PIDNS) {
		t.Error("an owner that is gone counts as living")
	}
	if child.dead(me.PIDNS + 1) {
		t.Error("an owner of another PID namespace was judged")
	}
}
