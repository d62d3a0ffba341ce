package machine

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseConsoles(t *testing.T) {
	for text, want := range map[string][]string{
		"tty0 ttyS0\n": {"tty0", "ttyS0"}, "": nil, "hvc0\n": {"hvc0"}, "../../etc/x .. ttyS1": {"ttyS1"},
	} {
		if diff := cmp.Diff(want, ParseConsoles(text)); diff != "" {
			t.Errorf("%q: -want +got:\n%s", text, diff)
		}
	}
	if diff := cmp.Diff([]string{"/dev/ttyS0", "/dev/console"}, ConsoleDevices([]string{"tty0", "ttyS0"})); diff != "" {
		t.Error(diff)
	}
	if got := ConsoleDevice([]string{"/dev/no-such", "/dev/null"}); got != "/dev/null" {
		t.Errorf("the first that is there: %q", got)
	}
	for text, want := range map[string]int{"4\t4\t1\t7\n": 4, "7 4 1 7": 7, "": 0, "x": 0, "-1": 0} {
		if got := ParseConsoleLevel(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func FuzzParseConsoles(f *testing.F) {
	f.Add("tty0 ttyS0\n")
	f.Add("/")
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range ParseConsoles(text) {
			if strings.Contains(name, "/") || name == ".." || name == "" {
				t.Errorf("%q: %q", text, name)
			}
		}
		ParseConsoleLevel(text)
	})
}

// consoleVar makes the test binary open a console as its standard descriptors, and write to them.
const consoleVar = "MACHINE_TEST_CONSOLE"

func TestMain(m *testing.M) {
	device := os.Getenv(consoleVar)
	if device == "" {
		os.Exit(m.Run())
	}
	action := OpenConsole{Devices: []string{"/dev/no-such", device}}
	for i, want := range []bool{false, true} {
		if kept, err := action.Apply(context.Background()); kept != want || err != nil {
			os.Exit(10 + i)
		}
	}
	flags, err := unix.FcntlInt(1, unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		os.Exit(20)
	}
	os.Stdout.WriteString("out\n")
	os.Stderr.WriteString("err\n")
	os.Exit(0)
}

func TestOpenConsole(t *testing.T) {
	for name, script := range map[string]string{"closed": "<&- >&- 2>&-", "null": "</dev/null >/dev/null 2>/dev/null"} {
		t.Run(name, func(t *testing.T) {
			master, slave := pty(t)
			exe, err := os.Executable()
			must(t, err)
			cmd := exec.Command("/bin/sh", "-c", exe+" "+script)
			cmd.Env = append(os.Environ(), consoleVar+"="+slave)
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			if got := readSome(t, master); got != "out\r\nerr\r\n" {
				t.Errorf("the console shows %q", got)
			}
		})
	}
}
