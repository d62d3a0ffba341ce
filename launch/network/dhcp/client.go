package dhcp

import (
	"context"
	"errors"
	"os"
	"time"
)

// Client is a running client's surroundings.
type Client struct {
	Machine   *Machine
	Transport Transport
	// Event is called for what happens to the lease, before the machine goes on.
	Event func(Event)
	// Problem is called for what failed and is tried again.
	Problem func(error)
	// Refresh, where it is not nil, makes the machine ask at once for each value; Transport.Interrupt has to follow.
	Refresh <-chan struct{}
}

// problemPause is how long to wait after an error of the socket, which otherwise could repeat itself without end, as
// while the interface is down.
const problemPause = time.Second

// Run keeps a lease until ctx ends, whose cause it returns. Only that ends it: servers that are gone and an
// interface that is down are waited for. It does not close the Transport, and leaves the address to its lifetime.
func (c Client) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.Transport.Interrupt)
	defer stop()
	for ctx.Err() == nil {
		select {
		case <-c.Refresh:
			c.Machine.Refresh(time.Now())
		default:
		}
		c.do(c.Machine.Tick(time.Now()))
		data, err := c.Transport.Receive(c.Machine.Next())
		switch {
		case err == nil:
			c.take(data)
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			c.Problem(err)
			select {
			case <-time.After(problemPause):
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

func (c Client) take(data []byte) {
	// What is damaged, or somebody else's, is nothing to speak of: every client on the link receives such messages.
	msg, err := Unpack(data)
	if err != nil {
		return
	}
	out, err := c.Machine.Receive(time.Now(), msg)
	if err != nil && !errors.Is(err, ErrNotForUs) {
		c.Problem(err)
	}
	c.do(out)
}

// do reports what happened before it sends: a request for a lease that was just lost must not carry its address.
func (c Client) do(out Output) {
	for _, e := range out.Events {
		c.Event(e)
	}
	for _, p := range out.Send {
		if err := c.Transport.Send(p); err != nil {
			c.Problem(err)
		}
	}
}
