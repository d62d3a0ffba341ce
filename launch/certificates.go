package launch

import (
	"context"

	"github.com/dockerlaunch/dockerlaunch/internal/random"
	"github.com/dockerlaunch/dockerlaunch/launch/certs"
)

// makeCertificates applies the plan of the certificates, for which the generator of their keys has to be seeded.
func (s *supervisor) makeCertificates(ctx context.Context, plan *certs.Plan) (kept bool, err error) {
	if err := s.seeded(ctx); err != nil {
		return false, err
	}
	return plan.Apply(ctx)
}

// seeded waits until the kernel's random number generator is seeded, and says so.
func (s *supervisor) seeded(ctx context.Context) error {
	if random.Ready() {
		return nil
	}
	s.announce("waiting for the kernel's random number generator to be seeded, for no longer than " + random.Limit.String())
	return random.Wait(ctx)
}
