package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/franqueo/franqueo/tracking"
)

const (
	// attemptTime bounds an attempt, but for the wait for the answer to the last byte,
	// which is never cut short.
	attemptTime = 15 * time.Minute
	// settleTime is how much longer than the attempts Run waits for the store.
	settleTime = 10 * time.Second
	// lookUpTime bounds the wait for a lane's mail hosts, and maxLookUps how many are
	// waited for at once.
	lookUpTime = 10 * time.Second
	maxLookUps = 32
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

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	attempts, end := outlive(ctx, q.opts.DrainTimeout)
	defer end()
	storing, abandon := outlive(ctx, q.opts.DrainTimeout+settleTime)
	defer abandon()

	r := &run{Queue: q, attempts: attempts, storing: storing}
	r.leases.held = map[tracking.ID]*holding{}
	leave := r.stay()
	r.listen(ctx)
	err := r.loop(ctx)
	stop()
	r.group.Wait()
	r.handBack(time.Now().Add(2 * day)) // all
	leave()
	return err
}

// outlive returns a context that ends when ctx has ended so long ago.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, end)
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); end() }
}

// run is one call of Run.
type run struct {
	*Queue
	attempts context.Context // of the attempts: outlives Run's by the drain
	storing  context.Context // of what the store must still learn: outlives both
	group    sync.WaitGroup
	leases   leases
	lookUps  atomic.Int64 // of mail hosts, under way
	swept    time.Time
	sweeping time.Duration // how long the last sweep took
	trouble  int           // failures of the store in a row
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
		r.wait(ctx, time.Time{})
		return nil
	}
	r.refill(now)
	shares := r.sched.pick(now, free)
	r.lookUp(ctx)
	if len(shares) == 0 {
		if len(r.sched.thirsty(now)) == 0 {
			r.wait(ctx, r.sched.next())
		}
		return nil
	}
	if err := r.claim(now, shares); err != nil {
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
		return ctx.Err() == nil
	})
	r.handBack(now)
	r.sched.prune(now)
	r.swept, r.sweeping = time.Now(), time.Since(now)
	if err != nil {
		return fmt.Errorf("queue: list flows: %w", err)
	}
	return nil
}

// claim leases the jobs of the shares and starts their attempts. It outlives Run's
// context: a claim that is cut short could leave leases that nobody holds.
func (r *run) claim(now time.Time, shares []share) error {
	claims := make([]FlowClaim, len(shares))
	for i, s := range shares {
		claims[i] = s.FlowClaim
	}
	fresh, known, err := r.leases.claim(func() ([]Lease, error) {
		return r.store.Claim(r.attempts, now, now.Add(leaseTime), claims)
	})
	if err != nil {
		for _, s := range shares {
			r.sched.handBack(now, s.pool, s.N)
		}
		return fmt.Errorf("queue: claim: %w", err)
	}
	got, again := countFlows(fresh), countFlows(known)
	pools := make(map[Flow]*pool, len(shares))
	for _, s := range shares {
		r.sched.claimed(now, s, got[s.Flow]+again[s.Flow])
		r.sched.handBack(now, s.pool, again[s.Flow])
		pools[s.Flow] = s.pool
	}
	for _, a := range r.prepare(now, fresh) {
		r.busy.Add(1)
		r.group.Go(func() {
			defer r.notify()
			defer r.busy.Add(-1)
			r.attempt(a, pools[a.Flow])
		})
	}
	return nil
}

func countFlows(leases []Lease) map[Flow]int {
	n := make(map[Flow]int)
	for i := range leases {
		n[leases[i].Flow]++
	}
	return n
}

// lookUp finds out which hosts take the mail of lanes that are new, or that were
// looked up long ago. It does not wait for them.
func (r *run) lookUp(ctx context.Context) {
	for r.lookUps.Load() < maxLookUps {
		lane := r.sched.nextUnknown()
		if lane == "" {
			return
		}
		r.lookUps.Add(1)
		r.group.Go(func() {
			defer r.notify()
			defer r.lookUps.Add(-1)
			hosts, err := r.mailHosts(ctx, lane)
			switch {
			case ctx.Err() != nil:
				r.sched.postpone(lane)
			case err != nil:
				r.opts.Log.Debug("queue: mail hosts unknown, shaping by domain", "lane", lane, "err", err)
				r.sched.unanswered(lane)
			default:
				r.sched.assign(lane, hosts)
			}
		})
	}
}

func (r *run) mailHosts(ctx context.Context, lane string) (hosts []string, err error) {
	defer r.rescue("MX", func() { err = errPanic })
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	return r.shaping.MX(ctx, lane)
}

var errPanic = errors.New("queue: the host's code panicked: see the log")

// rescue, deferred, keeps a panic in code that the host gave us from ending the
// process, with all the mail that is under way. It logs the panic and calls then.
func (q *Queue) rescue(code string, then func()) {
	if fault := recover(); fault != nil {
		q.opts.Log.Error("queue: panic in code of the host", "code", code, "panic", fault, "stack", string(debug.Stack()))
		then()
	}
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

// settle ends a lease, and keeps at it while the store fails, even when the lease
// has run out: the outcome of an attempt is not to be lost because a disk is full.
func (r *run) settle(o *outcome, change Change) {
	defer r.leases.drop(o.ID)
	failed := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		change.ID, change.Token = o.ID, r.leases.token(o.ID)
		stale, err := r.record(o, change)
		if err == nil {
			if len(stale) > 0 && !r.leases.lost(o.ID, change.Token) {
				continue
			}
			if failed {
				stale = nil // that which failed may have been stored, and only its answer lost
			}
			r.settled(&o.Lease, change, stale)
			return
		}
		failed = true
		if errors.Is(err, ErrClosed) || r.storing.Err() != nil {
			r.opts.Log.Error("queue: outcome not stored, the job will be tried again", "job", o.ID, "outcome", change.Last, "err", err)
			return
		}
		r.opts.Log.Warn("queue: settle failed", "job", o.ID, "err", err, "again_in", wait)
		select {
		case <-r.storing.Done():
		case <-time.After(wait):
		}
	}
}

// record stores what became of an attempt: first what it says of the address, for
// once the job is settled nobody would repeat that.
func (r *run) record(o *outcome, change Change) (stale []tracking.ID, err error) {
	if o.suppression != nil && r.suppressions != nil {
		if err := r.suppressions.Suppress(r.storing, []Suppression{*o.suppression}); err != nil {
			return nil, err
		}
	}
	return r.store.Settle(r.storing, []Change{change})
}

// settled tells those who wait for it.
func (r *run) settled(lease *Lease, change Change, stale []tracking.ID) {
	if len(stale) > 0 {
		r.opts.Log.Warn("queue: lease was lost before the outcome was stored", "job", lease.ID, "outcome", change.Last)
		return
	}
	if change.State == Ready {
		r.sched.due(lease.Flow, change.Due)
	}
	r.emit(r.storing, change.Events)
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
	defer q.rescue("Sink", func() {})
	if err := q.opts.Sink.Record(ctx, events); err != nil {
		q.opts.Log.Error("queue: sink failed", "events", len(events), "err", err)
	}
}
