// Command driver stands in the daemon's place in a virtual machine: the launcher becomes it as PID 1. It tells what the
// machine looks like now, starts the real dockerd with the arguments that it was given, runs a container, and turns the
// machine off. Nobody else in that machine could: it has no shell, and no network.
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	say("pid", fmt.Sprint(os.Getpid()))
	for _, name := range []string{"/proc/self/mountinfo", "/proc/modules", "/sys/fs/cgroup/cgroup.subtree_control"} {
		data, err := os.ReadFile(name)
		if err != nil {
			say("error", err.Error())
		}
		for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			say(name, line)
		}
	}
	for _, pattern := range os.Args[1:] {
		say("arg", pattern)
	}
	if err := docker(os.Args[1:]); err != nil {
		say("error", err.Error())
	}
	say("end", "of what the driver does")
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		say("error", err.Error())
	}
}

func say(what, text string) { fmt.Printf("DRIVER %s: %s\n", what, text) }

// docker starts the daemon and runs a container that reads its own memory limit.
func docker(args []string) error {
	daemon := exec.Command("/usr/bin/dockerd", args...)
	var log bytes.Buffer
	daemon.Stdout, daemon.Stderr = &log, &log
	// / is still the kernel's initramfs, on which pivot_root(2) does not work; runc has another way for that.
	daemon.Env = append(os.Environ(), "DOCKER_RAMDISK=true")
	if err := daemon.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	for deadline := time.After(3 * time.Minute); exec.Command("/usr/bin/docker", "version").Run() != nil; {
		select {
		case err := <-ended:
			return fmt.Errorf("dockerd ended: %w\n%s", err, log.String())
		case <-deadline:
			return fmt.Errorf("dockerd does not answer") // its log is being written
		case <-time.After(200 * time.Millisecond):
		}
	}
	image, err := archive("/probe")
	if err != nil {
		return err
	}
	load := exec.Command("/usr/bin/docker", "import", "--change", `ENTRYPOINT ["/probe"]`, "-", "probe")
	load.Stdin = image
	for _, cmd := range []*exec.Cmd{
		load,
		exec.Command("/usr/bin/docker", "info", "--format", "cgroup v{{.CgroupVersion}} {{.CgroupDriver}} {{.Driver}}"),
		exec.Command("/usr/bin/docker", "run", "--rm", "--memory", "33554432", "probe", "first",
			"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
	} {
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		say(cmd.Args[1], strings.TrimSpace(string(out)))
		if err != nil {
			return fmt.Errorf("%v: %w %s", cmd.Args, err, complaints.String())
		}
	}
	return nil
}

// archive packs a program for docker import.
func archive(path string) (*bytes.Buffer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	return &b, w.Close()
}
