package queue

import (
	"context"
	"sync"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

const (
	// leaseTime is how long the jobs of a process that died wait at most. Those of one
	// that lives are leased again and again, until what became of them is stored.
	leaseTime = 90 * time.Second
	// extendEvery is how often leases are looked at, and extendBelow what must be left
	// of one: attempts that take no more than half a minute cost nothing.
	extendEvery = 15 * time.Second
	extendBelow = 60 * time.Second
)

// leases are those that a Run holds: from the claim until the outcome is stored.
type leases struct {
	claiming sync.Mutex // held while a claim is made and noted
	mu       sync.Mutex // guards held
	held     map[tracking.ID]*holding
}

type holding struct {
	token uint64
	until time.Time
	lost  bool // to somebody else
}

// claim notes what f claims, and returns what is new. The rest was held already, and
// its lease had run out, because the store could not be told in time: it goes on under
// the new one, and is not sent twice.
func (l *leases) claim(f func() ([]Lease, error)) (fresh, known []Lease, err error) {
	l.claiming.Lock()
	defer l.claiming.Unlock()
	claimed, err := f()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range claimed {
		if l.held[c.ID] == nil {
			fresh = append(fresh, c)
		} else {
			known = append(known, c)
		}
		l.held[c.ID] = &holding{token: c.Token, until: c.Until}
	}
	return fresh, known, err
}

// token is that of the lease by which a job is held.
func (l *leases) token(id tracking.ID) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[id].token
}

// lost reports whether a job is not held by the lease of this token any more, nor by a
// newer one, even by a claim that is being made.
func (l *leases) lost(id tracking.ID, token uint64) bool {
	l.claiming.Lock()
	defer l.claiming.Unlock()
	return l.token(id) == token
}

// drop forgets a job.
func (l *leases) drop(id tracking.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// ending returns extensions of the leases that end soon.
func (l *leases) ending(now time.Time) (changes []Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, h := range l.held {
		if !h.lost && h.until.Sub(now) < extendBelow {
			changes = append(changes, Change{ID: id, Token: h.token, Extend: now.Add(leaseTime)})
		}
	}
	return changes
}

// extended notes extensions, but for those that came too late.
func (l *leases) extended(changes []Change, stale []tracking.ID) {
	late := make(map[tracking.ID]bool, len(stale))
	for _, id := range stale {
		late[id] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		if h := l.held[c.ID]; h != nil && h.token == c.Token {
			h.until, h.lost = c.Extend, late[c.ID]
		}
	}
}

// keepLeases extends what Run holds until ctx ends.
func (r *run) keepLeases(ctx context.Context) {
	for sleep(ctx, extendEvery); ctx.Err() == nil; sleep(ctx, extendEvery) {
		if changes := r.leases.ending(time.Now()); len(changes) > 0 {
			r.extend(ctx, changes)
		}
	}
}

// extend moves the ends of leases. If it cannot, the attempts go on, and it is tried
// again.
func (r *run) extend(ctx context.Context, changes []Change) {
	ctx, cancel := context.WithTimeout(ctx, extendEvery)
	defer cancel()
	stale, err := r.store.Settle(ctx, changes)
	if err != nil {
		r.opts.Log.Warn("queue: leases not extended", "jobs", len(changes), "err", err)
		return
	}
	r.leases.extended(changes, stale)
}
