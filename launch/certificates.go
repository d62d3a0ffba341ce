package launch

import (
	"context"
	"time"

	"github.com/dockerlaunch/dockerlaunch/internal/random"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
	"github.com/dockerlaunch/dockerlaunch/launch/network"
)

// addressLimit bounds the wait for a machine's first address. A DHCP server answers within milliseconds, or hardly ever.
const addressLimit = 3 * time.Second

// makeCertificates applies the plan of the certificates, for which the generator of their keys has to be seeded. On a machine, whose
// interfaces get their addresses beside everything else, the names are those that it has after a short wait.
func (s *supervisor) makeCertificates(ctx context.Context, plan *certs.Plan) (kept bool, err error) {
	if err := s.seeded(ctx); err != nil {
		return false, err
	}
	if s.boot != nil {
		if err := s.awaitAddress(ctx); err != nil {
			return false, err
		}
		facts, err := network.Observe()
		if err != nil {
			return false, err
		}
		if plan, err = planCertificates(s.config, plan.Dir, facts); err != nil {
			return false, err
		}
	}
	return plan.Apply(ctx)
}

// awaitAddress waits for a machine's first address, whose time begins when the drivers are there.
func (s *supervisor) awaitAddress(ctx context.Context) error {
	settled, late := s.boot.settled, (<-chan time.Time)(nil)
	for {
		select {
		case <-s.boot.configured:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-settled:
			settled, late = nil, time.After(addressLimit)
		case <-late:
			s.config.log().Warnf("no address was got within %v. Lost: its place in the server's certificate, until the next start", addressLimit)
			return nil
		}
	}
}

// seeded waits until the kernel's random number generator is seeded, and says so.
func (s *supervisor) seeded(ctx context.Context) error {
	return random.Wait(ctx, func() {
		s.announce("waiting for the kernel's random number generator to be seeded, for no longer than a minute")
	})
}
