package queuetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/memqueue"
	"github.com/franqueo/franqueo/tracking"
)

// broken has for each rule what breaks it.
var broken = map[string]func(*store){
	"PutAnswersInOrder": answers(func(a []queue.Accepted) { slices.Reverse(a) }),
	"PutNothing": batches(func(b *queue.Batch) {
		if len(b.Jobs) == 0 {
			b.Hash, b.Template = queue.Hash{1}, []byte{1}
		}
	}),
	"PutTwice":           answers(func(a []queue.Accepted) { each(a, func(a *queue.Accepted) { a.Known = false }) }),
	"PutTwiceInOneBatch": answers(func(a []queue.Accepted) { each(a, func(a *queue.Accepted) { a.Known = false }) }),
	"PutFinished":        answers(func(a []queue.Accepted) { each(a, func(a *queue.Accepted) { a.Known = false }) }),
	"SameKey":            batches(func(b *queue.Batch) { each(b.Jobs, func(j *queue.Job) { j.Key = "" }) }),
	"SameKeyInOneBatch":  batches(func(b *queue.Batch) { each(b.Jobs, func(j *queue.Job) { j.Key = "" }) }),
	"KeyOfOtherContent": func(s *store) {
		s.put = func(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
			accepted, err := s.Store.Put(ctx, b)
			if err != nil { // stores what came before the conflict
				_, _ = s.Store.Put(ctx, &queue.Batch{Hash: b.Hash, Template: b.Template, Jobs: b.Jobs[:1]})
			}
			return accepted, err
		}
	},
	"TemplateUnknown": func(s *store) {
		s.template = func(context.Context, queue.Hash) ([]byte, error) { return nil, nil }
	},
	"PutWithoutTemplate": batches(func(b *queue.Batch) { b.Template = append([]byte{}, b.Template...) }),
	"PutBadInput": batches(func(b *queue.Batch) {
		b.Jobs = slices.DeleteFunc(slices.Clone(b.Jobs), func(j queue.Job) bool { return j.ID.IsZero() })
	}),
	"PutKeepsNothing": func(s *store) {
		var kept []byte
		s.put = func(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
			kept = b.Template
			return s.Store.Put(ctx, b)
		}
		s.template = func(context.Context, queue.Hash) ([]byte, error) { return kept, nil }
	},
	"EveryField": leases(func(l *queue.Lease) { l.Expires = time.Time{} }),
	"PutHeld":    batches(func(b *queue.Batch) { each(b.Jobs, func(j *queue.Job) { j.State = queue.Ready }) }),

	"FlowsOfReadyJobs": func(s *store) {
		seen := map[queue.Flow]bool{}
		s.flows = func(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
			err := s.Store.Flows(ctx, func(f queue.Flow, due time.Time) bool {
				seen[f] = true
				return yield(f, due)
			})
			stats, _ := s.Store.Stats(ctx)
			for f := range seen {
				if stats.Flows[f].Ready == 0 {
					yield(f, noon)
				}
			}
			return err
		}
	},
	"FlowsOfLeasedJobs": func(s *store) {
		s.flows = func(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
			return s.Store.Flows(ctx, func(f queue.Flow, due time.Time) bool {
				return due.After(noon) || yield(f, due)
			})
		}
	},
	"FlowsStops": func(s *store) {
		s.flows = func(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
			return s.Store.Flows(ctx, func(f queue.Flow, due time.Time) bool {
				yield(f, due)
				return true
			})
		}
	},
	"ClaimOldestFirst": func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			leases, err := s.Store.Claim(ctx, now, until, flows)
			slices.Reverse(leases)
			return leases, err
		}
	},
	"ClaimNamedFlows": func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			all := slices.Clone(flows)
			_ = s.Store.Flows(ctx, func(f queue.Flow, _ time.Time) bool {
				all = append(all, queue.FlowClaim{Flow: f, N: 100})
				return true
			})
			return s.Store.Claim(ctx, now, until, all)
		}
	},
	"ClaimOnce":      claimsEndAt(func(now, _ time.Time) time.Time { return now.Add(time.Second) }),
	"LeaseRunsOut":   claimsEndAt(func(now, _ time.Time) time.Time { return now.AddDate(1, 0, 0) }),
	"TokensGrow":     leases(func(l *queue.Lease) { l.Token = 7 }),
	"ClaimUntilPast": claimsEndAt(func(now, until time.Time) time.Time { return later(now.Add(time.Second), until) }),
	"ClaimTogether": func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			leases, err := s.Store.Claim(ctx, now, until, flows)
			return append(leases, leases[:min(len(leases), 1)]...), err
		}
	},
	"ClockSetBack": claimsAt(func(now time.Time) time.Time {
		if now.Before(noon) {
			return noon.AddDate(0, 0, 2)
		}
		return now
	}),
	"ClockSetForward": claimsAt(func(now time.Time) time.Time { return earlier(now, noon) }),

	"Deliver":      changes(func(c *queue.Change) { c.Last = "" }),
	"Defer":        changes(func(c *queue.Change) { c.Due = noon }),
	"GiveBack":     changes(func(c *queue.Change) { c.Counts = true }),
	"SettleAsHeld": changes(func(c *queue.Change) { c.State = queue.Ready; c.Due = noon }),
	"Stale": func(s *store) {
		s.settle = func(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
			stale, err := s.Store.Settle(ctx, changes)
			return stale[:min(len(stale), 1)], err
		}
	},
	"SettleTwice": func(s *store) {
		s.settle = func(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
			_, err := s.Store.Settle(ctx, changes)
			return nil, err
		}
	},
	"SettleLate": func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			ended, _ := s.Store.Claim(ctx, now, until, []queue.FlowClaim{{Flow: example, N: 100}})
			if flows[0].Flow == example {
				return ended, nil
			}
			return s.Store.Claim(ctx, now, until, flows)
		}
	},
	"Extend": changes(func(c *queue.Change) { c.Extend = time.Time{} }),
	"SettleBadInput": func(s *store) {
		s.settle = func(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
			var stale []tracking.ID
			for _, c := range changes { // not in one step
				more, err := s.Store.Settle(ctx, []queue.Change{c})
				if err != nil {
					return nil, err
				}
				stale = append(stale, more...)
			}
			return stale, nil
		}
	},

	"Cancel":         filters(func(f *queue.Filter, _ queue.Action) { f.States = []queue.State{queue.Ready} }),
	"HoldAndRelease": actions(func(a queue.Action) queue.Action { return cmp.Or(releaseIsRetry[a], a) }),
	"HoldWhatComes": filters(func(f *queue.Filter, a queue.Action) {
		if a == queue.Hold {
			f.States = []queue.State{queue.Ready}
		}
	}),
	"HoldStoredOnly": func(s *store) {
		s.apply = func(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
			f.States = nil
			return s.Store.Apply(ctx, f, a, now)
		}
	},
	"ReleaseCovers": func(s *store) {
		s.apply = func(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
			if a == queue.Release {
				f = queue.Filter{}
			}
			return s.Store.Apply(ctx, f, a, now)
		}
	},
	"CancelLeased":          withoutLeased(queue.Cancel),
	"CancelledLeaseRunsOut": withoutLeased(queue.Cancel),
	"HoldLeased":            withoutLeased(queue.Hold),
	"ReleaseLeased": actions(func(a queue.Action) queue.Action {
		if a == queue.Release {
			return queue.Cancel
		}
		return a
	}),
	"Retry": filters(func(f *queue.Filter, _ queue.Action) { f.States = []queue.State{queue.Bounced} }),
	"RetryLeased": func(s *store) {
		s.apply = func(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
			n, err := s.Store.Apply(ctx, f, a, now)
			return max(n, 1), err
		}
	},
	"ApplyBadInput": actions(func(a queue.Action) queue.Action { return a % 4 }),
	"FilterFields": func(s *store) {
		s.list = func(ctx context.Context, f queue.Filter, after tracking.ID, limit int) ([]queue.Job, error) {
			f.Lane = strings.ToLower(f.Lane)
			return s.Store.List(ctx, f, after, limit)
		}
	},

	"ListPages": func(s *store) {
		s.list = func(ctx context.Context, f queue.Filter, after tracking.ID, limit int) ([]queue.Job, error) {
			jobs, err := s.Store.List(ctx, f, after, limit)
			slices.Reverse(jobs)
			return jobs, err
		}
	},
	"Stats": func(s *store) {
		s.stats = func(ctx context.Context) (queue.Stats, error) {
			stats, err := s.Store.Stats(ctx)
			stats.Leased = 0
			return stats, err
		}
	},
	"Closed": func(s *store) {
		s.stats = func(ctx context.Context) (queue.Stats, error) {
			stats, err := s.Store.Stats(ctx)
			if err != nil {
				err = errUnnamed
			}
			return stats, err
		}
	},

	"RecordEveryField": recorded(func(e *tracking.Event) { e.QueueID = "" }),
	"RecordOnce":       recorded(func(e *tracking.Event) { e.ID = tracking.NewID() }),
	"RecordWithoutID": func(s *store) {
		s.record = func(ctx context.Context, events []tracking.Event) error {
			var errs []error
			for _, e := range events { // not in one step
				errs = append(errs, s.Store.Record(ctx, []tracking.Event{e}))
			}
			return errors.Join(errs...)
		}
	},
	"RecordKeepsNothing": func(s *store) {
		var kept []tracking.Event
		s.record = func(_ context.Context, events []tracking.Event) error { kept = events; return nil }
		s.events = func(context.Context, queue.EventFilter, tracking.ID, int) ([]tracking.Event, error) { return kept, nil }
	},
	"EventsByTime": func(s *store) {
		s.events = func(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) ([]tracking.Event, error) {
			events, err := s.Store.Events(ctx, f, after, limit)
			slices.Reverse(events)
			return events, err
		}
	},
	"EventsAfterUnknown": func(s *store) {
		s.events = func(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) ([]tracking.Event, error) {
			events, _ := s.Store.Events(ctx, f, after, limit)
			return events, nil
		}
	},
	"EventFilter": func(s *store) {
		s.events = func(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) ([]tracking.Event, error) {
			if !f.Until.IsZero() {
				f.Until = f.Until.Add(time.Millisecond)
			}
			return s.Store.Events(ctx, f, after, limit)
		}
	},
	"EventsOfJobs":  recorded(func(e *tracking.Event) { e.Tags = []string{"x"} }),
	"SettleRecords": changes(func(c *queue.Change) { c.Events = nil }),

	"Suppress":       suppressions(func(e *queue.Suppression) { e.Detail = "" }),
	"SuppressAgain":  suppressions(func(e *queue.Suppression) { e.Reason = 1 }),
	"SuppressStream": suppressions(func(e *queue.Suppression) { e.Stream = "" }),
	"SuppressUntil":  suppressions(func(e *queue.Suppression) { e.Until = time.Time{} }),
	"EndedOfStream": func(s *store) {
		s.suppressed = func(ctx context.Context, stream string, addresses []string, _ time.Time) ([]*queue.Suppression, error) {
			found, err := s.Store.Suppressed(ctx, stream, addresses, time.Time{})
			for i := range found {
				if found[i] != nil && !found[i].Until.IsZero() {
					found[i] = nil
				}
			}
			return found, err
		}
	},
	"Unsuppress": func(s *store) {
		s.unsuppress = func(ctx context.Context, address, stream string) error {
			_ = s.Store.Unsuppress(ctx, address, stream)
			return nil
		}
	},
	"SuppressionsByAddress": func(s *store) {
		s.suppressions = func(ctx context.Context, yield func(queue.Suppression) bool) error {
			return s.Store.Suppressions(ctx, func(e queue.Suppression) bool {
				yield(e)
				return true
			})
		}
	},
	"SuppressBadInput": func(s *store) {
		s.suppress = func(ctx context.Context, entries []queue.Suppression) error {
			var errs []error
			for _, e := range entries { // not in one step
				errs = append(errs, s.Store.Suppress(ctx, []queue.Suppression{e}))
			}
			return errors.Join(errs...)
		}
	},
	"Unsubscribe": recorded(func(e *tracking.Event) { e.Type = tracking.Opened }),

	"Take": func(s *store) {
		s.take = func(ctx context.Context, w queue.Window, n int, now time.Time) (int, time.Time, error) {
			granted, _, err := s.Store.Take(ctx, w, n, now)
			return granted, now, err
		}
	},
	"TakeSlides": windows(func(w *queue.Window, now *time.Time) { *now = noon }),
	"TakeByName": windows(func(w *queue.Window, _ *time.Time) { w.Name = "" }),
	"TakeLimit":  windows(func(w *queue.Window, _ *time.Time) { w.Limit = 100 }),
	"Return": func(s *store) {
		s.give = func(context.Context, queue.Window, int, time.Time) error { return nil }
	},
	"TakeClockSetBack": func(s *store) {
		var newest time.Time
		s.take = func(ctx context.Context, w queue.Window, n int, now time.Time) (int, time.Time, error) {
			newest = later(newest, now)
			return s.Store.Take(ctx, w, n, newest)
		}
	},
	"TakeBadInput": func(s *store) {
		s.take = func(ctx context.Context, w queue.Window, n int, now time.Time) (int, time.Time, error) {
			return s.Store.Take(ctx, w, max(n, 0), now)
		}
	},

	"Heartbeat": rosters(func(w queue.Worker, alive []queue.Worker) []queue.Worker { // itself at the end
		alive = slices.DeleteFunc(alive, func(other queue.Worker) bool { return other == w })
		return append(alive, w)
	}),
	"HeartbeatReplaces": func(s *store) {
		first := map[tracking.ID]queue.Worker{}
		s.heartbeat = func(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
			if _, ok := first[w.ID]; !ok {
				first[w.ID] = w
			}
			return s.Store.Heartbeat(ctx, first[w.ID], ttl)
		}
	},
	"HeartbeatEnds": heartbeats(func(_ *queue.Worker, ttl *time.Duration) { *ttl = time.Hour }),
	"HeartbeatMovesEnd": func(s *store) {
		first := map[tracking.ID]time.Duration{}
		s.heartbeat = func(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
			if _, ok := first[w.ID]; !ok {
				first[w.ID] = ttl
			}
			return s.Store.Heartbeat(ctx, w, first[w.ID])
		}
	},
	"Leave": func(s *store) { s.leave = func(context.Context, tracking.ID) error { return nil } },
	"HeartbeatTime": func(s *store) {
		s.heartbeat = func(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
			alive, _, err := s.Store.Heartbeat(ctx, w, ttl)
			return alive, noon, err
		}
	},
	"HeartbeatBadInput": heartbeats(func(_ *queue.Worker, ttl *time.Duration) { *ttl = max(*ttl, 1) }),
	"HeartbeatsTogether": func(s *store) { // it reads before it writes
		s.heartbeat = func(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
			before, now, err := s.Store.Heartbeat(ctx, queue.Worker{ID: tracking.NewID()}, time.Nanosecond)
			time.Sleep(50 * time.Millisecond)
			_, _, _ = s.Store.Heartbeat(ctx, w, ttl)
			before[len(before)-1] = w
			return before, now, err
		}
	},
}

func rosters(alter func(w queue.Worker, alive []queue.Worker) []queue.Worker) func(*store) {
	return func(s *store) {
		s.heartbeat = func(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
			alive, now, err := s.Store.Heartbeat(ctx, w, ttl)
			return alter(w, alive), now, err
		}
	}
}

func heartbeats(alter func(*queue.Worker, *time.Duration)) func(*store) {
	return func(s *store) {
		s.heartbeat = func(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
			alter(&w, &ttl)
			return s.Store.Heartbeat(ctx, w, ttl)
		}
	}
}

func windows(alter func(*queue.Window, *time.Time)) func(*store) {
	return func(s *store) {
		s.take = func(ctx context.Context, w queue.Window, n int, now time.Time) (int, time.Time, error) {
			alter(&w, &now)
			return s.Store.Take(ctx, w, n, now)
		}
	}
}

// releaseIsRetry loses the due time of what is released.
var releaseIsRetry = map[queue.Action]queue.Action{queue.Release: queue.Retry}

func each[E any](s []E, f func(*E)) {
	for i := range s {
		f(&s[i])
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func batches(alter func(*queue.Batch)) func(*store) {
	return func(s *store) {
		s.put = func(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
			altered := *b
			altered.Jobs = slices.Clone(b.Jobs)
			alter(&altered)
			return s.Store.Put(ctx, &altered)
		}
	}
}

func answers(alter func([]queue.Accepted)) func(*store) {
	return func(s *store) {
		s.put = func(ctx context.Context, b *queue.Batch) ([]queue.Accepted, error) {
			accepted, err := s.Store.Put(ctx, b)
			alter(accepted)
			return accepted, err
		}
	}
}

func leases(alter func(*queue.Lease)) func(*store) {
	return func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			leases, err := s.Store.Claim(ctx, now, until, flows)
			each(leases, alter)
			return leases, err
		}
	}
}

func claimsAt(at func(time.Time) time.Time) func(*store) {
	return func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			return s.Store.Claim(ctx, at(now), at(now).Add(until.Sub(now)), flows)
		}
	}
}

func claimsEndAt(end func(now, until time.Time) time.Time) func(*store) {
	return func(s *store) {
		s.claim = func(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
			return s.Store.Claim(ctx, now, end(now, until), flows)
		}
	}
}

func changes(alter func(*queue.Change)) func(*store) {
	return func(s *store) {
		s.settle = func(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
			altered := slices.Clone(changes)
			each(altered, alter)
			return s.Store.Settle(ctx, altered)
		}
	}
}

func filters(alter func(*queue.Filter, queue.Action)) func(*store) {
	return func(s *store) {
		s.apply = func(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
			alter(&f, a)
			return s.Store.Apply(ctx, f, a, now)
		}
	}
}

func actions(alter func(queue.Action) queue.Action) func(*store) {
	return func(s *store) {
		s.apply = func(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
			return s.Store.Apply(ctx, f, alter(a), now)
		}
	}
}

// withoutLeased makes an action overlook what is leased.
func withoutLeased(action queue.Action) func(*store) {
	return func(s *store) {
		s.apply = func(ctx context.Context, f queue.Filter, a queue.Action, now time.Time) (int, error) {
			stats, _ := s.Store.Stats(ctx)
			if a == action && stats.Leased > 0 {
				return stats.Leased, nil
			}
			return s.Store.Apply(ctx, f, a, now)
		}
	}
}

func recorded(alter func(*tracking.Event)) func(*store) {
	return func(s *store) {
		s.record = func(ctx context.Context, events []tracking.Event) error {
			altered := slices.Clone(events)
			each(altered, alter)
			return s.Store.Record(ctx, altered)
		}
	}
}

func suppressions(alter func(*queue.Suppression)) func(*store) {
	return func(s *store) {
		s.suppress = func(ctx context.Context, entries []queue.Suppression) error {
			altered := slices.Clone(entries)
			each(altered, alter)
			return s.Store.Suppress(ctx, altered)
		}
	}
}

// brokenRestarts has for each rule of restarts stores that break it.
var brokenRestarts = map[string]func() func() queue.Store{
	"JobsSurvive":            forgetting,
	"CancelledLeaseSurvives": forgetting,
	"KeysSurvive":            forgetting,
	"RecordsSurvive":         forgetting,
	"CountsSurvive":          forgetting,
	"HoldsSurvive": func() func() queue.Store {
		keep := &kept{memqueue.New(nil)}
		return func() queue.Store {
			_, _ = keep.Apply(context.Background(), queue.Filter{}, queue.Release, noon)
			return keep
		}
	},
	"TokensGrowOn": func() func() queue.Store {
		keep := &kept{memqueue.New(nil)}
		return func() queue.Store { return &sameToken{keep} }
	},
}

// forgetting is a new store each time.
func forgetting() func() queue.Store {
	return func() queue.Store { return memqueue.New(nil) }
}

// sameToken gives all leases one token.
type sameToken struct{ *kept }

func (s *sameToken) Claim(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
	leases, err := s.kept.Claim(ctx, now, until, flows)
	each(leases, func(l *queue.Lease) { l.Token = 7 })
	return leases, err
}
