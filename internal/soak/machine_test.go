package soak_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/dockerlaunch/dockerlaunch/internal/hostcerts"
	"github.com/dockerlaunch/dockerlaunch/internal/powercut"
	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"github.com/dockerlaunch/dockerlaunch/internal/vm"
)

const (
	// readyLimit bounds the time from power on to a daemon that answers, under emulation on a busy machine.
	readyLimit   = 4 * time.Minute
	answerLimit  = 2 * time.Minute
	machineLimit = 10 * time.Minute
	diskSize     = 2 << 30
	apiPort      = 2376
	recorderPort = 8080
)

// host has what all machines of a test are made of.
type host struct {
	kernel   vm.Kernel
	launcher string
	root     string // the image of their root
	data     string // the image of their data disk
	certs    string
	recorder []byte
}

// prepare makes the images. The root is that of build/initramfs.img, with what only Docker's clients need left out, on a disk
// that the machines cannot write to: a kernel that needs not unpack it is up ten seconds sooner.
func prepare(t *testing.T) *host {
	t.Helper()
	archive, err := filepath.Abs("../../build/initramfs.img")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(archive); err != nil {
		testenv.Missing(t, "there is no initramfs (make initramfs): "+err.Error())
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		testenv.Missing(t, err.Error())
	}
	dir := t.TempDir()
	h := &host{
		kernel: vm.KernelNamed(t, "6.12"), launcher: vm.GoBuild(t, "./cmd/dockerlaunch", "build"),
		root: filepath.Join(dir, "root.img"), data: filepath.Join(dir, "data.img"), certs: filepath.Join(dir, "certs"),
	}
	if h.recorder, err = os.ReadFile(vm.GoBuild(t, "./internal/soak/recorder", "build", "-ldflags=-s -w")); err != nil {
		t.Fatal(err)
	}
	if _, err := hostcerts.Ensure(h.certs, []string{"127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tree")
	if err := h.makeTree(archive, tree); err != nil {
		t.Fatalf("making the root: %v", err)
	}
	if err := errors.Join(os.WriteFile(h.data, nil, 0o600), os.Truncate(h.data, diskSize)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, "-q", "-O", "^has_journal", "-L", "soak-root", "-d", tree, h.root, "600M").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	return h
}

// makeTree unpacks the root, and adds what these machines have of their own. Their containers use the machine's network: a
// daemon that makes no bridge and no rules is ready sooner, and none of that is about disks.
func (h *host) makeTree(archive, tree string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return err
	}
	defer z.Close()
	plain, err := os.Create(tree + ".cpio") // its reader wants to seek
	if err != nil {
		return err
	}
	defer os.Remove(plain.Name())
	defer plain.Close()
	if _, err := io.Copy(plain, z); err != nil {
		return err
	}
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if err := cpio.ForEachRecord(cpio.Newc.Reader(plain), func(r cpio.Record) error { return unpack(r, tree) }); err != nil {
		return err
	}
	for _, f := range []struct {
		path, from, data string
		mode             os.FileMode
	}{
		{path: "usr/bin/dockerlaunch", from: h.launcher, mode: 0o755},
		{path: "certs/ca/cert.pem", from: filepath.Join(h.certs, "ca", "cert.pem"), mode: 0o644},
		{path: "certs/server/ca.pem", from: filepath.Join(h.certs, "server", "ca.pem"), mode: 0o644},
		{path: "certs/server/cert.pem", from: filepath.Join(h.certs, "server", "cert.pem"), mode: 0o644},
		{path: "certs/server/key.pem", from: filepath.Join(h.certs, "server", "key.pem"), mode: 0o600},
		{path: "etc/docker/daemon.json", data: `{"iptables": false, "ip6tables": false, "bridge": "none", "ip-forward": false}`, mode: 0o644},
		{path: "var/lib/docker/.keep", mode: 0o644},
	} {
		data := []byte(f.data)
		if f.from != "" {
			if data, err = os.ReadFile(f.from); err != nil {
				return err
			}
		}
		name := filepath.Join(tree, f.path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, f.mode)); err != nil {
			return err
		}
	}
	return nil
}

func unpack(r cpio.Record, tree string) error {
	switch r.Name {
	case "usr/bin/docker", "usr/bin/git", "usr/bin/ssh", "usr/lib/git-core":
		return nil
	}
	name := filepath.Join(tree, r.Name)
	switch {
	case r.Mode&cpio.S_IFMT == cpio.S_IFDIR:
		return os.MkdirAll(name, 0o755)
	case strings.HasPrefix(r.Name, "usr/lib/git-core/"), strings.HasPrefix(r.Name, "dev/"):
		return nil
	}
	data, err := io.ReadAll(io.NewSectionReader(r.ReaderAt, 0, int64(r.FileSize)))
	if err != nil {
		return err
	}
	switch r.Mode & cpio.S_IFMT {
	case cpio.S_IFLNK:
		return os.Symlink(string(data), name)
	case cpio.S_IFREG:
		return os.WriteFile(name, data, os.FileMode(r.Mode&0o777))
	}
	return fmt.Errorf("%s is neither folder nor file nor link", r.Name)
}

// machine is a machine with a disk whose power can be cut.
type machine struct {
	*vm.Machine
	host *host
	disk *powercut.Disk
	on   time.Time
}

// powerOn starts a machine.
func (h *host) powerOn(t *testing.T, words ...string) *machine {
	t.Helper()
	disk, err := powercut.Open(h.data)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "disk") // t.TempDir's names are longer than a socket's path may be
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go disk.Serve(l)
	t.Cleanup(func() {
		disk.Off()
		if err := errors.Join(l.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	m := &machine{host: h, disk: disk, on: time.Now()}
	m.Machine = vm.Start(t, vm.Options{
		Kernel: h.kernel, Memory: 1024, Limit: machineLimit, Init: h.launcher,
		// What mounts the root; the rest is on it.
		Trees: []vm.Tree{h.kernel.ModulesTree(func(rel string) bool {
			return strings.HasPrefix(rel, "modules.") || strings.HasSuffix(path.Dir(rel), "/virtio") || strings.Contains(rel, "/virtio_blk") || strings.Contains(rel, "/ext4/")
		})},
		NICs: []string{"virtio-net-pci"}, Forward: []int{apiPort, recorderPort},
		Drives:  []vm.Drive{{Image: h.root, Bus: "virtio", ReadOnly: true}, {Server: socket, Bus: "virtio"}},
		Cmdline: append([]string{"loglevel=7", "root=LABEL=soak-root", "DOCKER_TLS_CERTDIR=/certs"}, words...),
		Args:    []string{"-machine", "sata=off"},
	})
	return m
}

// errTimer tells that the emulation has failed, and not what runs in it.
var errTimer = errors.New("a processor of the machine gets no timer interrupts any more")

// shows waits until the console shows a match of the pattern. Its error is errTimer where the kernel says that a timer that has
// run out does nothing; QEMU's software emulation comes to that now and then on a host with much else to do.
func (m *machine) shows(t *testing.T, pattern string) error {
	t.Helper()
	const stall = `kthread timer wakeup didn't happen`
	seen, err := m.WaitFor(pattern+"|"+stall, readyLimit)
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Console())
	}
	if seen[0] == stall {
		return errTimer
	}
	return nil
}

// ready waits until the machine's Docker answers outside of it.
func (m *machine) ready(t *testing.T) (*engine, error) {
	t.Helper()
	if err := m.shows(t, `API listen on \S+:2376`); err != nil {
		return nil, err
	}
	address, err := m.Forwarded(apiPort)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(address, m.host.certs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.client.CloseIdleConnections)
	deadline := time.Now().Add(answerLimit)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var info struct{ Driver string }
		err := e.ask(ctx, "GET", "/info", nil, nil, &info)
		cancel()
		if err == nil {
			if info.Driver != "overlay2" {
				t.Errorf("the storage driver is %s", info.Driver)
			}
			return e, nil
		}
		if time.Now().After(deadline) {
			t.Fatalf("Docker does not answer outside of the machine: %v\n%s", err, m.Console())
		}
		time.Sleep(200 * time.Millisecond)
	}
}
