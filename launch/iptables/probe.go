package iptables

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// probeLimit bounds the wait for the kernel's answer, which comes with the request unless a module is loaded for it, in
// seconds.
const probeLimit = 10

// kernelHasNft asks nf_tables for the number of its generation (NFT_MSG_GETGEN, linux/netfilter/nf_tables.h), which changes
// nothing but that a module is loaded where it is one. It asks as whoever uses nf_tables does, so that the kernel's own
// words for a subsystem that is missing are known: EINVAL (net/netfilter/nfnetlink.c).
func kernelHasNft() (bool, error) {
	const doing = "asking the kernel for nf_tables"
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err == unix.EPROTONOSUPPORT {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: probeLimit}); err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	const size = unix.SizeofNlMsghdr + 4 // and struct nfgenmsg: family, version, resource
	order := binary.NativeEndian
	request := make([]byte, size)
	order.PutUint32(request, size)
	order.PutUint16(request[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN)
	order.PutUint16(request[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return false, fmt.Errorf("%s: no answer: %w", doing, err)
	}
	return readAnswer(answer[:n])
}

// readAnswer tells what the kernel says.
func readAnswer(answer []byte) (bool, error) {
	order := binary.NativeEndian
	if len(answer) < unix.SizeofNlMsghdr+4 {
		return false, fmt.Errorf("the kernel's answer about nf_tables has %d bytes", len(answer))
	}
	switch order.Uint16(answer[4:]) {
	case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN:
		return true, nil
	case unix.NLMSG_ERROR:
		switch errno := unix.Errno(-int32(order.Uint32(answer[unix.SizeofNlMsghdr:]))); errno {
		case 0:
			return true, nil
		case unix.EINVAL, unix.EOPNOTSUPP, unix.ENOENT:
			return false, nil
		default:
			return false, fmt.Errorf("the kernel answers the question for nf_tables with: %w", errno)
		}
	}
	return false, fmt.Errorf("the kernel's answer about nf_tables is of the type %#x", order.Uint16(answer[4:]))
}
