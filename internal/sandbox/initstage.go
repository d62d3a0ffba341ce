package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// runInit is the init stage: PID 1 of the new namespaces, until it executes the launcher. It returns only on failure.
func runInit() int {
	// exec makes the calling thread the process: its cgroup namespace, capabilities and parent death signal are what counts.
	runtime.LockOSThread()
	config, status := os.NewFile(3, "config"), os.NewFile(4, "status")
	closeFrom3()
	out := json.NewEncoder(status)

	b, err := io.ReadAll(config)
	if err != nil {
		complain("init", err)
		return 1
	}
	if len(b) == 0 {
		return 1 // the parent gave up, and knows why
	}
	var c stageConfig
	if err := json.Unmarshal(b, &c); err != nil {
		complain("init", err)
		return 1
	}
	if err := c.start(out); err != nil {
		m := message{Error: err.Error()}
		errors.As(err, &m.Errno) // stays 0 where the kernel had no part
		if err := out.Encode(m); err != nil {
			complain("init", err)
		}
	}
	return 1
}

// closeFrom3 has every descriptor but the first three closed by exec: whoever started the parent may have leaked some to it.
func closeFrom3() {
	if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err == nil {
		return
	}
	// CLOSE_RANGE_CLOEXEC came with Linux 5.11; before that, the descriptors that are known.
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
}

func (c *stageConfig) start(out *json.Encoder) error {
	if err := stopForwarding(); err != nil {
		return err
	}
	if !c.HostCgroupNS {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("making a cgroup namespace: %w", err)
		}
	}
	if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("setting the host name %q: %w", c.Hostname, err)
	}
	volatile, err := c.enterRoot()
	if err != nil {
		return err
	}
	if err := out.Encode(message{Volatile: volatile}); err != nil {
		return fmt.Errorf("talking to the parent: %w", err)
	}
	if err := c.dropPrivileges(); err != nil {
		return err
	}
	// Handlers, unlike SIG_IGN, do not survive exec: so the launcher finds every signal at its default, as PID 1 of a machine
	// does, also when this program was started in the background by a shell.
	signal.Notify(make(chan os.Signal, 1))
	// Again, as it belongs to the thread and a change of UID clears it (prctl(2)).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking for a signal at the parent's death: %w", err)
	}
	argv := append([]string{LauncherPath}, c.Argv...)
	if err := unix.Exec(LauncherPath, argv, c.Env); err != nil {
		hint := ""
		if errors.Is(err, unix.ENOENT) {
			hint = " (the file is there: is it a dynamic program whose interpreter the tree lacks? a launcher must be static)"
		}
		return fmt.Errorf("executing %s: %w%s", LauncherPath, err, hint)
	}
	return nil // not reached
}

// stopForwarding turns off IPv4 forwarding in this network namespace, through the host's /proc: what is below /proc/sys/net is
// the reader's own. A new namespace takes the setting over from the machine's first one unless net.core.devconf_inherit_init_net
// is 2 (Documentation/admin-guide/sysctl/net.rst), so that beside a Docker daemon it would start turned on.
func stopForwarding() error {
	if err := os.WriteFile(ipForward, []byte("0"), 0); err != nil {
		return fmt.Errorf("turning off forwarding in the sandbox: %w", err)
	}
	return nil
}

// dropPrivileges takes what the options take from the launcher.
func (c *stageConfig) dropPrivileges() error {
	for _, n := range c.DropCaps {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return fmt.Errorf("dropping capability %d: %w", n, err)
		}
	}
	if c.UID == 0 && c.GID == 0 {
		return nil
	}
	// In this order: without its UID, root can no longer change groups.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("dropping supplementary groups: %w", err)
	}
	if err := syscall.Setgid(c.GID); err != nil {
		return fmt.Errorf("becoming GID %d: %w", c.GID, err)
	}
	if err := syscall.Setuid(c.UID); err != nil {
		return fmt.Errorf("becoming UID %d: %w", c.UID, err)
	}
	return nil
}
