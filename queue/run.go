package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

const (
	// leaseTime is longer than any attempt: attemptTime bounds those.
	leaseTime   = 20 * time.Minute
	attemptTime = 15 * time.Minute
	// sweepEvery is how often the store is asked for flows that came due without
	// this Run's doing: what waited at start, was scheduled, or came from another
	// process.
	sweepEvery = time.Second
	// gatherTime is how long a claim waits for more attempts to end, so that under
	// load one claim serves many.
	gatherTime = 2 * time.Millisecond
)

// Run sends what is due until ctx ends. It then claims nothing more, waits for the
// attempts under way, at most Options.DrainTimeout, settles them, and returns nil.
// What an attempt had not sent by then goes back to the queue untouched.
//
// Run owns every goroutine that it starts: none is left when it returns. A store
// that fails is asked again, ever more slowly, and logged; Run returns an error
// only when the store is closed, or when Run is running already.
func (q *Queue) Run(ctx context.Context) error {
	if !q.running.CompareAndSwap(false, true) {
		return errors.New("queue: Run is running already")
	}
	defer q.running.Store(false)

	attempts, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		drain := time.AfterFunc(q.opts.DrainTimeout, end)
		context.AfterFunc(attempts, func() { drain.Stop() })
	})
	defer stop()

	r := &run{Queue: q, attempts: attempts, resolved: map[string]time.Time{}}
	r.listen(ctx)
	err := r.loop(ctx)
	r.group.Wait()
	r.handBack(attempts)
	return err
}

// run is one call of Run.
type run struct {
	*Queue
	attempts context.Context // of the attempts: outlives Run's by the drain
	group    sync.WaitGroup
	swept    time.Time
	sweeping time.Duration        // how long the last sweep took
	resolved map[string]time.Time // when MX was asked for, by lane
	trouble  int                  // failures of the store in a row
}

func (r *run) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		err := r.step(ctx)
		switch {
		case err == nil:
			r.trouble = 0
		case ctx.Err() != nil:
		case errors.Is(err, ErrClosed):
			return err
		default:
			r.trouble++
			wait := min(100*time.Millisecond<<min(r.trouble, 10), time.Minute)
			r.opts.Log.Error("queue: store failed", "err", err, "again_in", wait)
			r.wait(ctx, time.Now().Add(wait))
		}
	}
	return nil
}

// step sweeps if it is time to, starts what may start, and waits for a change.
func (r *run) step(ctx context.Context) error {
	now := time.Now()
	if r.sweepNow.Swap(false) || now.Sub(r.swept) >= max(sweepEvery, 20*r.sweeping) {
		if err := r.sweep(ctx, now); err != nil {
			return err
		}
	}
	free := r.opts.Concurrency - int(r.busy.Load())
	if free == 0 {
		r.wait(ctx, r.swept.Add(sweepEvery))
		return nil
	}
	r.refill(ctx, now)
	shares := r.sched.pick(now, free)
	if len(shares) == 0 {
		if len(r.sched.thirsty(now)) == 0 {
			r.wait(ctx, r.sched.next())
		}
		return nil
	}
	if err := r.claim(ctx, now, shares); err != nil {
		return err
	}
	if r.opts.Concurrency-int(r.busy.Load()) < r.opts.Concurrency/4 {
		r.gather(ctx)
	}
	return nil
}

// sweep learns from the store which flows are due, or will be.
func (r *run) sweep(ctx context.Context, now time.Time) error {
	err := r.store.Flows(ctx, func(f Flow, due time.Time) bool {
		r.sched.due(f, due)
		r.resolve(ctx, f.Lane, now)
		return ctx.Err() == nil
	})
	r.sched.prune(now)
	r.swept, r.sweeping = time.Now(), time.Since(now)
	if err != nil {
		return fmt.Errorf("queue: list flows: %w", err)
	}
	return nil
}

// claim leases the jobs of the shares and starts their attempts.
func (r *run) claim(ctx context.Context, now time.Time, shares []share) error {
	claims := make([]FlowClaim, len(shares))
	for i, s := range shares {
		claims[i] = s.FlowClaim
	}
	leases, err := r.store.Claim(ctx, now, now.Add(leaseTime), claims)
	if err != nil {
		for _, s := range shares {
			r.sched.handBack(now, s.pool, s.N)
		}
		return fmt.Errorf("queue: claim: %w", err)
	}
	got := make(map[Flow]int, len(shares))
	for _, lease := range leases {
		got[lease.Flow]++
	}
	pools := make(map[Flow]*pool, len(shares))
	for _, s := range shares {
		r.sched.claimed(now, s, got[s.Flow])
		pools[s.Flow] = s.pool
	}
	for _, a := range r.prepare(now, leases) {
		r.busy.Add(1)
		r.group.Go(func() {
			defer r.notify()
			defer r.busy.Add(-1)
			r.attempt(r.attempts, a, pools[a.Flow])
		})
	}
	return nil
}

// resolve finds out, once in an hour, which hosts take a lane's mail.
func (r *run) resolve(ctx context.Context, lane string, now time.Time) {
	if r.shaping.MX == nil || now.Sub(r.resolved[lane]) < time.Hour || len(r.resolving) == cap(r.resolving) {
		return
	}
	r.resolved[lane] = now
	r.resolving <- struct{}{}
	r.group.Go(func() {
		defer func() { <-r.resolving }()
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		hosts, err := r.shaping.MX(ctx, lane)
		if err != nil {
			r.opts.Log.Debug("queue: mail hosts unknown, shaping by domain", "lane", lane, "err", err)
			return
		}
		r.sched.assign(lane, hosts)
		r.notify()
	})
}

// wait blocks until something changes, ctx ends, the time comes (zero: never), or
// the next sweep is due.
func (r *run) wait(ctx context.Context, until time.Time) {
	next := r.swept.Add(max(sweepEvery, 20*r.sweeping))
	if until.IsZero() || until.After(next) {
		until = next
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-r.wake:
	}
}

// gather waits until a quarter of the attempts have ended, but not for long.
func (r *run) gather(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for r.opts.Concurrency-int(r.busy.Load()) < r.opts.Concurrency/4 {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-r.wake:
		}
	}
}

// notify wakes Run. It never blocks, and many calls may count as one.
func (q *Queue) notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// settle ends a lease, and keeps at it while the store fails: the outcome of an
// attempt is not to be lost because a disk is full for a minute.
func (q *Queue) settle(ctx context.Context, lease *Lease, change Change) {
	change.ID, change.Token = lease.ID, lease.Token
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		stale, err := q.store.Settle(context.WithoutCancel(ctx), []Change{change})
		if err == nil {
			q.settled(ctx, lease, change, stale)
			return
		}
		if errors.Is(err, ErrClosed) || ctx.Err() != nil || time.Now().Add(wait).After(lease.Until) {
			q.opts.Log.Error("queue: outcome not stored, the job will be tried again", "job", lease.ID, "outcome", change.Last, "err", err)
			return
		}
		q.opts.Log.Warn("queue: settle failed", "job", lease.ID, "err", err, "again_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// settled tells those who wait for it.
func (q *Queue) settled(ctx context.Context, lease *Lease, change Change, stale []tracking.ID) {
	if len(stale) > 0 {
		q.opts.Log.Warn("queue: lease was lost before the outcome was stored", "job", lease.ID, "outcome", change.Last)
		return
	}
	if change.State == Ready {
		q.sched.due(lease.Flow, change.Due)
	}
	q.emit(ctx, change.Events)
}

// emit hands events to the host's sink, and logs.
func (q *Queue) emit(ctx context.Context, events []tracking.Event) {
	for _, e := range events {
		q.opts.Log.LogAttrs(ctx, slog.LevelInfo, "queue: "+string(e.Type),
			slog.String("job", e.Message.String()), slog.Int("attempt", e.Attempt), slog.String("campaign", e.Campaign),
			slog.String("reason", e.Reason.String()), slog.Int("code", e.Code), slog.String("host", e.Host))
	}
	if q.opts.Sink == nil || len(events) == 0 {
		return
	}
	if err := q.opts.Sink.Record(ctx, events); err != nil {
		q.opts.Log.Error("queue: sink failed", "events", len(events), "err", err)
	}
}
