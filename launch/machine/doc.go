// Package machine gives a machine what it needs at start beside mounts, modules and network, and what a distribution's init
// and its services would give it: a console and a kernel log to speak to, kernel parameters, a host name, entropy that
// outlives a boot, a clock that is not in the past, a watchdog.
//
// Observe looks, Plan decides, and the steps' actions do; all three leave a container alone. The actions keep what stands and
// is right, and applied twice they change nothing the second time.
package machine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Action is a change that can be described and made. Apply reports kept where there was nothing to do.
type Action interface {
	Apply(ctx context.Context) (kept bool, err error)
	String() string
}

// Step is an action of the plan. All are optional: Docker runs without every one of them.
type Step struct {
	// Name is a short name of the thing, such as "entropy seed".
	Name string
	// Why is the reason for doing it here; Lost is what is lost where it fails.
	Why, Lost string
	Action    Action
}

// ErrLate is what the error of an action wraps that its disk or device did not let end in time. What it waits for goes on in
// the background.
var ErrLate = errors.New("it has not ended in time, and is left to itself")

// ioLimit bounds what is read and written at boot: a disk may need seconds to spin up, and a broken one never answers.
const ioLimit = 10 * time.Second

// within runs do in a goroutine of its own and waits until it ends, the limit is over or ctx ends: a system call on a broken
// disk may never return, and the boot does not wait for it. A panic becomes an error.
func within[T any](ctx context.Context, limit time.Duration, what string, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if caught := recover(); caught != nil {
				r.err = fmt.Errorf("a mistake in the launcher itself, please report it: %v", caught)
			}
			done <- r
		}()
		r.value, r.err = do()
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%s: %w (%w)", what, ErrLate, context.Cause(ctx))
	}
}

// try is within for what has an error and nothing else.
func try(ctx context.Context, limit time.Duration, what string, do func() error) error {
	_, err := within(ctx, limit, what, func() (struct{}, error) { return struct{}{}, do() })
	return err
}
