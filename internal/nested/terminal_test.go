package nested

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with a person at it.
type terminal struct {
	t      *testing.T
	person *os.File
	tty    *os.File

	mu   sync.Mutex
	text strings.Builder
}

func openTerminal(t *testing.T, rows, columns uint16) *terminal {
	t.Helper()
	// Without blocking, so that it is watched by Go's poller and a Close ends a Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		testenv.Missing(t, "no pseudo-terminal: "+err.Error())
	}
	x := &terminal{t: t, person: os.NewFile(uintptr(fd), "ptmx")}
	t.Cleanup(func() { x.person.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if x.tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.tty.Close() })
	x.resize(rows, columns)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := x.person.Read(buf)
			x.mu.Lock()
			x.text.Write(buf[:n])
			x.mu.Unlock()
			if err != nil && !errors.Is(err, unix.EIO) { // EIO: nobody has the other end open
				return
			}
			if err != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}()
	return x
}

func (x *terminal) resize(rows, columns uint16) {
	x.t.Helper()
	if err := unix.IoctlSetWinsize(int(x.tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) types(text string) {
	x.t.Helper()
	if _, err := io.WriteString(x.person, text); err != nil {
		x.t.Fatal(err)
	}
}

// shown is what came to the screen.
func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// waitsFor waits until the screen shows a text n times.
func (x *terminal) waitsFor(text string, n int) {
	x.t.Helper()
	for end := time.Now().Add(limit); strings.Count(x.shown(), text) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("%q does not come; on the screen is\n%q", text, x.shown())
		}
	}
}

// TestDebian runs a whole Debian in the Docker inside, at a terminal: there is a prompt, the size of the terminal comes
// through and follows, keys make signals, and the exit status is the shell's.
func TestDebian(t *testing.T) {
	o := theOuterDocker(t)
	debian := built(t, "debian.tar")
	here, there := o.shared(t)
	if err := copyFile(debian, here+"/debian.tar"); err != nil {
		t.Fatal(err)
	}
	d := o.start(t, "-v", o.volume(t)+":/var/lib/docker").ready()
	d.docker("import", there+"/debian.tar", "debian")

	x := openTerminal(t, 30, 100)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := o.Docker(ctx, "exec", "-it", d.name, "docker", "run", "-it", "--rm", "--hostname", "guest", "-e", "TERM=dumb", "debian", "bash")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.tty, x.tty, x.tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // for the ways out before the end below; ctx bounds it

	const prompt = "root@guest:/# "
	x.waitsFor(prompt, 1)
	x.types("stty size\r")
	x.waitsFor("\n30 100\r", 1)
	x.types("tty; id -un; . /etc/os-release; echo $ID; dpkg -s apt | grep ^Status\r")
	x.waitsFor("\n/dev/pts/0\r\nroot\r\ndebian\r\nStatus: install ok installed\r", 1)
	x.resize(44, 120)
	// The size passes through two clients and two daemons, behind the shell's back.
	eventually(t, "the container's terminal has the new size", func() bool {
		x.types("stty size\r")
		seen := strings.Count(x.shown(), prompt)
		for end := time.Now().Add(5 * time.Second); strings.Count(x.shown(), prompt) <= seen && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		return strings.Contains(x.shown(), "\n44 120\r")
	})
	// Ctrl-C ends what is in the foreground, and not the shell.
	x.types("echo be'gin'; sleep 1000\r")
	x.waitsFor("\nbegin\r", 1)
	x.types("\x03")
	x.waitsFor("^C", 1)
	x.types("echo interrupted $?\r")
	x.waitsFor("\ninterrupted 130\r", 1)
	x.types("exit 43\r")
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 43 {
		t.Errorf("the shell exits with 43, and docker run with %v; on the screen is\n%q", err, x.shown())
	}
	if got := d.docker("ps", "-aq"); got != "" {
		t.Errorf("the container is still there: %s", got)
	}
}
