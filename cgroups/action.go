package cgroups

import "context"

// Action is a step that changes the system.
type Action interface {
	// Apply does it. It is idempotent: kept is true where what was wanted stood there already, and what stands there and is
	// wrong is an error that names it. Errors are of type *Error, those of ctx, or several of them joined.
	Apply(ctx context.Context) (kept bool, err error)
	// String says in one line what Apply does.
	String() string
	// Means tells what the action is good for.
	Means() Meaning
}

// Meaning is what an action is good for. Every action embeds one.
type Meaning struct {
	// Required: a container manager cannot be started where it failed.
	Required bool `json:"required"`
	// Why tells what it is done for.
	Why string `json:"why"`
	// Lost is what is missing where it failed.
	Lost string `json:"lost,omitempty"`
}

// Means returns the Meaning.
func (m Meaning) Means() Meaning { return m }
