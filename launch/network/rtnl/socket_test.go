package rtnl

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

// answer is a message as the kernel sends it.
func answer(kind, flags uint16, number uint32, body ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, number)
	b = binary.NativeEndian.AppendUint32(b, 4711)
	b = append(b, body...)
	for len(b)%unix.NLMSG_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func code(errno unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestAnswers(t *testing.T) {
	link := func(number uint32) []byte { return answer(unix.RTM_NEWLINK, unix.NLM_F_MULTI, number, 'a', 'b', 'c') }
	for name, test := range map[string]struct {
		data        []byte
		messages    int
		done        bool
		interrupted bool
		err         error
	}{
		"nothing":                   {},
		"more is to come":           {data: join(link(sequence), link(sequence)), messages: 2},
		"all of them":               {data: join(link(sequence), answer(unix.NLMSG_DONE, unix.NLM_F_MULTI, sequence, code(0)...)), messages: 1, done: true},
		"an end without a word":     {data: join(link(sequence), answer(unix.NLMSG_DONE, unix.NLM_F_MULTI, sequence)), messages: 1, done: true},
		"one alone":                 {data: answer(unix.RTM_NEWLINK, 0, sequence, 'a'), messages: 1, done: true},
		"of another request":        {data: join(link(sequence+1), answer(unix.NLMSG_DONE, 0, sequence+1))},
		"of another kind":           {data: answer(unix.RTM_NEWADDR, unix.NLM_F_MULTI, sequence, 'a')},
		"done":                      {data: answer(unix.NLMSG_ERROR, 0, sequence, code(0)...), done: true},
		"refused":                   {data: answer(unix.NLMSG_ERROR, 0, sequence, code(unix.EPERM)...), done: true, err: unix.EPERM},
		"a list that fails":         {data: join(link(sequence), answer(unix.NLMSG_DONE, 0, sequence, code(unix.ENOMEM)...)), messages: 1, done: true, err: unix.ENOMEM},
		"changed meanwhile":         {data: join(link(sequence), answer(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, sequence)), messages: 1, done: true, interrupted: true},
		"a header cut short":        {data: link(sequence)[:10], err: ErrFormat},
		"a message cut short":       {data: link(sequence)[:17], err: ErrFormat},
		"a length below its own":    {data: make([]byte, unix.SizeofNlMsghdr), err: ErrFormat},
		"an error without a number": {data: answer(unix.NLMSG_ERROR, 0, sequence), done: true, err: ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			a := answers{kind: unix.RTM_NEWLINK}
			if err := a.read(test.data); !errors.Is(err, test.err) {
				t.Errorf("the error is %v, want %v", err, test.err)
			}
			if len(a.messages) != test.messages || a.done != test.done || a.interrupted != test.interrupted {
				t.Errorf("%+v", a)
			}
			for _, m := range a.messages {
				if m[0] != 'a' || len(m) != 1 && string(m) != "abc" {
					t.Errorf("the message is %q", m)
				}
			}
		})
	}
}

// What is read must not change when the buffer is used for what comes next.
func TestAnswersKeep(t *testing.T) {
	buffer := answer(unix.RTM_NEWLINK, unix.NLM_F_MULTI, sequence, 'a', 'b')
	a := answers{kind: unix.RTM_NEWLINK}
	must(t, a.read(buffer))
	clear(buffer)
	if string(a.messages[0]) != "ab" {
		t.Errorf("the message has become %q", a.messages[0])
	}
}

// A program that knows a socket's number may not answer in the kernel's place.
func TestOnlyTheKernel(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	ours, err := open(0, 0)
	must(t, err)
	defer unix.Close(ours)
	name, err := unix.Getsockname(ours)
	must(t, err)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	must(t, err)
	defer unix.Close(fd)
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: name.(*unix.SockaddrNetlink).Pid}
	if err := unix.Sendto(fd, answer(unix.NLMSG_DONE, 0, sequence), 0, to); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("another socket sends to ours: %v", err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(answer(unix.RTM_NEWLINK, unix.NLM_F_MULTI, sequence, 'a', 'b', 'c'))
	f.Add(join(answer(unix.RTM_NEWLINK, unix.NLM_F_MULTI, sequence, 'a'), answer(unix.NLMSG_ERROR, 0, sequence, code(unix.EPERM)...)))
	f.Add(join(answer(unix.RTM_NEWLINK, unix.NLM_F_MULTI, sequence, 'a'), answer(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, sequence)))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := answers{kind: unix.RTM_NEWLINK}
		size := 0
		_ = a.read(data)
		for _, m := range a.messages {
			size += len(m) + unix.SizeofNlMsghdr
		}
		if size > len(data) {
			t.Fatalf("%d bytes out of %d", size, len(data))
		}
	})
}
