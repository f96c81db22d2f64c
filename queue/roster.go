package queue

import (
	"context"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

// Roster is an optional ability of a [Store] that several Runs can share: it tells
// each of them which workers are alive, so that together they keep to the
// connections and the rates of [Limit]. Without it each Run has these for itself.
//
// A store keeps one entry for each worker, and understands none of it. Who lives is
// decided by one clock, the store's own.
type Roster interface {
	// Heartbeat says that a worker lives until ttl from now: it adds its entry or
	// replaces it, end included, and then returns the entries of all workers that are
	// alive, its own too, in the order of their IDs, and the time by the store's
	// clock. It writes before it reads, so that of two workers that come at the same
	// time one at least finds the other. Who has left or ended before it began is not
	// returned. A zero ID, and a ttl that is not positive, are errors.
	Heartbeat(ctx context.Context, w Worker, ttl time.Duration) (alive []Worker, now time.Time, err error)
	// Leave takes the entry of a worker away. An unknown one changes nothing.
	Leave(ctx context.Context, id tracking.ID) error
}

// Worker is one Run, as the others see it.
type Worker struct {
	// ID is of this Run, and never used again.
	ID tracking.ID
	// View stands for the set of workers among which this one divides the limits.
	View uint64
}
