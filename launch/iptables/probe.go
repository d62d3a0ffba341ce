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
	answer, err := askNft("asking the kernel for nf_tables", unix.NFT_MSG_GETGEN, 0)
	if err != nil || answer == nil {
		return false, err
	}
	return readAnswer(answer, unix.NFT_MSG_NEWGEN)
}

// kernelHasNftTables asks nf_tables for the tables of all families that are in this network namespace.
func kernelHasNftTables() (bool, error) {
	answer, err := askNft("asking the kernel for tables of nf_tables", unix.NFT_MSG_GETTABLE, unix.NLM_F_DUMP)
	if err != nil || answer == nil {
		return false, err
	}
	return readAnswer(answer, unix.NFT_MSG_NEWTABLE)
}

// askNft sends nf_tables a message without attributes, and returns the answer's first part; nil where there is no netfilter.
func askNft(doing string, kind, flags uint16) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err == unix.EPROTONOSUPPORT {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: probeLimit}); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	const size = unix.SizeofNlMsghdr + 4 // and struct nfgenmsg: family, version, resource
	order := binary.NativeEndian
	request := make([]byte, size)
	order.PutUint32(request, size)
	order.PutUint16(request[4:], unix.NFNL_SUBSYS_NFTABLES<<8|kind)
	order.PutUint16(request[6:], unix.NLM_F_REQUEST|flags)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: no answer: %w", doing, err)
	}
	return answer[:n], nil
}

// readAnswer tells whether the kernel answers with a message of this kind: it does not where it knows nothing of nf_tables, or
// where there is nothing of the kind.
func readAnswer(answer []byte, kind uint16) (bool, error) {
	order := binary.NativeEndian
	if len(answer) < unix.SizeofNlMsghdr+4 {
		return false, fmt.Errorf("the kernel's answer about nf_tables has %d bytes", len(answer))
	}
	switch order.Uint16(answer[4:]) {
	case unix.NFNL_SUBSYS_NFTABLES<<8 | kind:
		return true, nil
	case unix.NLMSG_DONE:
		return false, nil
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
