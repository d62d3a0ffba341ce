// Package boot measures a machine from the kernel's start to a Docker that answers, in QEMU's software emulation. Every init
// gets the same kernel and the same initramfs, and the same probe in it tells when Docker answered.
package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/bench/boot/line"
)

// Machine is what is booted.
type Machine struct {
	QEMU      []string // the command, with what it needs to find its files
	Kernel    string   // a bzImage
	Initramfs string   // as Build makes it
}

// Inits of the initramfs, by their paths inside.
const (
	Launcher = "/usr/bin/dockerlaunch"
	Busybox  = "/bench/init.sh"
)

// Times are what a boot took.
type Times struct {
	line.Line
	// Power is the host's time from the start of QEMU.
	Power time.Duration
	// Console is what the machine printed until then.
	Console string
}

// Run boots the machine into an init, with more words for the kernel command line, until Docker answers, and takes its power
// away. The error has the console's last lines.
func (m Machine) Run(ctx context.Context, init string, words ...string) (t Times, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmdline := append([]string{"console=ttyS0", "panic=-1", "quiet", "BENCH_INIT=" + init}, words...)
	args := append(m.QEMU[1:len(m.QEMU):len(m.QEMU)],
		"-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-display", "none", "-no-reboot", "-serial", "stdio", "-device", "virtio-rng-pci",
		"-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net",
		"-kernel", m.Kernel, "-initrd", m.Initramfs, "-append", strings.Join(cmdline, " "))
	cmd := exec.CommandContext(ctx, m.QEMU[0], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Times{}, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return Times{}, fmt.Errorf("starting QEMU: %w", err)
	}
	console, l, err := watch(out)
	t = Times{Line: l, Power: time.Since(begin), Console: strings.ReplaceAll(console, "\r", "")}
	cancel()
	waitErr := cmd.Wait() // which is that it was killed
	if err != nil {
		// A machine that ended by itself says why.
		return Times{}, fmt.Errorf("booting %s: %w; QEMU: %w %s; the last of its console:\n%s",
			init, errors.Join(err, context.Cause(ctx)), waitErr, strings.TrimSpace(complaints.String()), tail(console))
	}
	return t, nil
}

// consoleLimit bounds what is kept of a console.
const consoleLimit = 1 << 20

// watch reads a console up to the probe's line.
func watch(r io.Reader) (console string, l line.Line, err error) {
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if len(all) > consoleLimit {
			all = append([]byte(nil), all[len(all)-consoleLimit/2:]...)
		}
		if n > 0 {
			if l, found, err := line.Find(string(all)); found {
				return string(all), l, err
			}
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the machine ended before Docker answered")
		}
		if err != nil {
			return string(all), line.Line{}, err
		}
	}
}

// tail is the end of a console.
func tail(console string) string {
	const lines = 30
	all := strings.Split(strings.TrimSpace(strings.ReplaceAll(console, "\r", "")), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
