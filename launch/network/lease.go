package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/network/dhcp"
	"github.com/dockerlaunch/dockerlaunch/launch/network/resolv"
)

// lease is what a DHCP server lent an interface.
type lease struct {
	dhcp.Lease
	until time.Time
}

func (l lease) settings(index int) settings { return leased(index, l.Lease, l.until, time.Now()) }

// start starts the DHCP client where one is wanted and none runs. To one that runs it tells that the cable is in again.
func (d *device) start(ctx context.Context, back bool) {
	i := slices.IndexFunc(d.wanted, func(i Interface) bool { return i.Method == bootline.DHCP })
	if i < 0 {
		return
	}
	if d.cancel != nil {
		if back && d.wake != nil {
			select {
			case d.refresh <- struct{}{}:
			default: // it has been told already
			}
			d.wake()
		}
		return
	}
	ctx, d.cancel = context.WithCancel(ctx)
	config := dhcp.Config{Hardware: d.link.Address, ClientID: d.wanted[i].ClientID, Hostname: d.wanted[i].Hostname}
	m := d.manager
	index, name := d.link.Index, d.link.Name
	m.running.Go(func() {
		for ctx.Err() == nil {
			err := m.protect(func() error { return d.client(ctx, index, name, config) })
			if ctx.Err() == nil {
				m.protect(func() error { d.problem(err); return nil })
				pause(ctx, retryPause)
			}
		}
	})
}

// client runs one DHCP client until ctx ends or the socket cannot be had.
func (d *device) client(ctx context.Context, index int, name string, config dhcp.Config) (err error) {
	transport, err := dhcp.Open(index, name)
	if err != nil {
		return err
	}
	d.setWake(transport.Interrupt)
	defer func() {
		d.setWake(nil)
		err = errors.Join(err, transport.Close())
	}()
	return dhcp.Client{
		Machine: dhcp.New(config), Transport: transport, Refresh: d.refresh,
		Event: func(e dhcp.Event) { d.leased(ctx, e) }, Problem: d.problem,
	}.Run(ctx)
}

func (d *device) setWake(wake func()) {
	d.manager.mu.Lock()
	defer d.manager.mu.Unlock()
	d.wake = wake
}

func (d *device) problem(err error) {
	d.manager.mu.Lock()
	defer d.manager.mu.Unlock()
	d.report(Problem, err.Error(), err)
}

// leased applies what has happened to the lease.
func (d *device) leased(ctx context.Context, e dhcp.Event) {
	m := d.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return // the interface is gone, or somebody else's now
	}
	var had *settings
	if d.lease != nil {
		s := d.lease.settings(d.link.Index)
		had = &s
	}
	if e.Lost {
		d.lease = nil
		if had != nil {
			if err := had.remove(); err != nil {
				d.report(Problem, err.Error(), err)
			}
		}
		m.nameservers()
		d.report(Lost, fmt.Sprintf("%s lost the address %s: %s", d.link.Name, e.Lease.Address, e.Reason), nil)
		return
	}
	d.lease = &lease{e.Lease, e.Until}
	now := d.lease.settings(d.link.Index)
	if err := now.apply(had, d.link); err != nil {
		d.report(Problem, err.Error(), err)
	}
	if now.mtu > 0 {
		d.link.MTU = now.mtu
	}
	kind, text := Configured, fmt.Sprintf("%s got the address %s from %s", d.link.Name, now, e.Lease.Server)
	if had != nil && had.address.Prefix == e.Lease.Address {
		kind, text = Renewed, fmt.Sprintf("%s keeps the address %s", d.link.Name, e.Lease.Address)
	}
	if !e.Until.IsZero() {
		text += fmt.Sprintf(", for %s", e.Lease.Time)
	}
	defer d.report(kind, text, nil) // last, for who waits for all of it
	m.nameservers()
	m.hostname(d, e.Lease.Hostname)
}

// nameservers writes resolv.conf. Where no name server is known the file stays: those of before are better than none.
func (m *manager) nameservers() {
	var c resolv.Config
	add := func(servers []netip.Addr) {
		for _, s := range servers {
			if !slices.Contains(c.Nameservers, s) {
				c.Nameservers = append(c.Nameservers, s)
			}
		}
	}
	for _, d := range m.sorted() {
		for _, i := range d.wanted {
			add(i.DNS)
		}
	}
	for _, d := range m.sorted() {
		if d.lease == nil {
			continue
		}
		add(d.lease.Nameservers)
		if domain := d.lease.Domain; domain != "" && !slices.Contains(c.Search, domain) {
			c.Search = append(c.Search, domain)
		}
	}
	if len(c.Nameservers) == 0 {
		return
	}
	_, err := resolv.Write(m.config.resolvConf(), c)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != m.resolv {
		m.report(Event{Kind: Problem, Text: text, Err: err})
	}
	m.resolv = text
}

// hostname hands a name on that is new.
func (m *manager) hostname(d *device, name string) {
	if name == "" || name == m.host || m.cb.Hostname == nil {
		return
	}
	if err := m.cb.Hostname(name); err != nil {
		d.report(Problem, err.Error(), err)
		return
	}
	m.host = name
}
