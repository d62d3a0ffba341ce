package network

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/bootline"
	"github.com/dockerlaunch/dockerlaunch/launch/network/rtnl"
)

// Kind is what an Event tells of.
type Kind string

// The kinds of events.
const (
	// LinkUp: an interface was brought up.
	LinkUp Kind = "link up"
	// Configured: a static address was set, or a lease was got.
	Configured Kind = "configured"
	// Renewed: a lease goes on.
	Renewed Kind = "renewed"
	// Lost: a lease is over, and its address was taken away.
	Lost Kind = "lost"
	// Problem: something failed, which is tried again.
	Problem Kind = "problem"
)

// Event is something that has happened to the network.
type Event struct {
	Kind Kind `json:"kind"`
	// Device is the interface; "" where it concerns them all.
	Device string `json:"device,omitempty"`
	// Text says it in words, for the log.
	Text string `json:"text"`
	// Err is what failed, for Problem.
	Err error `json:"-"`
}

// Callbacks are called one at a time, from several goroutines. Each may be nil.
type Callbacks struct {
	// Event is told what happens.
	Event func(Event)
	// Hostname is handed the name that a DHCP server gave this machine.
	Hostname func(name string) error
	// Panic is told of a panic, after which the part that it came from begins again.
	Panic func(value any, stack []byte)
}

// retryPause is how long to wait before what failed is tried again, where no change of the interfaces comes first.
const retryPause = 5 * time.Second

// settle is how long to wait after a change for more of them: a container that starts makes a dozen.
const settle = 50 * time.Millisecond

// Run brings up the interfaces that there are and those that come, and keeps their addresses, until ctx ends, whose cause it
// returns. Nothing else ends it: it is for the life of a machine, beside everything else, and nobody has to wait for it.
// Addresses stay when it ends.
func Run(ctx context.Context, c Config, cb Callbacks) error {
	m := &manager{config: c, cb: cb, wired: Wired, devices: map[int]*device{}}
	defer m.running.Wait()
	for ctx.Err() == nil {
		if err := m.protect(func() error { return m.watch(ctx) }); err != nil && ctx.Err() == nil {
			m.report(Event{Kind: Problem, Text: err.Error(), Err: err})
			pause(ctx, retryPause)
		}
	}
	return context.Cause(ctx)
}

// manager is the state behind Run.
type manager struct {
	config  Config
	cb      Callbacks
	wired   func(rtnl.Link) bool
	running sync.WaitGroup

	// mu guards what follows, and what is done to the system: one change at a time.
	mu      sync.Mutex
	devices map[int]*device
	resolv  string // the last problem with resolv.conf, which is not told again and again
	host    string // the last name from a server
}

// watch follows the interfaces. Where something failed it returns after a while, so as to be called again.
func (m *manager) watch(ctx context.Context) error {
	w, err := rtnl.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		failed, err := m.reconcile(ctx)
		if err != nil {
			return err
		}
		limit := forever
		if failed {
			limit = retryPause
		}
		if over, err := next(ctx, w, limit); over || err != nil {
			return err
		}
		pause(ctx, settle)
	}
}

// forever is a wait that ends with the context only.
const forever time.Duration = 1<<63 - 1

// next waits for a change. over tells that the time was over instead, and the watcher with it.
func next(ctx context.Context, w *rtnl.Watcher, limit time.Duration) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = w.Next(ctx)
	if ctx.Err() != nil {
		return true, nil
	}
	return false, err
}

// reconcile looks at all interfaces and does what is to be done. failed tells that something is to be tried again.
func (m *manager) reconcile(ctx context.Context) (failed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	links, err := rtnl.Links()
	if err != nil {
		return false, err
	}
	addresses, err := rtnl.Addresses()
	if err != nil {
		return false, err
	}
	table, err := routes()
	if err != nil {
		return false, err
	}
	wanted := m.config.assign(links, m.wired)
	for index, d := range m.devices {
		if _, ok := wanted[index]; !ok {
			d.stop() // it is gone, or has become a port of a bridge
			delete(m.devices, index)
		}
	}
	for _, l := range links {
		list, ok := wanted[l.Index]
		if !ok {
			continue
		}
		d := m.devices[l.Index]
		if d == nil {
			d = &device{manager: m, link: l, wanted: list, refresh: make(chan struct{}, 1)}
			m.devices[l.Index] = d
		}
		err := d.follow(ctx, l, addresses, table)
		if err != nil && err.Error() != d.told {
			d.report(Problem, err.Error(), err) // once, and not each time that it is tried again
		}
		if d.told = ""; err != nil {
			d.told, failed = err.Error(), true
		}
	}
	m.nameservers()
	return failed, nil
}

// device is an interface that is looked after. Its fields are guarded by manager.mu.
type device struct {
	manager *manager
	link    rtnl.Link
	wanted  []Interface
	begun   bool   // it was brought up once; whoever takes it down later means it
	told    string // the problem that was told last
	fixed   []settings
	lease   *lease
	cancel  context.CancelFunc
	wake    func()
	refresh chan struct{}
}

// follow does what a change of the link calls for, given all addresses and routes there are.
func (d *device) follow(ctx context.Context, l rtnl.Link, addresses []rtnl.Address, table []rtnl.Route) error {
	was := d.link
	d.link = l
	if !d.begun {
		// Before it is up, as the kernel asks for routers at once.
		if _, err := (RouterAdvertisements{l.Name}).Apply(ctx); err != nil {
			d.report(Problem, err.Error(), err) // costs IPv6 at most
		}
		if !l.Up {
			if err := rtnl.SetUp(l.Index); err != nil {
				return err
			}
			d.link.Up = true
			d.report(LinkUp, "brought up "+l.Name, nil)
		}
		d.begun = true
	}
	if !d.link.Up {
		return nil
	}
	back := l.Carrier && !was.Carrier
	fresh, err := d.static()
	if err != nil {
		return err
	}
	// A link that goes down loses its routes and its IPv6 addresses, also when it is up again before we come to look.
	for _, want := range d.settings() {
		if fresh || want.stand(addresses, table) {
			continue
		}
		if err := want.apply(nil, l); err != nil {
			return err
		}
		back = true
	}
	if l.Carrier {
		d.start(ctx, back)
	}
	return nil
}

// settings are all that the interface is to have now.
func (d *device) settings() []settings {
	all := slices.Clone(d.fixed)
	if d.lease != nil {
		all = append(all, d.lease.settings(d.link.Index))
	}
	return all
}

// static sets the fixed addresses for the first time; fresh tells that it did so just now.
func (d *device) static() (fresh bool, err error) {
	if len(d.fixed) > 0 {
		return false, nil
	}
	var done []settings
	for _, i := range d.wanted {
		if i.Method != bootline.Static {
			continue
		}
		s := fixed(d.link.Index, i)
		if err := s.apply(nil, d.link); err != nil {
			return false, err
		}
		done = append(done, s)
	}
	d.fixed = done
	for _, s := range done {
		d.report(Configured, fmt.Sprintf("%s has the address %s", d.link.Name, s), nil)
	}
	return len(done) > 0, nil
}

// report tells of the interface.
func (d *device) report(kind Kind, text string, err error) {
	d.manager.report(Event{kind, d.link.Name, text, err})
}

// stop ends what runs for the interface.
func (d *device) stop() {
	if d.cancel != nil {
		d.cancel()
	}
}

// report calls the callback.
func (m *manager) report(e Event) {
	if m.cb.Event != nil {
		m.cb.Event(e)
	}
}

// protect turns a panic into a call of the callback, and an error.
func (m *manager) protect(do func() error) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
			m.panicked(caught, debug.Stack())
		}
	}()
	return do()
}

func (m *manager) panicked(value any, stack []byte) {
	// One in the callback itself has nobody left to be told to, and must not end PID 1.
	defer func() { _ = recover() }()
	if m.cb.Panic != nil {
		m.cb.Panic(value, stack)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// sorted returns the devices in the kernel's order.
func (m *manager) sorted() []*device {
	var all []*device
	for _, d := range m.devices {
		all = append(all, d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].link.Index < all[j].link.Index })
	return all
}
