package vm

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"
)

// monitorLimit bounds the wait for QEMU to open its monitor, on a busy host.
const monitorLimit = 30 * time.Second

// Forwarded gives the address on the host, "127.0.0.1:PORT", at which a TCP port of the machine is reached. Something answers
// there as soon as QEMU runs; whether the machine listens shows when the connection is used.
func (m *Machine) Forwarded(port int) (string, error) {
	deadline := time.Now().Add(monitorLimit)
	for {
		text, err := m.Monitor("info usernet")
		if err == nil {
			return forwardedIn(text, port)
		}
		select {
		case <-m.done:
			return "", fmt.Errorf("port %d of the machine: %w", port, err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("port %d of the machine: %w", port, err)
		}
	}
}

// forwardedIn finds the rule of a port in what the monitor says: "TCP[HOST_FORWARD] FD SOURCE PORT DESTINATION PORT …".
func forwardedIn(text string, port int) (string, error) {
	rule := regexp.MustCompile(`TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+\S+\s+` + strconv.Itoa(port) + `\s`)
	match := rule.FindStringSubmatch(text)
	if match == nil {
		return "", fmt.Errorf("port %d of the machine is not forwarded:\n%s", port, text)
	}
	return net.JoinHostPort(match[1], match[2]), nil
}

// PowerButton presses the machine's power button.
func (m *Machine) PowerButton() error {
	_, err := m.Monitor("system_powerdown")
	return err
}

// CtrlAltDel presses these keys on the machine's keyboard.
func (m *Machine) CtrlAltDel() error {
	_, err := m.Monitor("sendkey ctrl-alt-delete")
	return err
}

// Cut takes the machine's power away, from one moment to the next, and returns when QEMU is gone. What the machine has
// flushed to a disk is in its image; what it has written and not flushed may be.
func (m *Machine) Cut() error {
	// An error tells that it has ended already.
	_ = m.cmd.Process.Kill()
	select {
	case <-m.done:
		return nil
	case <-time.After(monitorLimit):
		return fmt.Errorf("QEMU is still there %v after it was killed", monitorLimit)
	}
}
