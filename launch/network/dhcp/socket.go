package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Transport carries a client's messages. It is used by one goroutine, but for Interrupt.
type Transport interface {
	// Send sends a message, broadcast where its To is not valid.
	Send(Packet) error
	// Receive returns the next message to a DHCP client, and os.ErrDeadlineExceeded where none came before the deadline;
	// the zero time is no deadline.
	Receive(deadline time.Time) ([]byte, error)
	// Interrupt makes Receive return, the next one where nobody is in it.
	Interrupt()
	Close() error
}

// socket is the Transport of an interface. Before there is an address, and for whatever is broadcast, a packet socket is
// needed (packet(7)); it receives everything. What goes to one server only is sent through a UDP socket, so that the kernel finds the way
// and the server's Ethernet address.
type socket struct {
	index  int
	name   string
	packet *os.File
	buffer [maxMessage]byte
	woken  atomic.Bool
	// udp is kept until the next message: while nobody listens on the port, the kernel answers the server's message with an
	// ICMP error.
	udp int
}

// Open makes the Transport of an interface.
func Open(index int, name string) (Transport, error) {
	fail := func(err error) (Transport, error) {
		return nil, fmt.Errorf("opening a packet socket on %s: %w", name, err)
	}
	// With protocol 0 nothing is received before it is bound to the interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fail(err)
	}
	if err := attachFilter(fd); err != nil {
		return fail(errors.Join(err, unix.Close(fd)))
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: index}); err != nil {
		return fail(errors.Join(err, unix.Close(fd)))
	}
	// A file that does not block waits in Go's poller, with deadlines.
	return &socket{index: index, name: name, packet: os.NewFile(uintptr(fd), "dhcp on "+name), udp: -1}, nil
}

// attachFilter has the kernel hand us only what goes to the client's port (bpf of Documentation/networking/filter.rst): all
// other traffic would wake us up.
func attachFilter(fd int) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: protoUDP, Jf: 6},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 6},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x1fff, Jt: 4}, // the rest of a packet in parts
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0},              // the length of the IP header
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: clientPort, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x40000},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("attaching a filter: %w", err)
	}
	return nil
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }

// Send sends a message.
func (s *socket) Send(p Packet) error {
	closeErr := s.closeUDP()
	if p.To.IsValid() {
		if err := s.unicast(p); err != nil {
			return fmt.Errorf("sending a DHCP message to %s through %s: %w", p.To, s.name, err)
		}
		return closeErr
	}
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: s.index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	raw, err := s.packet.SyscallConn()
	if err != nil {
		return err
	}
	// A socket whose queue is full is no reason to wait: the message is sent again anyway.
	var sendErr error
	if err := raw.Control(func(fd uintptr) { sendErr = unix.Sendto(int(fd), wrap(p.From, p.Data), 0, to) }); err != nil {
		return err
	}
	if sendErr != nil {
		return fmt.Errorf("broadcasting a DHCP message through %s: %w", s.name, sendErr)
	}
	return closeErr
}

func (s *socket) unicast(p Packet) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	s.udp = fd
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err := unix.BindToDevice(fd, s.name); err != nil {
		return fmt.Errorf("SO_BINDTODEVICE: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: clientPort, Addr: p.From.As4()}); err != nil {
		return fmt.Errorf("binding to %s: %w", netip.AddrPortFrom(p.From, clientPort), err)
	}
	return unix.Sendto(fd, p.Data, 0, &unix.SockaddrInet4{Port: serverPort, Addr: p.To.As4()})
}

func (s *socket) closeUDP() error {
	if s.udp < 0 {
		return nil
	}
	fd := s.udp
	s.udp = -1
	return unix.Close(fd)
}

// Receive waits for a message.
func (s *socket) Receive(deadline time.Time) ([]byte, error) {
	if err := s.packet.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	if s.woken.Swap(false) {
		return nil, os.ErrDeadlineExceeded // the deadline above may have replaced that of Interrupt
	}
	raw, err := s.packet.SyscallConn()
	if err != nil {
		return nil, err
	}
	for {
		var n int
		var from unix.Sockaddr
		var readErr error
		if err := raw.Read(func(fd uintptr) bool {
			n, from, readErr = unix.Recvfrom(int(fd), s.buffer[:], 0)
			return readErr != unix.EAGAIN && readErr != unix.EINTR
		}); err != nil {
			return nil, err
		}
		if readErr != nil {
			return nil, fmt.Errorf("waiting for DHCP messages on %s: %w", s.name, readErr)
		}
		if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if data, ok := unwrap(s.buffer[:n]); ok {
			return data, nil
		}
	}
}

// Interrupt makes Receive, also the next one, return os.ErrDeadlineExceeded.
func (s *socket) Interrupt() {
	s.woken.Store(true)
	// It fails only on a closed file, which nobody waits for.
	_ = s.packet.SetReadDeadline(time.Unix(1, 0))
}

// Close closes the sockets.
func (s *socket) Close() error { return errors.Join(s.closeUDP(), s.packet.Close()) }
