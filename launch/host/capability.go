package host

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// CapabilitySet is a set of capabilities, bit n standing for capability n of capabilities(7).
type CapabilitySet uint64

// capabilityNames are the capabilities of include/uapi/linux/capability.h, in order.
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
	"SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// Has tells whether the set holds a capability, one of the unix.CAP_ constants.
func (s CapabilitySet) Has(capability int) bool { return s&(1<<capability) != 0 }

// Names lists the set as CAP_ names; a capability newer than this table appears by its number.
func (s CapabilitySet) Names() []string {
	var names []string
	for i := range 64 {
		switch {
		case !s.Has(i):
		case i < len(capabilityNames):
			names = append(names, "CAP_"+capabilityNames[i])
		default:
			names = append(names, fmt.Sprintf("CAP_%d", i))
		}
	}
	return names
}

// MarshalText writes the set as its names, separated by commas.
func (s CapabilitySet) MarshalText() ([]byte, error) {
	return []byte(strings.Join(s.Names(), ",")), nil
}

// effective asks capget(2) and not /proc, as this is wanted before /proc is mounted.
func effective() (CapabilitySet, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("capget: %w", err)
	}
	return CapabilitySet(data[0].Effective) | CapabilitySet(data[1].Effective)<<32, nil
}

// Bounding returns the bounding set of this process and the last capability that the kernel knows. It asks for one capability after the other; the first that the kernel does not know (EINVAL) ends the list.
func Bounding() (set CapabilitySet, last int, err error) {
	for i := range 64 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(i), 0, 0, 0)
		if err == unix.EINVAL {
			return set, i - 1, nil
		}
		if err != nil {
			return 0, 0, fmt.Errorf("prctl(PR_CAPBSET_READ, %d): %w", i, err)
		}
		if has == 1 {
			set |= 1 << i
		}
	}
	return set, 63, nil
}

// Full is the set of all capabilities up to and with last.
func Full(last int) CapabilitySet {
	if last >= 63 {
		return ^CapabilitySet(0)
	}
	return 1<<(last+1) - 1
}
