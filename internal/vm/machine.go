package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
)

// Machine is a running virtual machine. It ends with the test that started it.
type Machine struct {
	cmd     *exec.Cmd
	dir     string // sockets
	console *consoleBuffer
	done    chan struct{} // closed when QEMU has ended
	err     error         // of QEMU, once done is closed
}

// Start boots a machine. The test is skipped, or fails under CI, where QEMU is missing.
func Start(t testing.TB, o Options) *Machine {
	t.Helper()
	m, _ := start(t, o, false)
	return m
}

// start boots the machine; with report, the second serial port is connected to the listener that is returned.
func start(t testing.TB, o Options, report bool) (*Machine, net.Listener) {
	t.Helper()
	tools, err := Find()
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	if o.Init+o.Initramfs != "" && (len(o.Commands) > 0 || len(o.Mount) > 0) {
		t.Fatal("vm.Options: Commands and Mount are for the harness's init, and Init or Initramfs replaces it")
	}
	if o.Init != "" && o.Initramfs != "" {
		t.Fatal("vm.Options: Initramfs has an init of its own, and Init would replace it")
	}
	if len(o.Forward) > 0 && len(o.NICs) == 0 {
		t.Fatal("vm.Options: Forward needs a network card")
	}
	// t.TempDir's names are longer than a socket's path may be.
	dir, err := os.MkdirTemp("", "vm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("cleaning up after the machine: %v", err)
		}
	})
	m := &Machine{dir: dir, done: make(chan struct{}), console: newConsoleBuffer()}
	args := append(tools.QEMU[1:len(tools.QEMU):len(tools.QEMU)], o.hardware()...)
	args = append(args,
		"-serial", "stdio",
		"-qmp", "unix:"+filepath.Join(dir, "qmp")+",server=on,wait=off",
		"-kernel", o.Kernel.Image, "-initrd", build(t, &o),
		"-append", strings.Join(append([]string{"console=ttyS0 panic=-1 quiet"}, o.Cmdline...), " "))
	var listener net.Listener
	if report {
		if listener, err = net.Listen("unix", filepath.Join(dir, "report")); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-chardev", "socket,id=report,path="+filepath.Join(dir, "report"), "-serial", "chardev:report")
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.limit())
	m.cmd = exec.CommandContext(ctx, tools.QEMU[0], args...)
	m.cmd.Stdout, m.cmd.Stderr = m.console, m.console
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test binary runs no cleanup
	if err := m.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("starting QEMU: %v", err)
	}
	go func() {
		m.err = m.cmd.Wait()
		if ctx.Err() != nil {
			m.err = fmt.Errorf("the machine ran longer than %v", o.limit())
		}
		cancel()
		m.console.end()
		if listener != nil {
			listener.Close() // nobody else waits on it now
		}
		close(m.done)
	}()
	t.Cleanup(func() {
		cancel() // kills QEMU where it still runs
		<-m.done
		if t.Failed() {
			t.Logf("console of the machine:\n%s", m.Console())
		}
	})
	return m, listener
}

// Wait waits for the machine to turn itself off. Its error tells when QEMU failed or the limit ended it.
func (m *Machine) Wait() error {
	<-m.done
	return m.err
}

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Console is what the machine printed on its first serial port until now.
func (m *Machine) Console() string { return m.console.String() }

// WaitFor waits until the console shows a match of the regular expression, and returns the match with its groups.
func (m *Machine) WaitFor(pattern string, limit time.Duration) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return m.console.waitFor(re, limit)
}

// Monitor gives QEMU's human monitor a command ("system_powerdown", "sendkey ctrl-alt-delete") and returns its answer.
func (m *Machine) Monitor(command string) (string, error) {
	conn, err := net.Dial("unix", filepath.Join(m.dir, "qmp"))
	if err != nil {
		return "", fmt.Errorf("monitor: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	requests := []any{
		map[string]any{"execute": "qmp_capabilities"},
		map[string]any{"execute": "human-monitor-command", "arguments": map[string]any{"command-line": command}},
	}
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	answer := ""
	for _, request := range requests {
		if err := out.Encode(request); err != nil {
			return "", fmt.Errorf("monitor: %s: %w", command, err)
		}
		for {
			var message struct {
				Return json.RawMessage
				Error  *struct{ Desc string }
			}
			if err := in.Decode(&message); err != nil {
				return "", fmt.Errorf("monitor: %s: %w", command, err)
			}
			if message.Error != nil {
				return "", fmt.Errorf("monitor: %s: %s", command, message.Error.Desc)
			}
			if message.Return == nil { // the greeting, or an event
				continue
			}
			if err := json.Unmarshal(message.Return, &answer); err != nil {
				answer = "" // qmp_capabilities answers with an object
			}
			break
		}
	}
	return answer, nil
}

// consoleBuffer collects the console, shows it line by line under go test -v, and wakes those who wait for something in it.
type consoleBuffer struct {
	mu      sync.Mutex
	all     bytes.Buffer
	shown   int
	changed chan struct{} // closed and replaced with every write
	ended   bool
}

func newConsoleBuffer() *consoleBuffer {
	return &consoleBuffer{changed: make(chan struct{})}
}

var _ io.Writer = (*consoleBuffer)(nil)

func (c *consoleBuffer) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Write(p)
	if testing.Verbose() {
		rest := c.all.Bytes()[c.shown:]
		if i := bytes.LastIndexByte(rest, '\n'); i >= 0 {
			show(rest[:i+1])
			c.shown += i + 1
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return len(p), nil
}

func (c *consoleBuffer) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *consoleBuffer) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(c.all.String(), "\r", "")
}

var errEnded = errors.New("the machine ended before the console showed it")

func (c *consoleBuffer) waitFor(re *regexp.Regexp, limit time.Duration) ([]string, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		match := re.FindStringSubmatch(strings.ReplaceAll(c.all.String(), "\r", ""))
		changed, ended := c.changed, c.ended
		c.mu.Unlock()
		switch {
		case match != nil:
			return match, nil
		case ended:
			return nil, fmt.Errorf("waiting for %q: %w", re, errEnded)
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, fmt.Errorf("the console did not show %q within %v", re, limit)
		}
	}
}
