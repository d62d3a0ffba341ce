// Package network prepares the network namespace that the daemon starts in.
package network

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Loopback brings lo up: a fresh network namespace has it down, and then nothing on 127.0.0.1 answers, docker-proxy and
// containers' health checks among it.
type Loopback struct{}

// String tells what Apply does.
func (Loopback) String() string { return "bring up lo" }

// Apply brings lo up (netdevice(7)); the kernel then gives it 127.0.0.1 and ::1 by itself.
func (Loopback) Apply(context.Context) (kept bool, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("making a socket to bring up lo: %w", err)
	}
	defer unix.Close(fd) // what was asked for is done by then
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return false, fmt.Errorf("finding lo: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return false, fmt.Errorf("finding lo: %w", err)
	}
	if lo.Uint16()&unix.IFF_UP != 0 {
		return true, nil
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return false, fmt.Errorf("bringing up lo: %w", err)
	}
	return false, nil
}

// Forwarding turns IPv4 forwarding on.
type Forwarding struct{}

const forwardFile = "/proc/sys/net/ipv4/ip_forward"

// String tells what Apply does.
func (Forwarding) String() string { return "write 1 to " + forwardFile }

// Apply writes the sysctl.
func (Forwarding) Apply(context.Context) (kept bool, err error) {
	data, err := os.ReadFile(forwardFile)
	if err != nil {
		return false, err
	}
	if strings.TrimSpace(string(data)) == "1" {
		return true, nil
	}
	return false, os.WriteFile(forwardFile, []byte("1"), 0)
}
