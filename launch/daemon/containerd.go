package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Containerd is a containerd that is started for one dockerd, in place of the one that dockerd would start itself: with
// the same folders and the same socket, so that images and containers are the same whoever starts it. It is up while
// dockerd still reads its own program, and a dockerd that is told of it with --containerd neither waits for it at start
// nor a second at its end (moby's libcontainerd/supervisor/remote_daemon.go).
type Containerd struct {
	// Program is containerd's path.
	Program string `json:"program"`
	// Root holds what lasts, State what does not.
	Root  string `json:"root"`
	State string `json:"state"`
	// Address is the path of the socket that dockerd is given.
	Address string `json:"address"`
	// ConfigFile is where the configuration is written, PIDFile the process ID.
	ConfigFile string `json:"config_file"`
	PIDFile    string `json:"pid_file"`
	// LogLevel is "debug", "info", "warn" or any other that dockerd has; LogFormat "json", or "" for text.
	LogLevel  string `json:"log_level"`
	LogFormat string `json:"log_format,omitempty"`
	// CRI asks for the Kubernetes interface: dockerd's --cri-containerd.
	CRI bool `json:"cri,omitempty"`
}

// ManagedContainerd returns the containerd for a dockerd.
func (e Effective) ManagedContainerd(program string) Containerd {
	dir := filepath.Join(e.ExecRoot(), "containerd")
	c := Containerd{
		Program: program,
		Root:    filepath.Join(e.DataRoot(), "containerd", "daemon"), State: filepath.Join(dir, "daemon"),
		Address: filepath.Join(dir, "containerd.sock"), ConfigFile: filepath.Join(dir, "containerd.toml"), PIDFile: filepath.Join(dir, "containerd.pid"),
		// At info containerd names each of its plug-ins, fifty lines at every start.
		LogLevel: e.value("log-level", "warn"), LogFormat: e.value("log-format", ""),
		CRI: e.bool("cri-containerd", false),
	}
	if e.Debug() {
		c.LogLevel = "debug"
	}
	return c
}

// disabledPlugins are containerd's parts that are not started: a snapshotter for a filesystem that no kernel of today has, for which
// containerd would run modprobe, and as dockerd has it the Kubernetes interface, where nobody asks for it.
func (c Containerd) disabledPlugins() string {
	const aufs = `"io.containerd.snapshotter.v1.aufs"`
	if c.CRI {
		return aufs
	}
	return `"io.containerd.grpc.v1.cri", ` + aufs
}

// Config is containerd's configuration, in the form that 1.x and 2.x read (containerd-config.toml(5)).
func (c Containerd) Config() string {
	text := "# Written by dockerlaunch at each start.\nversion = 2\nroot = " + tomlString(c.Root) + "\nstate = " + tomlString(c.State) +
		"\ndisabled_plugins = [" + c.disabledPlugins() + "]\n\n[grpc]\n  address = " + tomlString(c.Address) +
		// The message sizes are dockerd's (defaults.DefaultMaxRecvMsgSize in containerd).
		"\n  max_recv_message_size = 16777216\n  max_send_message_size = 16777216\n\n[debug]\n  level = " + tomlString(c.LogLevel) + "\n"
	if c.LogFormat != "" {
		text += "  format = " + tomlString(c.LogFormat) + "\n"
	}
	return text
}

// tomlString writes a basic string of TOML.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Args are containerd's arguments.
func (c Containerd) Args() []string { return []string{"--config", c.ConfigFile} }

// String tells what Apply does.
func (c Containerd) String() string { return "write " + c.ConfigFile }

// Apply makes the folder of the socket, writes the configuration, and removes what an earlier run left behind. dockerd waits
// for a socket that is not there in steps of 10 ms, but for one that refuses it a second (ContextDialer in containerd's
// pkg/dialer, and gRPC's back-off).
func (c Containerd) Apply(context.Context) (kept bool, err error) {
	// The mode is dockerd's own.
	if err := os.MkdirAll(filepath.Dir(c.ConfigFile), 0o700); err != nil {
		return false, fmt.Errorf("making the folder of containerd's configuration: %w", err)
	}
	if err := os.WriteFile(c.ConfigFile, []byte(c.Config()), 0o600); err != nil {
		return false, fmt.Errorf("writing containerd's configuration: %w", err)
	}
	return false, c.Stopped()
}

// Started writes the PID file, by which a dockerd that is started without us finds this containerd.
func (c Containerd) Started(pid int) error {
	if err := os.WriteFile(c.PIDFile, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("writing containerd's PID file: %w", err)
	}
	return nil
}

// Stopped removes what dockerd would take for a running containerd.
func (c Containerd) Stopped() error {
	for _, path := range []string{c.PIDFile, c.Address, c.Address + ".ttrpc"} {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("cleaning up behind containerd: %w", err)
		}
	}
	return nil
}
