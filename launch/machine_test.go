package launch_test

import (
	"crypto/tls"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

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
	t.Run("iptables-legacy, with modules of its own", func(t *testing.T) {
		report := a.docker(t, "run", "--rm", "-v", "/run/dockerlaunch:/launcher:ro", "probe", "cat", "/launcher/report.json")
		if !strings.Contains(report, `"legacy: nothing in this network namespace`) {
			t.Errorf("the report does not say so:\n%s", report)
		}
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
