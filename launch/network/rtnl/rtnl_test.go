package rtnl

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/testenv"
	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, name string) (Link, bool) {
	t.Helper()
	links, err := Links()
	must(t, err)
	i := slices.IndexFunc(links, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return Link{}, false
	}
	return links[i], true
}

func TestInNamespace(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	if lo, ok := find(t, "lo"); !ok || !lo.Loopback || lo.Up || lo.Ethernet || lo.MTU != 65536 {
		t.Fatalf("lo is %+v, %v", lo, ok)
	}
	must(t, AddBridge("br9", 1400))
	if err := AddBridge("br9", 0); !errors.Is(err, unix.EEXIST) {
		t.Fatalf("a second bridge of that name: %v", err)
	}
	br, ok := find(t, "br9")
	if !ok || br.Kind != "bridge" || !br.Ethernet || br.MTU != 1400 || br.Up || len(br.Address) != 6 {
		t.Fatalf("the bridge is %+v, %v", br, ok)
	}
	must(t, SetUp(br.Index))
	must(t, SetMTU(br.Index, 1300))
	if br, _ = find(t, "br9"); !br.Up || br.MTU != 1300 {
		t.Fatalf("the bridge is %+v", br)
	}

	for _, text := range []string{"192.0.2.5/24", "2001:db8::5/64"} {
		a := Address{Index: br.Index, Prefix: netip.MustParsePrefix(text), Valid: 1500 * time.Millisecond}
		must(t, ReplaceAddress(a))
		a.Valid = time.Hour
		must(t, ReplaceAddress(a))
		all, err := Addresses()
		must(t, err)
		i := slices.IndexFunc(all, func(b Address) bool { return b.Prefix == a.Prefix && b.Index == a.Index })
		if i < 0 || all[i].Valid < 59*time.Minute || all[i].Valid > time.Hour || all[i].LinkLocal {
			t.Fatalf("%s is not among %+v", text, all)
		}
	}

	for _, r := range []Route{
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1"), Index: br.Index, Metric: 1002, Protocol: unix.RTPROT_STATIC},
		{Destination: netip.MustParsePrefix("198.51.100.0/24"), Index: br.Index, Metric: 1002, Protocol: unix.RTPROT_STATIC},
		{Destination: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("100.64.0.1"), Index: br.Index, OnLink: true, Protocol: unix.RTPROT_STATIC},
		{Destination: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fe80::1"), Index: br.Index, Metric: 1002, Protocol: unix.RTPROT_STATIC},
	} {
		family := family(r.Destination.Addr())
		same := func(o Route) bool {
			return o.Destination == r.Destination && o.Gateway == r.Gateway && o.Index == r.Index && o.Metric == r.Metric &&
				o.Table == unix.RT_TABLE_MAIN && o.Type == unix.RTN_UNICAST && o.OnLink == r.OnLink && o.Protocol == r.Protocol
		}
		must(t, ReplaceRoute(r))
		must(t, ReplaceRoute(r))
		all, err := Routes(family)
		must(t, err)
		if n := len(slices.DeleteFunc(slices.Clone(all), func(o Route) bool { return !same(o) })); n != 1 {
			t.Fatalf("%s is there %d times:\n%+v", r, n, all)
		}
		must(t, DeleteRoute(r))
		if err := DeleteRoute(r); !errors.Is(err, unix.ESRCH) {
			t.Errorf("removing %s twice: %v", r, err)
		}
		all, err = Routes(family)
		must(t, err)
		if slices.ContainsFunc(all, same) {
			t.Errorf("%s is still there", r)
		}
	}
	a := Address{Index: br.Index, Prefix: netip.MustParsePrefix("192.0.2.5/24")}
	must(t, DeleteAddress(a))
	if err := DeleteAddress(a); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("removing an address twice: %v", err)
	}
	var e *Error
	if err := SetUp(9999); !errors.As(err, &e) || !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that is not there: %v", err)
	}
}

func TestWatch(t *testing.T) {
	if !testenv.InNamespaces(t, unix.CLONE_NEWNET) {
		return
	}
	w, err := NewWatcher()
	must(t, err)
	defer w.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, AddBridge("br9", 0))
	must(t, w.Next(ctx))
	if _, ok := find(t, "br9"); !ok {
		t.Error("there was a change, and nothing has changed")
	}
	reason := errors.New("enough")
	ended, end := context.WithCancelCause(context.Background())
	// Whatever else the bridge's birth brought is read before.
	done := make(chan error, 1)
	go func() {
		for {
			if err := w.Next(ended); err != nil {
				done <- err
				return
			}
		}
	}()
	end(reason)
	if err := <-done; !errors.Is(err, reason) {
		t.Errorf("the context has ended: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	var b builder
	b.text(unix.IFLA_IFNAME, "eth0")
	b.uint32(unix.IFLA_MTU, 1500)
	f.Add([]byte(append(linkHeader(2, 1, 1), b...)))
	f.Add([]byte(addressHeader(Address{Index: 2, Prefix: netip.MustParsePrefix("192.0.2.5/24")})))
	f.Add([]byte(Route{Destination: netip.MustParsePrefix("198.51.100.0/24"), Gateway: netip.MustParseAddr("192.0.2.1"), Index: 2}.message()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, ok, err := parseLink(data); ok && err != nil {
			t.Fatal("a link with an error")
		}
		if a, ok, _ := parseAddress(data); ok && !a.Prefix.IsValid() {
			t.Fatalf("an address without one: %+v", a)
		}
		if r, ok, _ := parseRoute(data); ok && !r.Destination.IsValid() {
			t.Fatalf("a route without destination: %+v", r)
		}
		_, _ = hops(data)
	})
}
