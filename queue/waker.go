package queue

import (
	"context"
	"time"
)

// Waker is an optional ability of a [Store] that several processes share: it tells
// Run at once of work that another process has put. Without it, and for what it
// misses, Run finds such work by asking once a second.
type Waker interface {
	// Wake calls f for flows that have got a job that is due, until ctx ends or the
	// store cannot listen any more, and returns why. It may call f once for many jobs,
	// and for flows without any; f never blocks.
	Wake(ctx context.Context, f func(Flow)) error
}

// listen has the store, if it can, wake the scheduler until ctx ends.
func (r *run) listen(ctx context.Context) {
	w, ok := r.store.(Waker)
	if !ok {
		return
	}
	r.group.Go(func() {
		for {
			err := w.Wake(ctx, func(f Flow) {
				r.sched.due(f, time.Now())
				r.notify()
			})
			if ctx.Err() != nil {
				return
			}
			r.opts.Log.Warn("queue: store does not tell of new work, it is found within a second", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(sweepEvery):
			}
		}
	})
}

// In returns a queue that stores into another store than q and is q otherwise, such
// as a view of q's own store in a transaction of the host. It is for Send and
// SendAll and what manages mail; Run is for q.
func (q *Queue) In(store Store) *Queue {
	in := &Queue{
		store: store, transport: q.transport, tracker: q.tracker, opts: q.opts, classify: q.classify, shaping: q.shaping, direct: q.direct,
		sched: q.sched, wake: q.wake,
	}
	in.buffers.New = q.buffers.New
	in.journal, _ = store.(Journal)
	in.suppressions, _ = store.(SuppressionList)
	in.meter, _ = store.(Meter)
	in.running.Store(true)
	return in
}
