package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// releaseTimeout bounds the removal of what a sandbox held, once its processes are gone.
const releaseTimeout = 10 * time.Second

// holdings are the things of the host that outlive the processes of a sandbox and must be removed. Mounts are not among
// them: they are in the sandbox's own namespace and go with its last process. It is data, so that the keeper can be told.
type holdings struct {
	Groups []string
	Veth   *veth
	NAT    *nat
	// TempState is the state folder where Start made it.
	TempState string
}

// release removes what is held. What could be removed is forgotten, so that a second call tries the rest.
func (h *holdings) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	var errs []error
	if h.NAT != nil {
		if err := h.NAT.remove(ctx); err != nil {
			errs = append(errs, err)
		} else {
			h.NAT = nil
		}
	}
	if h.Veth != nil {
		if err := h.Veth.remove(ctx); err != nil {
			errs = append(errs, err)
		} else {
			h.Veth = nil
		}
	}
	var stay []string
	for _, dir := range h.Groups {
		if err := removeTree(ctx, dir); err != nil {
			errs = append(errs, err)
			stay = append(stay, dir)
		}
	}
	h.Groups = stay
	if h.TempState != "" {
		if err := os.RemoveAll(h.TempState); err != nil {
			errs = append(errs, fmt.Errorf("removing the temporary state folder: %w", err))
		} else {
			h.TempState = ""
		}
	}
	return errors.Join(errs...)
}
