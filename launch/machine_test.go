package launch_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// TestMachine boots a kernel straight into the launcher, uses its Docker from outside over TLS, turns the machine off by its
// power button, and finds everything there again at the next boot.
func TestMachine(t *testing.T) {
	t.Parallel()
	disk := blankDisk(t)
	a := boot(t, "6.12", disk, "dockerlaunch.format=blank", "dockerlaunch.formt=typo")
	a.importProbe(t)

	t.Run("cgroup v2, overlay2, a data disk, and a root for pivot_root", func(t *testing.T) {
		if got := a.docker(t, "info", "--format", "{{.CgroupVersion}} {{.CgroupDriver}} {{.Driver}} {{.DockerRootDir}}"); got != "2 cgroupfs overlay2 /var/lib/docker" {
			t.Errorf("docker info says %s", got)
		}
		mounts := a.docker(t, "run", "--rm", "--pid=host", "--privileged", "probe", "cat", "/proc/1/mountinfo")
		if !strings.Contains(mounts, " /var/lib/docker rw") || !strings.Contains(mounts, " - ext4 /dev/vda") {
			t.Errorf("the data-root is not on the disk:\n%s", mounts)
		}
		if env := a.docker(t, "run", "--rm", "--pid=host", "--privileged", "probe", "cat", "/proc/1/environ"); strings.Contains(env, "DOCKER_RAMDISK") {
			t.Error("DOCKER_RAMDISK is set")
		}
	})
	t.Run("name servers by DHCP", func(t *testing.T) {
		eventually(t, "name server", func() bool {
			conf := a.docker(t, "run", "--rm", "--pid=host", "--privileged", "probe", "cat", "/proc/1/root/etc/resolv.conf")
			return strings.Contains(conf, "nameserver 10.0.2.3")
		})
	})
	t.Run("memory limit", func(t *testing.T) {
		if got := a.docker(t, "run", "--rm", "--memory", "33554432", "probe", "cat", "/sys/fs/cgroup/memory.max"); got != "33554432" {
			t.Errorf("inside the container the limit is %s", got)
		}
	})
	t.Run("published port", func(t *testing.T) {
		a.docker(t, "run", "-d", "--name", "web", "--restart", "always", "-p", "8080:80", "probe", "serve", ":80", "hello from the machine")
		a.hears(t, 8080, "hello from the machine")
	})
	t.Run("docker in docker", func(t *testing.T) { a.dockerInDocker(t) })
	t.Run("a misspelt option is told with the right one", func(t *testing.T) {
		if !strings.Contains(a.Console(), "there is no option formt, and it is left out; the nearest is format") {
			t.Errorf("the console does not say so:\n%s", a.Console())
		}
	})
	t.Run("a daemon that is killed comes back", func(t *testing.T) { a.killDaemon(t, 2) })
	a.docker(t, "run", "-d", "--name", "writer", "-v", "words:/words", "probe", "last", "/words/file", "last words")
	if err := a.PowerButton(); err != nil {
		t.Fatal(err)
	}
	a.off(t)
	if !strings.Contains(a.Console(), "going down: power off") {
		t.Errorf("the console does not say that the machine goes:\n%s", a.Console())
	}
	clean(t, disk)

	a = boot(t, "6.12", disk)
	t.Run("after the power button", func(t *testing.T) {
		if got := a.docker(t, "run", "--rm", "-v", "words:/words", "probe", "cat", "/words/file"); got != "last words" {
			t.Errorf("the container's last words are %q", got)
		}
		a.hears(t, 8080, "hello from the machine")
	})
	if err := a.CtrlAltDel(); err != nil {
		t.Fatal(err)
	}
	a.off(t)
	if !strings.Contains(a.Console(), "going down: reboot") {
		t.Errorf("the console does not say that the machine reboots:\n%s", a.Console())
	}
	clean(t, disk)
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

// TestMachineOldKernel boots another kernel, with cgroup v1, and ends it by SIGTERM to PID 1.
func TestMachineOldKernel(t *testing.T) {
	t.Parallel()
	disk := blankDisk(t)
	a := boot(t, "6.1", disk, "dockerlaunch.cgroup=v1", "dockerlaunch.format=blank")
	a.importProbe(t)
	if got := a.docker(t, "info", "--format", "{{.CgroupVersion}} {{.Driver}}"); got != "1 overlay2" {
		t.Errorf("docker info says %s", got)
	}
	if got := a.docker(t, "run", "--rm", "--memory", "33554432", "probe", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"); got != "33554432" {
		t.Errorf("inside the container the limit is %s", got)
	}
	a.docker(t, "run", "-d", "--name", "writer", "-v", "words:/words", "probe", "last", "/words/file", "last words")
	// The client loses its daemon while it waits.
	if out, err := a.try(nil, "run", "--rm", "--privileged", "--pid=host", "probe", "kill", "15", "init"); err == nil {
		t.Logf("killed: %s", out)
	}
	a.off(t)
	if !strings.Contains(a.Console(), "going down: reboot") {
		t.Errorf("the console does not say that the machine reboots:\n%s", a.Console())
	}
	clean(t, disk)
	if got := onDisk(t, disk, "/volumes/words/_data/file"); got != "last words\n" {
		t.Errorf("the container's last words are %q", got)
	}
}

// TestMachineThatPanics: a mistake in a goroutine of the launcher ends in a message and a reboot, and never in the kernel's
// own panic. Before that, a machine without a disk has said loudly what that means.
func TestMachineThatPanics(t *testing.T) {
	t.Parallel()
	// A word that a boot loader adds and a flag that is wrong are no reason to stop.
	a := powerOn(t, "6.12", "", "dockerlaunch.panic-after=1s", "splash", "--", "--cgroup=v3")
	a.off(t)
	for _, want := range []string{`knows the word "splash"`, "argument --cgroup=v3", "images, containers and volumes are lost when this machine stops", "asked for by the option panic-after", "please report it", "reboot"} {
		if !strings.Contains(a.Console(), want) {
			t.Errorf("the console does not say %q:\n%s", want, a.Console())
		}
	}
}

// TestMachineCertificate: a fresh machine's certificate is for the address that it gets by DHCP, beside the start.
func TestMachineCertificate(t *testing.T) {
	t.Parallel()
	a := powerOn(t, "6.12", "", "DOCKER_TLS_CERTDIR=/run/certs")
	if _, err := a.WaitFor(`is ready, ([0-9a-z.]+) after the launcher`, readyLimit); err != nil {
		t.Fatalf("%v\n%s", err, a.Console())
	}
	address, err := a.Forwarded(2376)
	if err != nil {
		t.Fatal(err)
	}
	var ips []net.IP
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: powerLimit}, "tcp", address, &tls.Config{
		InsecureSkipVerify: true, // nobody has given the test this machine's authority
		VerifyConnection:   func(state tls.ConnectionState) error { ips = state.PeerCertificates[0].IPAddresses; return nil },
	})
	if err == nil {
		err = conn.Close()
	}
	if !slices.ContainsFunc(ips, func(ip net.IP) bool { return ip.Equal(net.IPv4(10, 0, 2, 15)) }) {
		t.Errorf("the certificate is for %v (%v)\n%s", ips, err, a.Console())
	}
	if err := a.PowerButton(); err != nil {
		t.Fatal(err)
	}
	a.off(t)
}

// TestMachineAskedInBoot: a machine that is asked to power off while it checks its disk does so, and does not start Docker before.
func TestMachineAskedInBoot(t *testing.T) {
	t.Parallel()
	disk := blankDisk(t)
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	if out, err := exec.Command(mkfs, "-q", "-L", "docker-data", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a := powerOnWith(t, "6.12", disk, []vm.File{{Path: "/usr/sbin/e2fsck", From: program(t, "testdata/slowfsck"), Mode: 0o755}})
	a.off(t)
	if !strings.Contains(a.Console(), "going down: power off") {
		t.Errorf("the console does not say that the machine goes:\n%s", a.Console())
	}
	for _, late := range []string{"starting /", "cannot go on"} {
		if strings.Contains(a.Console(), late) {
			t.Errorf("the console says %q:\n%s", late, a.Console())
		}
	}
	clean(t, disk)
}

// TestMachineThatCannotGoOn: a machine whose root is missing stays as panic=0 has it, and the power button turns it off.
func TestMachineThatCannotGoOn(t *testing.T) {
	t.Parallel()
	a := powerOn(t, "6.12", "", "root=LABEL=nowhere", "rootwait=1", "panic=0")
	if _, err := a.WaitFor("this machine stays as it is", powerLimit); err != nil {
		t.Fatalf("%v\n%s", err, a.Console())
	}
	if err := a.PowerButton(); err != nil {
		t.Fatal(err)
	}
	a.off(t)
	if !strings.Contains(a.Console(), "power off now") {
		t.Errorf("the console does not say that it is turned off:\n%s", a.Console())
	}
}
