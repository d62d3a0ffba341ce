package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// answerSeconds bounds how long a request waits for the next part of its answer.
	answerSeconds = 60
	// bufferSize holds what the kernel sends at once: 32 KiB at most (netlink_dump in net/netlink/af_netlink.c).
	bufferSize = 64 << 10
	// sequence numbers the one request that is made through a socket.
	sequence = 1
)

// errInterrupted says that what is listed changed while it was listed.
var errInterrupted = errors.New("it changed while it was listed")

// open makes a socket that hears of what concerns groups, a set of RTMGRP_ bits of rtnetlink(7). It is connected to the kernel:
// no program can send it anything. flags may be SOCK_NONBLOCK of socket(2).
func open(groups uint32, flags int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("opening a netlink socket: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err == nil {
		err = unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("binding a netlink socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// execute sends a request and returns the messages of kind answer that come back, without their headers, until the kernel says
// that these are all, or what went wrong. With errInterrupted there are messages, too.
//
// The kernel answers before it takes the next request (netlink_rcv_skb), so that there is hardly anything to wait for: Go's poller
// would cost a start more than all the answers, as each wakes the thread that waits there.
func execute(kind uint16, flags uint16, body []byte, answer uint16) ([][]byte, error) {
	socket, err := open(0, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(socket) // the answer is in by then
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerSeconds}); err != nil {
		return nil, fmt.Errorf("bounding the wait for netlink: %w", err)
	}
	for {
		if _, err = unix.Write(socket, request(kind, flags, body)); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking netlink: %w", err)
	}
	all := answers{kind: answer}
	for buffer := make([]byte, bufferSize); !all.done; {
		n, err := unix.Read(socket, buffer)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("waiting for netlink's answer: %w", err)
		}
		if err := all.read(buffer[:n]); err != nil {
			return nil, err
		}
	}
	if all.interrupted {
		return all.messages, errInterrupted
	}
	return all.messages, nil
}

// request puts the header before a message, a struct nlmsghdr: length (4), type (2), flags (2), sequence (4), sender (4). The
// kernel fills in who sends.
func request(kind, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, body...)
}

// answers are what came to a request so far.
type answers struct {
	kind        uint16
	messages    [][]byte
	interrupted bool
	done        bool
}

// read takes what came at once, several messages. The error is the kernel's, or ErrFormat.
func (a *answers) read(data []byte) error {
	data = append([]byte(nil), data...) // the buffer is used again
	for len(data) > 0 && !a.done {
		if len(data) < unix.SizeofNlMsghdr {
			return ErrFormat
		}
		size, kind := binary.NativeEndian.Uint32(data), binary.NativeEndian.Uint16(data[4:])
		flags, number := binary.NativeEndian.Uint16(data[6:]), binary.NativeEndian.Uint32(data[8:])
		if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(data)) {
			return ErrFormat
		}
		body := data[unix.SizeofNlMsghdr:size:size]
		data = data[min(len(data), int(size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		if number != sequence {
			continue
		}
		a.interrupted = a.interrupted || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			a.done = true
			if kind == unix.NLMSG_DONE && len(body) == 0 {
				return nil
			}
			// An error number below zero; 0 is the kernel's word that it is done.
			if len(body) < 4 {
				return ErrFormat
			}
			if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
				return unix.Errno(-code)
			}
		case a.kind:
			a.messages = append(a.messages, body)
			a.done = flags&unix.NLM_F_MULTI == 0
		}
	}
	return nil
}
