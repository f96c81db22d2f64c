package pgqueue

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// settlement is the changes of one call.
type settlement struct {
	changes []queue.Change
	stale   []tracking.ID
}

// Settle ends or extends leases.
func (s *Store) Settle(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
	if err := schedule.CheckChanges(changes); err != nil {
		return nil, err
	}
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(changes) == 0 {
		return nil, nil
	}
	settled := &settlement{changes: changes}
	if s.tx != nil {
		err = s.settleAll(ctx, []*settlement{settled})
	} else {
		err = s.settles.do(ctx, settled)
	}
	if err != nil {
		return nil, s.named("settle", err)
	}
	return settled.stale, nil
}

func (s *Store) settleGroup(ctx context.Context, group []*settlement) error {
	ctx, stop := s.bound(ctx)
	defer stop()
	return s.settleAll(ctx, group)
}

func (s *Store) settleAll(ctx context.Context, group []*settlement) error {
	all := rounds(group)
	return again(ctx, func(int) error {
		for _, g := range group {
			g.stale = nil
		}
		if len(all) == 1 && !consents(all[0]) {
			return s.settleRound(ctx, s.db, all[0])
		}
		return s.transact(ctx, func(tx pgx.Tx) error {
			for _, round := range all {
				if err := s.settleAndObey(ctx, tx, round); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// settleAndObey settles a round whose events can say what recipients wish.
func (s *Store) settleAndObey(ctx context.Context, tx pgx.Tx, round []change) error {
	bare := make([]change, len(round))
	for i, c := range round {
		settled := *c.Change
		settled.Events = nil
		bare[i] = change{&settled, &settlement{}}
	}
	if err := s.settleRound(ctx, tx, bare); err != nil {
		return err
	}
	var events []tracking.Event
	for i, c := range round {
		c.of.stale = append(c.of.stale, bare[i].of.stale...)
		if len(bare[i].of.stale) == 0 {
			events = append(events, c.Events...)
		}
	}
	return s.record(ctx, tx, events)
}

func consents(round []change) bool {
	return slices.ContainsFunc(round, func(c change) bool { return slices.ContainsFunc(c.Events, consent) })
}

// change is one of a settlement.
type change struct {
	*queue.Change
	of *settlement
}

// rounds splits changes so that no job comes twice in one of them.
func rounds(group []*settlement) (out [][]change) {
	var round []change
	seen := map[tracking.ID]bool{}
	for _, g := range group {
		for i := range g.changes {
			c := &g.changes[i]
			if seen[c.ID] {
				out, round = append(out, round), nil
				clear(seen)
			}
			seen[c.ID] = true
			round = append(round, change{c, g})
		}
	}
	return append(out, round)
}

// settleJobs ends or extends leases, and returns those that were current.
const settleJobs = `UPDATE @job job SET
	state = CASE WHEN c.extend > 0 OR c.state = 0 OR c.state = 1 AND job.state = 4 THEN job.state ELSE c.state END,
	due = CASE WHEN c.extend > 0 THEN c.extend WHEN c.state = 0 THEN c.due ELSE job.was END,
	token = CASE WHEN c.extend > 0 THEN job.token ELSE -job.token END,
	attempts = job.attempts + CASE WHEN c.extend > 0 THEN 0 ELSE c.counts END,
	last = CASE WHEN c.extend > 0 OR c.last = '' THEN job.last ELSE c.last END
FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::integer[], $7::text[])
	AS c (id, token, state, due, extend, counts, last)
WHERE job.id = c.id AND job.token = c.token
RETURNING job.id`

// settleWithEvents also records events: $33 is the job of the change of each.
var settleWithEvents = `WITH settled AS (` + settleJobs + `), recorded AS (` +
	eventsFrom(7) + ` WHERE e.change IN (SELECT id FROM settled) ON CONFLICT (id) DO NOTHING)
SELECT id FROM settled`

// settleRound settles a round, in one round trip.
func (s *Store) settleRound(ctx context.Context, db database, round []change) error {
	var events []tracking.Event
	var of [][16]byte
	for _, c := range round {
		for range c.Events {
			of = append(of, c.ID)
		}
		events = append(events, c.Events...)
	}
	sql, args := settleJobs, settleArgs(round)
	if len(events) > 0 {
		var rows eventRows
		for i := range events {
			rows.add(&events[i])
		}
		sql, args = settleWithEvents, append(append(args, rows.args()...), of)
	}
	current := make(map[tracking.ID]bool, len(round))
	var b pgx.Batch
	s.queueByIndex(&b)
	b.Queue(s.sql(sql), args...).Query(func(found pgx.Rows) error {
		var id [16]byte
		_, err := pgx.ForEachRow(found, []any{&id}, func() error {
			current[id] = true
			return nil
		})
		return err
	})
	if err := db.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for _, c := range round {
		if !current[c.ID] {
			c.of.stale = append(c.of.stale, c.ID)
		}
	}
	return nil
}

func settleArgs(round []change) []any {
	n := len(round)
	ids, states, counts := make([][16]byte, n), make([]int16, n), make([]int32, n)
	tokens, dues, extends, lasts := make([]int64, n), make([]int64, n), make([]int64, n), make([]string, n)
	for i, c := range round {
		ids[i], tokens[i], states[i] = c.ID, int64(c.Token), int16(c.State)
		dues[i], extends[i], lasts[i] = schedule.Millis(c.Due), schedule.Millis(c.Extend), clean(c.Last)
		if c.Counts {
			counts[i] = 1
		}
	}
	return []any{ids, tokens, states, dues, extends, counts, lasts}
}

// sameEvents drops events whose ID came before.
func sameEvents(events []tracking.Event) []tracking.Event {
	seen := make(map[tracking.ID]bool, len(events))
	return slices.DeleteFunc(slices.Clone(events), func(e tracking.Event) bool {
		was := seen[e.ID]
		seen[e.ID] = true
		return was
	})
}
