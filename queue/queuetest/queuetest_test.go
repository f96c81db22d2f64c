// The rules are not exported, so their own tests are inside the package.
package queuetest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/tracking"
)

// recorder is a T that takes note of a failure.
type recorder struct {
	ctx    context.Context
	failed bool
}

func (r *recorder) Errorf(string, ...any)    { r.failed = true }
func (r *recorder) FailNow()                 { r.failed = true; runtime.Goexit() }
func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

// fails reports whether a rule fails.
func fails(t *testing.T, f func(T)) bool {
	r := &recorder{ctx: t.Context()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if recover() != nil { // a rule may well trip over a broken store
				r.failed = true
			}
		}()
		f(r)
	}()
	<-ended
	return r.failed
}

func TestEveryRuleCanFail(t *testing.T) {
	t.Parallel()
	for _, r := range contract {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			breaking := broken[r.name]
			require.NotNil(t, breaking, "no broken store for: %s", r.says)
			require.False(t, fails(t, func(t T) { check(t, r, memqueue.New(nil)) }), "a store that is whole fails it")
			s := &store{Store: memqueue.New(nil)}
			breaking(s)
			require.True(t, fails(t, func(t T) { check(t, r, s) }), "a broken store passes: %s", r.says)
		})
	}
}

func TestEveryRestartRuleCanFail(t *testing.T) {
	t.Parallel()
	for _, r := range restarts {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			again := brokenRestarts[r.name]
			require.NotNil(t, again, "no broken store for: %s", r.says)
			keep := &kept{Store: memqueue.New(nil)}
			require.False(t, fails(t, func(t T) { restartWith(t, r, func() queue.Store { return keep }) }), "a store that is whole fails it")
			require.True(t, fails(t, func(t T) { restartWith(t, r, again()) }), "a broken store passes: %s", r.says)
		})
	}
}

func restartWith(t T, r rule, again func() queue.Store) {
	r.check(&kit{T: t, Store: again(), again: again})
}

// kept survives Close, as if it had been on a disk.
type kept struct{ *memqueue.Store }

func (kept) Close() error { return nil }

// store is a store each of whose methods can be broken.
type store struct {
	*memqueue.Store
	put          func(context.Context, *queue.Batch) ([]queue.Accepted, error)
	template     func(context.Context, queue.Hash) ([]byte, error)
	flows        func(context.Context, func(queue.Flow, time.Time) bool) error
	claim        func(context.Context, time.Time, time.Time, []queue.FlowClaim) ([]queue.Lease, error)
	settle       func(context.Context, []queue.Change) ([]tracking.ID, error)
	apply        func(context.Context, queue.Filter, queue.Action, time.Time) (int, error)
	list         func(context.Context, queue.Filter, tracking.ID, int) ([]queue.Job, error)
	stats        func(context.Context) (queue.Stats, error)
	record       func(context.Context, []tracking.Event) error
	events       func(context.Context, queue.EventFilter, tracking.ID, int) ([]tracking.Event, error)
	suppress     func(context.Context, []queue.Suppression) error
	suppressed   func(context.Context, string, []string, time.Time) ([]*queue.Suppression, error)
	unsuppress   func(context.Context, string, string) error
	suppressions func(context.Context, func(queue.Suppression) bool) error
	take         func(context.Context, queue.Window, int, time.Time) (int, time.Time, error)
	give         func(context.Context, queue.Window, int, time.Time) error
	heartbeat    func(context.Context, queue.Worker, time.Duration) ([]queue.Worker, time.Time, error)
	leave        func(context.Context, tracking.ID) error
}

func (s *store) Put(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
	if s.put != nil {
		return s.put(ctx, b)
	}
	return s.Store.Put(ctx, b)
}

func (s *store) Template(ctx context.Context, hash queue.Hash) ([]byte, error) {
	if s.template != nil {
		return s.template(ctx, hash)
	}
	return s.Store.Template(ctx, hash)
}

func (s *store) Flows(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
	if s.flows != nil {
		return s.flows(ctx, yield)
	}
	return s.Store.Flows(ctx, yield)
}

func (s *store) Claim(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
	if s.claim != nil {
		return s.claim(ctx, now, until, flows)
	}
	return s.Store.Claim(ctx, now, until, flows)
}

func (s *store) Settle(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
	if s.settle != nil {
		return s.settle(ctx, changes)
	}
	return s.Store.Settle(ctx, changes)
}

func (s *store) Apply(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
	if s.apply != nil {
		return s.apply(ctx, f, a, now)
	}
	return s.Store.Apply(ctx, f, a, now)
}

func (s *store) List(ctx context.Context, f queue.Filter, after tracking.ID, limit int) ([]queue.Job, error) {
	if s.list != nil {
		return s.list(ctx, f, after, limit)
	}
	return s.Store.List(ctx, f, after, limit)
}

func (s *store) Stats(ctx context.Context) (queue.Stats, error) {
	if s.stats != nil {
		return s.stats(ctx)
	}
	return s.Store.Stats(ctx)
}

func (s *store) Record(ctx context.Context, events []tracking.Event) error {
	if s.record != nil {
		return s.record(ctx, events)
	}
	return s.Store.Record(ctx, events)
}

func (s *store) Events(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) ([]tracking.Event, error) {
	if s.events != nil {
		return s.events(ctx, f, after, limit)
	}
	return s.Store.Events(ctx, f, after, limit)
}

func (s *store) Suppress(ctx context.Context, entries []queue.Suppression) error {
	if s.suppress != nil {
		return s.suppress(ctx, entries)
	}
	return s.Store.Suppress(ctx, entries)
}

func (s *store) Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) ([]*queue.Suppression, error) {
	if s.suppressed != nil {
		return s.suppressed(ctx, stream, addresses, now)
	}
	return s.Store.Suppressed(ctx, stream, addresses, now)
}

func (s *store) Unsuppress(ctx context.Context, address, stream string) error {
	if s.unsuppress != nil {
		return s.unsuppress(ctx, address, stream)
	}
	return s.Store.Unsuppress(ctx, address, stream)
}

func (s *store) Suppressions(ctx context.Context, yield func(queue.Suppression) bool) error {
	if s.suppressions != nil {
		return s.suppressions(ctx, yield)
	}
	return s.Store.Suppressions(ctx, yield)
}

func (s *store) Take(ctx context.Context, w queue.Window, n int, now time.Time) (int, time.Time, error) {
	if s.take != nil {
		return s.take(ctx, w, n, now)
	}
	return s.Store.Take(ctx, w, n, now)
}

func (s *store) Return(ctx context.Context, w queue.Window, n int, granted time.Time) error {
	if s.give != nil {
		return s.give(ctx, w, n, granted)
	}
	return s.Store.Return(ctx, w, n, granted)
}

func (s *store) Heartbeat(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
	if s.heartbeat != nil {
		return s.heartbeat(ctx, w, ttl)
	}
	return s.Store.Heartbeat(ctx, w, ttl)
}

func (s *store) Leave(ctx context.Context, id tracking.ID) error {
	if s.leave != nil {
		return s.leave(ctx, id)
	}
	return s.Store.Leave(ctx, id)
}

var errUnnamed = errors.New("something else")
