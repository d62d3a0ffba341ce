package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var hardware = []byte{2, 0, 0, 0, 0, 1}

// world is a machine with a clock of its own and a server that answers as a test tells it to.
type world struct {
	t      *testing.T
	start  time.Time
	now    time.Time
	m      *Machine
	server func(p Packet, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4
	// log has a word for each packet and event with the time in whole seconds: "0 discover", "1 bound 192.0.2.5/24".
	log []string
}

func newWorld(t *testing.T) *world {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	// Always 1000 makes the jitter 0.
	return &world{t: t, start: start, now: start, m: New(Config{Hardware: hardware, Random: func() uint32 { return 1000 }})}
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%d ", w.now.Sub(w.start)/time.Second)+fmt.Sprintf(format, args...))
}

func (w *world) take(out Output) {
	for _, e := range out.Events {
		switch {
		case e.Lost:
			w.note("lost %s: %s", e.Lease.Address, e.Reason)
		case e.Renewed:
			w.note("renewed %s", e.Lease.Address)
		default:
			w.note("bound %s", e.Lease.Address)
		}
	}
	for _, p := range out.Send {
		to := ""
		if p.To.IsValid() {
			to = " to " + p.To.String()
		}
		w.note("%s%s", map[Kind]string{Discover: "discover", Request: "request"}[p.Kind], to)
		in, err := dhcpv4.FromBytes(p.Data)
		if err != nil {
			w.t.Fatalf("the client's message is malformed: %v", err)
		}
		if w.server == nil {
			continue
		}
		if answer := w.server(p, in); answer != nil {
			w.answer(answer)
		}
	}
}

func (w *world) answer(answer *dhcpv4.DHCPv4) {
	msg, err := Unpack(answer.ToBytes())
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.m.Receive(w.now, msg)
	if err != nil {
		w.note("ignored: %v", err)
	}
	w.take(out)
}

// run lets time pass, from one moment at which something is due to the next.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for range 100000 {
		w.take(w.m.Tick(w.now))
		next := w.m.Next()
		if next.IsZero() || next.After(end) {
			w.now = end
			return
		}
		if next.After(w.now) {
			w.now = next
		}
	}
	w.t.Fatalf("the machine is busy without end:\n%s", strings.Join(w.log[:min(50, len(w.log))], "\n"))
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, want) {
		w.t.Errorf("what happened:\n  %s\nwant:\n  %s", strings.Join(w.log, "\n  "), strings.Join(want, "\n  "))
	}
	w.log = nil
}

// reply is a server's answer to a message.
func reply(in *dhcpv4.DHCPv4, kind Kind, address string, lease time.Duration) *dhcpv4.DHCPv4 {
	out := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: 1, ClientHWAddr: in.ClientHWAddr, TransactionID: in.TransactionID,
		Options: dhcpv4.Options{optKind: {byte(kind)}, optServer: {192, 0, 2, 1}},
	}
	if kind != Nak {
		out.YourIPAddr = netip.MustParseAddr(address).AsSlice()
		out.Options[optSubnetMask] = []byte{255, 255, 255, 0}
		out.Options[optLeaseTime] = binary.BigEndian.AppendUint32(nil, uint32(lease/time.Second))
	}
	return out
}

// serve is a server that gives everybody the same.
func serve(address string, lease time.Duration) func(Packet, *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	return func(p Packet, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if p.Kind == Discover {
			return reply(in, Offer, address, lease)
		}
		return reply(in, Ack, address, lease)
	}
}

func refuse(_ Packet, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 { return reply(in, Nak, "", 0) }

func TestLeaseAndRenewal(t *testing.T) {
	w := newWorld(t)
	w.server = serve("192.0.2.5", time.Hour)
	w.run(2 * time.Hour)
	w.expect("0 discover", "0 request", "0 bound 192.0.2.5/24",
		"1800 request to 192.0.2.1", "1800 renewed 192.0.2.5/24",
		"3600 request to 192.0.2.1", "3600 renewed 192.0.2.5/24",
		"5400 request to 192.0.2.1", "5400 renewed 192.0.2.5/24",
		"7200 request to 192.0.2.1", "7200 renewed 192.0.2.5/24")
}

func TestNoServer(t *testing.T) {
	w := newWorld(t)
	w.run(5 * time.Minute)
	w.expect("0 discover", "4 discover", "12 discover", "28 discover", "60 discover", "124 discover", "188 discover", "252 discover")
	// There is no end to it, and a server that comes is taken.
	w.run(24 * time.Hour)
	w.log = nil
	w.server = serve("192.0.2.5", time.Hour)
	w.run(2 * time.Minute)
	if state := w.m.State(); state != Bound {
		t.Errorf("a server has come, and the client is %s:\n%s", state, strings.Join(w.log, "\n"))
	}
}

func TestJitter(t *testing.T) {
	m := New(Config{Hardware: hardware})
	m.sent = 1
	low, high := time.Hour, time.Duration(0)
	for range 2000 {
		d := m.wait()
		low, high = min(low, d), max(high, d)
	}
	if low < 3*time.Second || low > 3500*time.Millisecond || high > 5*time.Second || high < 4500*time.Millisecond {
		t.Errorf("the first wait is between %v and %v, want 3 s to 5 s", low, high)
	}
}

func TestServerGone(t *testing.T) {
	w := newWorld(t)
	w.server = serve("192.0.2.5", 20*time.Minute)
	w.run(time.Minute)
	w.log, w.server = nil, nil
	w.run(21 * time.Minute)
	w.expect("600 request to 192.0.2.1", "825 request to 192.0.2.1", "937 request to 192.0.2.1", "997 request to 192.0.2.1",
		"1050 request", "1125 request", "1185 request",
		"1200 lost 192.0.2.5/24: no server renewed it in time", "1200 discover", "1204 discover", "1212 discover", "1228 discover", "1260 discover")
	w.server = serve("192.0.2.6", 20*time.Minute)
	w.run(2 * time.Minute)
	w.expect("1324 discover", "1324 request", "1324 bound 192.0.2.6/24")
}

func TestServerBackInTime(t *testing.T) {
	w := newWorld(t)
	w.server = serve("192.0.2.5", 20*time.Minute)
	w.run(time.Minute)
	w.log, w.server = nil, nil
	w.run(16 * time.Minute)
	w.log = nil
	// The new lease counts from the request that was answered, and not from the first that was not.
	w.server = serve("192.0.2.5", 20*time.Minute)
	w.run(15 * time.Minute)
	w.expect("1050 request", "1050 renewed 192.0.2.5/24", "1650 request to 192.0.2.1", "1650 renewed 192.0.2.5/24")
}

func TestAddressChange(t *testing.T) {
	w := newWorld(t)
	w.server = serve("192.0.2.5", time.Minute)
	w.run(time.Second)
	w.server = serve("192.0.2.9", time.Minute)
	w.run(40 * time.Second)
	w.expect("0 discover", "0 request", "0 bound 192.0.2.5/24", "30 request to 192.0.2.1", "30 bound 192.0.2.9/24")
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.server = serve("192.0.2.5", time.Minute)
	w.run(time.Second)
	good := serve("192.0.2.7", time.Minute)
	w.server = func(p Packet, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if p.To.IsValid() {
			return refuse(p, in)
		}
		return good(p, in)
	}
	w.run(30 * time.Second)
	w.expect("0 discover", "0 request", "0 bound 192.0.2.5/24",
		"30 request to 192.0.2.1", "30 lost 192.0.2.5/24: the server refused it", "30 discover", "30 request", "30 bound 192.0.2.7/24")

	// One that offers and then refuses is asked more and more seldom.
	w = newWorld(t)
	w.server = func(p Packet, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if p.Kind == Discover {
			return reply(in, Offer, "192.0.2.5", time.Minute)
		}
		return refuse(p, in)
	}
	w.run(time.Minute)
	w.expect("0 discover", "0 request", "0 discover", "0 request", "4 discover", "4 request", "12 discover", "12 request", "28 discover", "28 request",
		"60 discover", "60 request")
}

func TestOfferNobodyHolds(t *testing.T) {
	w := newWorld(t)
	w.server = func(p Packet, in *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if p.Kind == Discover && w.now.Before(w.start.Add(time.Minute)) {
			return reply(in, Offer, "192.0.2.5", time.Minute)
		}
		return nil
	}
	w.run(61 * time.Second)
	w.expect("0 discover", "0 request", "4 request", "12 request", "28 request", "60 discover")
}

func TestInfiniteLease(t *testing.T) {
	w := newWorld(t)
	w.server = serve("192.0.2.5", Infinite)
	w.run(100 * 24 * time.Hour)
	w.expect("0 discover", "0 request", "0 bound 192.0.2.5/24")
	w.m.Refresh(w.now)
	w.run(time.Second)
	w.expect("8640000 request to 192.0.2.1", "8640000 renewed 192.0.2.5/24")
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	w.run(70 * time.Second)
	w.log = nil
	w.m.Refresh(w.now)
	w.run(5 * time.Second)
	w.expect("70 discover", "74 discover")
	w.server = serve("192.0.2.5", time.Hour)
	w.run(10 * time.Second)
	w.log = nil
	w.m.Refresh(w.now)
	w.run(time.Second)
	w.expect("85 request to 192.0.2.1", "85 renewed 192.0.2.5/24")
}

func TestIgnored(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*dhcpv4.DHCPv4)
		want   error
	}{
		"another number":    {func(m *dhcpv4.DHCPv4) { m.TransactionID[0]++ }, ErrNotForUs},
		"another interface": {func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = []byte{2, 0, 0, 0, 0, 9} }, ErrNotForUs},
		"no server":         {func(m *dhcpv4.DHCPv4) { delete(m.Options, optServer) }, ErrNoServer},
		"no time":           {func(m *dhcpv4.DHCPv4) { delete(m.Options, optLeaseTime) }, ErrNoTime},
		"a time of 0":       {func(m *dhcpv4.DHCPv4) { m.Options[optLeaseTime] = []byte{0, 0, 0, 0} }, ErrNoTime},
		"no address":        {func(m *dhcpv4.DHCPv4) { m.YourIPAddr = nil }, ErrNoAddress},
		"a group's address": {func(m *dhcpv4.DHCPv4) { m.YourIPAddr = []byte{224, 0, 0, 1} }, ErrNoAddress},
		"an ack too early":  {func(m *dhcpv4.DHCPv4) { m.Options[optKind] = []byte{byte(Ack)} }, ErrNotForUs},
		"no kind":           {func(m *dhcpv4.DHCPv4) { delete(m.Options, optKind) }, ErrNotForUs},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var in *dhcpv4.DHCPv4
			w.server = func(_ Packet, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 { in = m; return nil }
			w.run(time.Second)
			answer := reply(in, Offer, "192.0.2.5", time.Minute)
			c.change(answer)
			msg, err := Unpack(answer.ToBytes())
			if err != nil {
				t.Fatal(err)
			}
			out, err := w.m.Receive(w.now, msg)
			if !errors.Is(err, c.want) || len(out.Send)+len(out.Events) != 0 || w.m.State() != Selecting {
				t.Errorf("%v, %+v, %s; want %v", err, out, w.m.State(), c.want)
			}
		})
	}
}

func TestWhatIsSent(t *testing.T) {
	m := New(Config{Hardware: hardware, Hostname: "box"})
	now := time.Now()
	out := m.Tick(now)
	in, err := dhcpv4.FromBytes(out.Send[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Send[0].Data) < 300 || in.HostName() != "box" || in.MessageType() != dhcpv4.MessageTypeDiscover || in.IsBroadcast() {
		t.Errorf("the discover is %s", in.Summary())
	}
	wanted := in.ParameterRequestList()
	if slices.Index(wanted, dhcpv4.OptionCode(dhcpv4.OptionClasslessStaticRoute)) > slices.Index(wanted, dhcpv4.OptionCode(dhcpv4.OptionRouter)) {
		t.Errorf("RFC 3442 has classless routes in front of routers: %v", wanted)
	}
	msg, err := Unpack(reply(in, Offer, "192.0.2.5", time.Minute).ToBytes())
	if err != nil {
		t.Fatal(err)
	}
	out, err = m.Receive(now, msg)
	if err != nil {
		t.Fatal(err)
	}
	request, err := dhcpv4.FromBytes(out.Send[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if request.RequestedIPAddress().String() != "192.0.2.5" || request.ServerIdentifier().String() != "192.0.2.1" ||
		!request.ClientIPAddr.IsUnspecified() || request.TransactionID != in.TransactionID {
		t.Errorf("the request is %s", request.Summary())
	}
	msg.Kind = Ack
	if _, err := m.Receive(now, msg); err != nil {
		t.Fatal(err)
	}
	out = m.Tick(now.Add(31 * time.Second))
	renewal, err := dhcpv4.FromBytes(out.Send[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	// RFC 2131, table 5: in RENEWING neither option may be there.
	if renewal.Options.Has(dhcpv4.OptionRequestedIPAddress) || renewal.Options.Has(dhcpv4.OptionServerIdentifier) || renewal.ClientIPAddr.String() != "192.0.2.5" {
		t.Errorf("the renewal is %s", renewal.Summary())
	}
}

// FuzzMachine has a client hold out against any series of messages: it must never be busy without end, nor hold a lease
// beyond its time.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{2, 10, 5, 10, 6, 0, 40, 255})
	f.Add([]byte{2, 1, 5, 1, 0, 0, 0, 0, 5, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			return
		}
		w := newWorld(t)
		for len(script) >= 2 {
			kind, n := Kind(script[0]%8), time.Duration(script[1])
			script = script[2:]
			w.run(n * n * time.Second)
			raw := &dhcpv4.DHCPv4{ClientHWAddr: hardware}
			binary.BigEndian.PutUint32(raw.TransactionID[:], w.m.xid)
			address := "192.0.2.5"
			if n%3 == 0 {
				address = "192.0.2.6"
			}
			w.answer(reply(raw, kind, address, n*time.Second))
			if len(w.log) > 20000 {
				t.Fatalf("%d packets and events", len(w.log))
			}
			if l, held := w.m.Lease(); held && w.m.Next().After(w.m.got.Add(l.Time)) {
				t.Fatalf("the lease ends at %v and the next look is at %v", w.m.got.Add(l.Time), w.m.Next())
			}
		}
	})
}
