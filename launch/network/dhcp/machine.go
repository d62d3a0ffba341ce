package dhcp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// State is where the client stands (RFC 2131, figure 5). INIT-REBOOT is not used: nothing is kept across boots.
type State string

// The states.
const (
	Init       State = "init"
	Selecting  State = "selecting"
	Requesting State = "requesting"
	Bound      State = "bound"
	Renewing   State = "renewing"
	Rebinding  State = "rebinding"
)

// The times between messages (RFC 2131, 4.1): 4 s, doubled up to 64 s, each a second more or less at random.
const (
	firstWait = 4 * time.Second
	lastWait  = 64 * time.Second
	// requests is how often a request is sent before the offer is given up: for a minute in all.
	requests = 4
	// renewWait is the shortest time between two requests for a lease that is held (RFC 2131, 4.4.5).
	renewWait = 60 * time.Second
)

// Config is what a client says of itself.
type Config struct {
	// Hardware is the interface's Ethernet address.
	Hardware []byte
	// ClientID is the client identifier with its type in front; where it is empty it is the Ethernet address.
	ClientID []byte
	// Hostname is the name that the server may put into DNS; "" tells none.
	Hostname string
	// Random returns any number; where it is nil, math/rand's.
	Random func() uint32
}

// Packet is a message to be sent. Without a valid To it is broadcast, from 0.0.0.0 where From is not valid.
type Packet struct {
	Kind     Kind
	Data     []byte
	From, To netip.Addr
}

// Event is something that has happened to the lease.
type Event struct {
	// Lost tells that Lease is over and must not be used any more; otherwise Lease has just been got.
	Lost  bool
	Lease Lease
	// Renewed tells that the lease before had the same address.
	Renewed bool
	// Reason tells why a lease was lost.
	Reason string
	// Until is when the lease ends; zero for one that does not.
	Until time.Time
}

// Output is what a Machine wants done, in this order.
type Output struct {
	Events []Event
	Send   []Packet
}

func (o *Output) add(more Output) {
	o.Events = append(o.Events, more.Events...)
	o.Send = append(o.Send, more.Send...)
}

// Machine is the client without clock or socket. It is not safe for use by several goroutines.
type Machine struct {
	config Config
	state  State
	xid    uint32
	begun  time.Time // of this try, for the field secs
	next   time.Time // when Tick is due
	sent   int       // messages of this state
	naks   int       // refusals since the last lease
	offer  Lease
	lease  Lease
	held   bool
	asked  time.Time // when the request was sent that an answer now would answer
	got    time.Time // asked, of the lease that is held: it counts from there
}

// New makes a client that begins with the first Tick.
func New(config Config) *Machine {
	if config.Random == nil {
		config.Random = rand.Uint32
	}
	if len(config.ClientID) == 0 {
		config.ClientID = append([]byte{1}, config.Hardware...) // 1 is Ethernet
	}
	return &Machine{config: config, state: Init}
}

// State tells where the client stands.
func (m *Machine) State() State { return m.state }

// Lease is the lease that is held.
func (m *Machine) Lease() (l Lease, held bool) { return m.lease, m.held }

// Next is when Tick is to be called next; zero for never, as with a lease that does not end.
func (m *Machine) Next() time.Time { return m.next }

// Refresh makes the next Tick ask at once, for the lease that is held or for a first one, as after the cable was out.
func (m *Machine) Refresh(now time.Time) {
	if m.state == Selecting {
		m.state = Init
	}
	if m.state != Requesting {
		m.next = now
	}
}

// Tick does what is due.
func (m *Machine) Tick(now time.Time) (out Output) {
	if m.state != Init && (m.next.IsZero() || now.Before(m.next)) {
		return out
	}
	if m.held && m.lease.Time < Infinite && !now.Before(m.got.Add(m.lease.Time)) {
		out.add(m.lose("no server renewed it in time"))
	}
	switch m.state {
	case Init:
		if now.Before(m.next) {
			return out
		}
		m.state, m.sent, m.begun, m.xid = Selecting, 0, now, m.config.Random()
		fallthrough
	case Selecting:
		out.add(m.send(now, Discover, netip.Addr{}, netip.Addr{}))
		m.next = now.Add(m.wait())
	case Requesting:
		if m.sent >= requests {
			// The server that made the offer is gone.
			m.state, m.next = Init, now
			out.add(m.Tick(now))
			return out
		}
		out.add(m.request(now))
	case Bound, Renewing, Rebinding:
		out.add(m.extend(now))
	}
	return out
}

// request asks for the address that was offered.
func (m *Machine) request(now time.Time) Output {
	out := m.send(now, Request, netip.Addr{}, netip.Addr{})
	m.next = now.Add(m.wait())
	return out
}

// extend asks for more time: the server that gave the lease from T1 on, any server from T2 on.
func (m *Machine) extend(now time.Time) Output {
	end, t2 := m.got.Add(m.lease.Time), m.got.Add(m.lease.T2)
	if m.lease.Time >= Infinite {
		// Only Refresh leads here. There is no end to be in a hurry for.
		end, t2 = now.Add(Infinite), now.Add(Infinite/2)
	}
	from, to, limit := m.lease.Address.Addr(), m.lease.Server, t2
	state := Renewing
	if !now.Before(t2) {
		state, to, limit = Rebinding, netip.Addr{}, end
	}
	if m.state == Bound {
		m.begun = now
	}
	// A number of its own for each request tells which of them an answer belongs to, and so when the new lease began.
	m.state, m.xid = state, m.config.Random()
	out := m.send(now, Request, from, to)
	m.next = now.Add(max(limit.Sub(now)/2, renewWait))
	if m.next.After(limit) {
		m.next = limit
	}
	return out
}

// wait is how long to wait for the answer to the message just sent.
func (m *Machine) wait() time.Duration {
	d := firstWait << min(m.sent-1, 4)
	return min(d, lastWait) - time.Second + time.Duration(m.config.Random()%2001)*time.Millisecond
}

// send packs a message.
func (m *Machine) send(now time.Time, kind Kind, from, to netip.Addr) Output {
	raw := dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: 1, ClientHWAddr: m.config.Hardware,
		NumSeconds: uint16(min(now.Sub(m.begun)/time.Second, 0xffff)),
		Options: dhcpv4.Options{
			optKind: {byte(kind)}, optClientID: m.config.ClientID,
			optMaximumSize: binary.BigEndian.AppendUint16(nil, maxMessage),
			// RFC 3442 wants classless routes before the router.
			optParameterList: {optSubnetMask, optClasslessRoutes, optRouters, optNameservers, optHostname, optDomain, optMTU, optLeaseTime,
				optServer, optT1, optT2},
		},
	}
	binary.BigEndian.PutUint32(raw.TransactionID[:], m.xid)
	if m.config.Hostname != "" {
		raw.Options[optHostname] = []byte(m.config.Hostname)
	}
	if from.IsValid() {
		raw.ClientIPAddr = from.AsSlice()
	}
	if m.state == Requesting {
		raw.Options[optRequestedIP] = m.offer.Address.Addr().AsSlice()
		raw.Options[optServer] = m.offer.Server.AsSlice()
	}
	// A lease counts from when it was asked for (RFC 2131, 4.4.5). Of copies with one number the first counts, so that an answer to
	// it does not stretch the lease.
	if kind == Request && (m.state != Requesting || m.sent == 0) {
		m.asked = now
	}
	m.sent++
	return Output{Send: []Packet{{Kind: kind, Data: raw.ToBytes(), From: from, To: to}}}
}

// Receive takes a server's message. The error tells why it is ignored.
func (m *Machine) Receive(now time.Time, msg Message) (out Output, err error) {
	if msg.XID != m.xid || !bytes.Equal(msg.Hardware, m.config.Hardware) {
		return out, ErrNotForUs
	}
	switch {
	case m.state == Selecting && msg.Kind == Offer:
		if err := msg.Lease.Check(); err != nil {
			return out, err
		}
		// The first that fits is taken: waiting for a better one would only delay the boot.
		m.offer, m.state, m.sent = msg.Lease, Requesting, 0
		return m.request(now), nil
	case m.state != Requesting && m.state != Renewing && m.state != Rebinding:
		return out, ErrNotForUs
	case msg.Kind == Nak:
		if m.state == Requesting && msg.Lease.Server.IsValid() && msg.Lease.Server != m.offer.Server {
			return out, ErrNotForUs
		}
		return m.refused(now), nil
	case msg.Kind == Ack:
		if err := msg.Lease.Check(); err != nil {
			return out, err
		}
		return m.bind(now, msg.Lease), nil
	}
	return out, ErrNotForUs
}

// refused begins again, at once after the first refusal, and later and later after the next ones, so that a server that
// offers what it then refuses is not asked without end.
func (m *Machine) refused(now time.Time) (out Output) {
	out.add(m.lose("the server refused it"))
	m.naks++
	m.state, m.next = Init, now
	if m.naks > 1 {
		m.sent = m.naks - 1
		m.next = now.Add(m.wait())
		return out
	}
	out.add(m.Tick(now))
	return out
}

func (m *Machine) bind(now time.Time, l Lease) (out Output) {
	same := m.held && m.lease.Address == l.Address
	m.lease, m.held, m.naks, m.state, m.sent = l, true, 0, Bound, 0
	m.got = m.asked
	event := Event{Lease: l, Renewed: same}
	m.next = time.Time{}
	if l.Time < Infinite {
		event.Until = m.got.Add(l.Time)
		m.next = m.got.Add(l.T1)
		// An answer that took long must not make the next request due at once, again and again.
		if soon := now.Add(time.Second / 2); m.next.Before(soon) {
			m.next = soon
		}
		if m.next.After(event.Until) {
			m.next = event.Until
		}
	}
	out.Events = append(out.Events, event)
	return out
}

func (m *Machine) lose(reason string) (out Output) {
	if m.held {
		out.Events = append(out.Events, Event{Lost: true, Lease: m.lease, Reason: reason})
	}
	m.held, m.state, m.next = false, Init, time.Time{}
	return out
}
