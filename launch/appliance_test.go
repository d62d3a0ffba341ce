package launch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/hostcerts"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

// appliance is a machine that the kernel boots straight into the launcher, as `make vm` starts it, and a client outside of it.
type appliance struct {
	*vm.Machine
	host  string // where its Docker is reached
	certs string // with client/
}

const (
	// readyLimit bounds the time from power on to a daemon that answers, under emulation on a busy machine.
	readyLimit = 4 * time.Minute
	powerLimit = 2 * time.Minute
	// commandLimit bounds each command, of which the longest loads an image of 80 MB.
	commandLimit = 5 * time.Minute
)

// boot starts a machine with the launcher under test and waits for its Docker.
func boot(t *testing.T, kernel, disk string, words ...string) *appliance {
	t.Helper()
	a := powerOn(t, kernel, disk, words...)
	a.ready(t)
	return a
}

// powerOn starts a machine.
func powerOn(t *testing.T, kernel, disk string, words ...string) *appliance {
	t.Helper()
	return powerOnWith(t, kernel, disk, nil, words...)
}

// powerOnWith starts a machine with more files than it has.
func powerOnWith(t *testing.T, kernel, disk string, files []vm.File, words ...string) *appliance {
	t.Helper()
	image, err := filepath.Abs("../build/initramfs.img")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(image); err != nil {
		testenv.Missing(t, "there is no initramfs (make initramfs): "+err.Error())
	}
	k := vm.KernelNamed(t, kernel)
	a := &appliance{certs: t.TempDir()}
	if _, err := hostcerts.Ensure(a.certs, []string{"127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	o := vm.Options{
		Kernel: k, Memory: 2000, Limit: 15 * time.Minute, Initramfs: image,
		Files: []vm.File{{Path: "/usr/bin/dockerlaunch", From: launcher(t), Mode: 0o755}},
		Trees: []vm.Tree{{Path: "/certs/server", From: filepath.Join(a.certs, "server")}},
		NICs:  []string{"virtio-net-pci"}, Forward: []int{2376, 8080, innerPort},
		Outside: true, // or QEMU's DHCP names neither a gateway nor a name server
		Cmdline: append([]string{"DOCKER_TLS_CERTDIR=/certs"}, words...),
	}
	o.Files = append(o.Files, files...)
	o.Files = append(o.Files, vm.File{Path: "/certs/ca/cert.pem", From: filepath.Join(a.certs, "ca", "cert.pem")})
	if kernel != "6.12" { // whose modules the initramfs has
		o.Trees = append(o.Trees, vm.Tree{Path: "/usr/lib/modules/" + k.Release, From: k.Modules})
	}
	if disk != "" {
		o.Drives = []vm.Drive{{Image: disk, Bus: "virtio"}}
	}
	a.Machine = vm.Start(t, o)
	return a
}

// ready waits until Docker answers outside of the machine.
func (a *appliance) ready(t *testing.T) {
	t.Helper()
	begin := time.Now()
	if _, err := a.WaitFor(`is ready, ([0-9a-z.]+) after the launcher`, readyLimit); err != nil {
		t.Fatalf("%v\n%s", err, a.Console())
	}
	address, err := a.Forwarded(2376)
	if err != nil {
		t.Fatal(err)
	}
	a.host = "tcp://" + address
	for deadline := time.Now().Add(powerLimit); ; time.Sleep(200 * time.Millisecond) {
		out, err := a.try(nil, "version", "--format", "{{.Server.Version}}")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Docker does not answer outside of the machine: %v\n%s\n%s", err, out, a.Console())
		}
	}
	t.Logf("Docker answered outside of the machine %v after power on", time.Since(begin).Round(time.Millisecond))
}

// try runs the root tree's docker client here, with the client's certificate.
func (a *appliance) try(stdin io.Reader, args ...string) (string, error) {
	tree, err := filepath.Abs("../build/rootfs")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(tree, "lib64/ld-linux-x86-64.so.2"),
		append([]string{"--library-path", filepath.Join(tree, "usr/lib/x86_64-linux-gnu"), filepath.Join(tree, "usr/bin/docker")}, args...)...)
	cmd.Env = []string{"DOCKER_HOST=" + a.host, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + filepath.Join(a.certs, "client"), "HOME=" + a.certs}
	cmd.Stdin = stdin
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, complaints.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (a *appliance) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := a.try(nil, args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (a *appliance) importProbe(t *testing.T) {
	t.Helper()
	archive, err := tarOf("probe", program(t, "testdata/probe"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := a.try(archive, "import", "--change", `ENTRYPOINT ["/probe"]`, "-", "probe"); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
}

// off waits for the end of a machine that was asked to go, and holds it to a way out in which the kernel did not panic.
func (a *appliance) off(t *testing.T) {
	t.Helper()
	select {
	case <-a.Done():
	case <-time.After(powerLimit):
		t.Fatalf("the machine does not go down:\n%s", a.Console())
	}
	if err := a.Wait(); err != nil {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"Attempted to kill init", "Kernel panic"} {
		if strings.Contains(a.Console(), bad) {
			t.Errorf("the console says %q:\n%s", bad, a.Console())
		}
	}
}

// clean looks with fsck whether the disk was left clean.
func clean(t *testing.T, disk string) {
	t.Helper()
	fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	out, err := exec.Command(fsck, "-fn", disk).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("recovering journal")) {
		t.Errorf("the disk was not left clean: %v\n%s", err, out)
	}
}

// onDisk is what a file of a disk holds, seen from outside.
func onDisk(t *testing.T, disk, file string) string {
	t.Helper()
	debugfs, err := exec.LookPath("debugfs")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	out, err := exec.Command(debugfs, "-R", "cat "+file, disk).Output()
	if err != nil {
		t.Errorf("debugfs: %v", err)
	}
	return string(out)
}

// blankDisk is a disk that nobody has written to.
func blankDisk(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4<<30); err != nil {
		t.Fatal(err)
	}
	return path
}

// hears waits until the published port says what it should.
func (a *appliance) hears(t *testing.T, port int, want string) {
	t.Helper()
	address, err := a.Forwarded(port)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	eventually(t, "answer from the published port", func() bool {
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return false
		}
		data, err := io.ReadAll(c)
		got = strings.TrimSpace(string(data))
		return err == nil && got == want
	})
}

// killDaemon kills dockerd with signal 9 several times, and sees it back each time, later and later.
func (a *appliance) killDaemon(t *testing.T, times int) {
	t.Helper()
	for i := range times {
		out, err := a.try(nil, "run", "--rm", "--privileged", "--pid=host", "probe", "kill", "9", "dockerd")
		t.Logf("kill %d: %q, %v", i+1, out, err) // the client loses its daemon while it waits
		if _, err := a.WaitFor(fmt.Sprintf(`(?s)(starting it again in.*){%d}`, i+1), powerLimit); err != nil {
			t.Fatalf("%v\n%s", err, a.Console())
		}
		eventually(t, "daemon", func() bool { _, err := a.try(nil, "version"); return err == nil })
	}
	for i := range times {
		pause := time.Duration(500<<i) * time.Millisecond
		if !strings.Contains(a.Console(), "starting it again in "+pause.String()) {
			t.Errorf("the console does not tell of the pause of %v:\n%s", pause, a.Console())
		}
	}
	got, err := strconv.Atoi(a.docker(t, "run", "--rm", "--pid=host", "probe", "zombies"))
	if err != nil || got != 0 {
		t.Errorf("there are %d zombies, %v", got, err)
	}
	a.hears(t, 8080, "hello from the machine") // restart=always
}
