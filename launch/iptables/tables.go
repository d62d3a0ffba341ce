package iptables

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Tables are those of ip_tables that dockerd makes rules in: mangle for encrypted overlay networks, raw from Docker 28 on for
// ports that are published at one address only (moby's libnetwork/drivers). Each is a kernel module of its own for each family.
func Tables() []string { return []string{"filter", "nat", "mangle", "raw"} }

const (
	// getInfo is IPT_SO_GET_INFO and IP6T_SO_GET_INFO (linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h).
	getInfo = 64
	// tableName is XT_TABLE_MAXNAMELEN (linux/netfilter/x_tables.h).
	tableName = 32
)

// tableInfo is struct ipt_getinfo, and ip6t_getinfo too.
type tableInfo struct {
	name       [tableName]byte
	validHooks uint32
	hookEntry  [5]uint32
	underflow  [5]uint32
	entries    uint32
	size       uint32
}

// hasLegacyTables asks ip_tables, and ip6_tables where the kernel has IPv6, for tables. A table that a module has is loaded by the
// question, and one that was not used yet is made in this network namespace, empty, as dockerd's first rule does.
func hasLegacyTables(tables []string) (bool, error) {
	for _, family := range []struct{ domain, level int }{{unix.AF_INET, unix.SOL_IP}, {unix.AF_INET6, unix.SOL_IPV6}} {
		fd, err := unix.Socket(family.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err == unix.EAFNOSUPPORT && family.domain == unix.AF_INET6 {
			continue // nor are rules for it made
		}
		if err != nil {
			return false, fmt.Errorf("asking the kernel for ip_tables: %w", err)
		}
		has, err := hasTables(fd, family.level, tables)
		if closed := unix.Close(fd); err == nil && closed != nil {
			err = fmt.Errorf("asking the kernel for ip_tables: %w", closed)
		}
		if err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

func hasTables(fd, level int, tables []string) (bool, error) {
	for _, table := range tables {
		var info tableInfo
		copy(info.name[:tableName-1], table)
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), getInfo, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
		case unix.ENOENT, unix.ENOPROTOOPT: // no such table; no ip_tables
			return false, nil
		default:
			return false, fmt.Errorf("asking the kernel for the table %s of ip_tables: %w", table, errno)
		}
	}
	return true, nil
}
