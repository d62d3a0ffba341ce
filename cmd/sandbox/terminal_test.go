package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new pseudo-terminal.
func openTerminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testenv.Missing(t, "no pseudo-terminal: "+err.Error())
	}
	t.Cleanup(func() { person.Close() })
	conn, err := person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var ctlErr error
	if err := conn.Control(func(fd uintptr) {
		if ctlErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ctlErr == nil {
			n, ctlErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || ctlErr != nil {
		t.Fatal(err, ctlErr)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, tty
}

// The program behind make, at a terminal: Ctrl-Z and Ctrl-C are typed, and what started the program must live on, see
// status 0 and have its terminal back.
func TestTerminal(t *testing.T) {
	testenv.NeedRoot(t)
	if _, err := os.Stat(filepath.Join(rootfs, "usr/bin")); err != nil {
		testenv.Missing(t, "there is no root tree (make rootfs)")
	}
	for name, words := range map[string][]string{
		"sh":   {"sh", "-c", `"$@"; echo status=$?; read x; echo read=$x`, "sh"},
		"make": {"make", "-s", "-f", "testdata/run.mk"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				testenv.Missing(t, name+" is not here")
			}
			person, tty := openTerminal(t)
			args := []string{executable(t), "--root", rootfs, "--launcher", program(t, "dockerlaunch"), "--state", t.TempDir()}
			if name == "make" {
				args = []string{"COMMAND=" + strings.Join(args, " ")}
			}
			cmd := exec.Command(words[0], append(words[1:], args...)...)
			cmd.Env = append(os.Environ(), selfVar+"=1")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tty.Close()
			var screen output
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := person.Read(buf)
					if err != nil {
						return // EIO when the last program has closed the terminal
					}
					_, _ = screen.Write(buf[:n])
				}
			}()
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				if t.Failed() {
					t.Log(screen.String())
				}
			})
			see(t, &screen, settled)
			typeKeys(t, person, "\x1a")
			time.Sleep(100 * time.Millisecond)
			typeKeys(t, person, "\x03")
			see(t, &screen, "status=0")
			typeKeys(t, person, "typed\n")
			see(t, &screen, "read=typed")
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func typeKeys(t *testing.T, person *os.File, keys string) {
	t.Helper()
	if _, err := person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func see(t *testing.T, screen *output, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(screen.String(), text) {
			return
		}
	}
	t.Fatalf("%q does not show on the terminal", text)
}

func executable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
