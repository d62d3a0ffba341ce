package launch

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dockerlaunch/dockerlaunch/launch/pidone"
	"golang.org/x/sys/unix"
)

// TestEarlySignals: what is asked for while there is no daemon yet, on a machine and elsewhere, and whether it was asked before that
// was known.
func TestEarlySignals(t *testing.T) {
	const rtmin = 34
	machine, container := &supervisor{first: true}, &supervisor{}
	for _, c := range []struct {
		where  *supervisor
		signal unix.Signal
		ends   bool
	}{
		{machine, unix.SIGTERM, true},
		{machine, unix.SIGINT, true},
		{machine, unix.SIGUSR1, true},
		{machine, unix.SIGUSR2, true},
		{machine, unix.SIGPWR, true},
		{machine, rtmin + 3, true},
		{machine, rtmin + 4, true},
		{machine, rtmin + 5, true},
		{machine, unix.SIGQUIT, false},
		{machine, unix.SIGHUP, false},
		{machine, unix.SIGWINCH, false},
		{container, unix.SIGTERM, true},
		{container, unix.SIGINT, true},
		{container, unix.SIGQUIT, true},
		{container, unix.SIGUSR1, false},
		{container, unix.SIGPWR, false},
		{container, rtmin + 3, false},
		{container, unix.SIGHUP, false},
	} {
		for _, early := range []bool{true, false} {
			signals, known, done := make(chan unix.Signal), make(chan struct{}), make(chan struct{})
			ctx, stop := context.WithCancelCause(t.Context())
			kept := make(chan []unix.Signal)
			go func() { kept <- earlySignals(signals, known, done, c.where.endsBoot, stop) }()
			if early {
				signals <- c.signal
				if ctx.Err() != nil {
					t.Errorf("%s is obeyed before it is known what it means", pidone.SignalName(c.signal))
				}
				close(known)
			} else {
				close(known)
				signals <- c.signal
			}
			if c.ends {
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
					t.Errorf("%s does not end the start (on a machine: %t, early: %t)", pidone.SignalName(c.signal), c.where == machine, early)
				}
				var cause *SignalError
				if err := context.Cause(ctx); !errors.As(err, &cause) || cause.Signal != c.signal {
					t.Errorf("%s ends the start with %v", pidone.SignalName(c.signal), err)
				}
			}
			close(done)
			if got := <-kept; slices.Contains(got, c.signal) == c.ends {
				t.Errorf("%s is kept for the daemon: %t (on a machine: %t, early: %t)", pidone.SignalName(c.signal), !c.ends, c.where == machine, early)
			}
		}
	}
}
