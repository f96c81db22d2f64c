package queue

import (
	"context"
	"sync"
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

const (
	// beatEvery is how often a worker is heard, and a quarter of it while workers come
	// or go.
	beatEvery = time.Second
	// beatTime bounds the wait for the store: two must fail before it is too late.
	beatTime = 2 * time.Second
	// maxSkew is how far the clocks of workers may be apart, by which jobs are due.
	maxSkew = 5 * time.Second
)

// stay keeps up, beside the loop of Run, what the store knows of it: that it lives, if
// it can be told, and the leases that it holds. The function that it returns ends that,
// when the last attempt has ended.
func (r *run) stay() (leave func()) {
	ctx, stop := context.WithCancel(r.storing)
	var staying sync.WaitGroup
	staying.Go(func() { r.keepLeases(ctx) })
	roster, shared := r.store.(Roster)
	if shared {
		r.sched.enlist()
		staying.Go(func() { r.keepBeating(ctx, roster) })
	}
	return func() {
		stop()
		staying.Wait()
		if shared {
			r.forget(r.storing, roster, r.sched.retire())
		}
	}
}

// keepBeating tells the others of this worker until ctx ends.
func (r *run) keepBeating(ctx context.Context, roster Roster) {
	h := &heart{run: r, roster: roster}
	for ctx.Err() == nil {
		sleep(ctx, h.beat(ctx))
	}
}

// forget has the store forget a worker, and does not mind: it will by itself.
func (r *run) forget(ctx context.Context, roster Roster, id tracking.ID) {
	if err := roster.Leave(ctx, id); err != nil {
		r.opts.Log.Debug("queue: worker has not left", "worker", id, "err", err)
	}
}

// heart makes the heartbeats of a Run.
type heart struct {
	*run
	roster Roster
	view   uint64 // that was told last
	failed bool   // the last one
	skewed bool   // the clock was, at the last one
}

// beat tells the others of this worker, and hears of them. It returns how long to
// wait for the next.
func (h *heart) beat(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, beatTime)
	defer cancel()
	sent := time.Now()
	worker, dead := h.sched.report(sent)
	if !dead.IsZero() {
		h.opts.Log.Error("queue: worker was not heard and has stopped; it starts again as another", "worker", dead, "new", worker.ID)
		h.forget(ctx, h.roster, dead)
	}
	if worker.View != h.view {
		h.view = worker.View
		h.closeIdle()
	}
	alive, now, err := h.roster.Heartbeat(ctx, worker, timeToLive+trail)
	if err != nil {
		if !h.failed && h.storing.Err() == nil {
			h.opts.Log.Warn("queue: worker is not heard", "worker", worker.ID, "err", err, "stops_in", timeToLive)
		}
		h.failed = true
		return beatEvery / 4
	}
	h.failed = false
	h.compare(sent, now)
	settled := h.sched.heard(sent, time.Now(), alive)
	h.notify()
	if settled {
		return beatEvery
	}
	return beatEvery / 4
}

// closeIdle has the transport, if it can, close the connections that it keeps for
// later: now they can be somebody else's.
func (h *heart) closeIdle() {
	defer h.rescue("CloseIdle", func() {})
	if t, ok := h.transport.(interface{ CloseIdle() }); ok {
		t.CloseIdle()
	}
}

// compare warns of a clock that is far from the store's.
func (h *heart) compare(sent, store time.Time) {
	early, late := sent.Sub(store), time.Until(store)
	skewed := max(early, late) > maxSkew
	if skewed && !h.skewed {
		h.opts.Log.Warn("queue: clock differs from the store's: mail is sent early or late", "ours", sent, "store", store)
	}
	h.skewed = skewed
}

// sleep waits, but not longer than ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
