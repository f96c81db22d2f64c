package queue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

// Apply cancels, holds, releases or retries every job that the filter matches, and
// returns how many it changed. The zero Filter matches all jobs. Holding by lane,
// tenant or campaign also holds what is queued later, until released, also across
// restarts. What is being sent at this moment is not called back.
func (q *Queue) Apply(ctx context.Context, f Filter, action Action) (int, error) {
	now := time.Now()
	n, err := q.store.Apply(ctx, f, action, now)
	if err != nil {
		return n, fmt.Errorf("queue: apply: %w", err)
	}
	if action == Release || action == Retry {
		q.sweepNow.Store(true)
		q.notify()
	}
	return n, nil
}

// Jobs returns up to limit jobs that the filter matches, in the order of their IDs,
// from the first after the given one; the zero ID starts at the beginning.
func (q *Queue) Jobs(ctx context.Context, f Filter, after tracking.ID, limit int) ([]Job, error) {
	return q.store.List(ctx, f, after, limit)
}

// Job returns one job, or [ErrNotFound].
func (q *Queue) Job(ctx context.Context, id tracking.ID) (*Job, error) {
	jobs, err := q.store.List(ctx, Filter{IDs: []tracking.ID{id}}, tracking.ID{}, 1)
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("queue: job %v: %w", id, ErrNotFound)
	}
	return &jobs[0], nil
}

// Timeline returns what happened to one mail, oldest first: that it was queued,
// each attempt, and what came back later.
func (q *Queue) Timeline(ctx context.Context, id tracking.ID) ([]tracking.Event, error) {
	job, err := q.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	queued := labelled(job)
	queued.ID, queued.Type, queued.Time = tracking.EventID(tracking.Queued, id), tracking.Queued, id.Time()
	events := []tracking.Event{queued}
	if q.journal == nil {
		return events, nil
	}
	past, err := q.events(ctx, EventFilter{Message: id})
	if err != nil {
		return nil, fmt.Errorf("queue: events of %v: %w", id, err)
	}
	return append(events, past...), nil
}

// events returns all events that the filter matches, by time.
func (q *Queue) events(ctx context.Context, f EventFilter) (events []tracking.Event, err error) {
	var after tracking.ID
	for {
		page, err := q.journal.Events(ctx, f, after, eventsPage)
		if err != nil {
			return nil, err
		}
		events = append(events, page...)
		if len(page) < eventsPage {
			return events, nil
		}
		after = page[len(page)-1].ID
	}
}

const eventsPage = 500

// Stats counts what is in the queue.
func (q *Queue) Stats(ctx context.Context) (Stats, error) { return q.store.Stats(ctx) }

// Pool is how mail to one destination stands: to a provider, or to a lane that
// belongs to none.
type Pool struct {
	Name string
	// Provider says that it is a [Provider]'s, or that of all mail.
	Provider bool
	// Sending is the number of attempts under way, Allowed how many there may be
	// at once; 0 means no limit. Both are this worker's own.
	Sending, Allowed int
	// Workers is the number of those who divide the limits among them, this one
	// included. Elsewhere says that its share is nothing: the others send this mail.
	Workers   int
	Elsewhere bool
	// Suspended is until when nothing is sent there, and Why the reply or the error
	// that led to it. The zero time means that it is not suspended.
	Suspended time.Time
	Why       string
}

// Pools tells how each destination stands that the queue has used of late, by
// name. The first, "total", is that of all mail.
func (q *Queue) Pools() []Pool {
	q.sched.mu.Lock()
	defer q.sched.mu.Unlock()
	now := time.Now()
	pools := make([]Pool, 0, len(q.sched.pools)+1)
	for _, p := range q.sched.pools {
		pools = append(pools, q.sched.describe(p, now))
	}
	slices.SortFunc(pools, func(a, b Pool) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Insert(pools, 0, q.sched.describe(q.sched.total, now))
}

func (s *scheduler) describe(p *pool, now time.Time) Pool {
	d := Pool{
		Name: p.name, Provider: p.provider != nil || p.name == total,
		Sending: p.inUse, Allowed: min(p.allowed, p.connections), Elsewhere: p.connections == 0, Workers: 1,
	}
	if d.Allowed == unlimited {
		d.Allowed = 0
	}
	if s.crew != nil {
		d.Workers = max(1, len(s.crew.members))
	}
	if now.Before(p.suspended) {
		d.Suspended, d.Why = p.suspended, p.why
	}
	return d
}
