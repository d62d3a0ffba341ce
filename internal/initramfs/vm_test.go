package initramfs

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// What `make vm` does: scripts/vm boots the initramfs that was built, tells how to reach its Docker, and Docker comes up with
// the certificates that were put behind the initramfs.
func TestScript(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"build/initramfs.img", "build/bin/mkimage"} {
		if _, err := os.Stat(filepath.Join(top, name)); errors.Is(err, fs.ErrNotExist) {
			testenv.Missing(t, name+" is not there (make test builds it)")
		}
	}
	vm.KernelNamed(t, "6.12")
	if _, err := vm.Find(); err != nil {
		testenv.Missing(t, err.Error())
	}
	// A unix socket's name is short, and a test's temporary folder has a long one.
	state, err := os.MkdirTemp("", "vm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(state); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command(filepath.Join(top, "scripts/vm"))
	cmd.Env = append(os.Environ(), "VM_KERNEL=6.12", "VM_STATE="+state, "VM_PORT="+freePort(t), "VM_DISK=64M")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // the script becomes QEMU
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Ends a machine that says nothing more.
	watchdog := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	var said strings.Builder
	up := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "dockerd is ready") {
			up = true
			quit(t, filepath.Join(state, "monitor"))
		}
	}
	if err := cmd.Wait(); err != nil || !up {
		t.Errorf("the machine was up: %v; scripts/vm: %v\n%s", up, err, said.String())
	}
	for _, want := range []string{"DOCKER_HOST=tcp://127.0.0.1:", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + state + "/certs/client"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it did not say %q", want)
		}
	}
	for name, mode := range map[string]fs.FileMode{"initrd.img": 0o600, "data.img": 0o600, "certs/client/key.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(state, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// quit ends QEMU through its monitor, as a person can.
func quit(t *testing.T, socket string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Errorf("the monitor: %v", err)
		return
	}
	defer c.Close()
	if _, err := io.WriteString(c, "quit\n"); err != nil {
		t.Errorf("the monitor: %v", err)
	}
	_, _ = io.Copy(io.Discard, c) // until QEMU closes it
}
