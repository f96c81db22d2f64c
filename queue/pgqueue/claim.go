package pgqueue

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// queueByIndex has the planner look at the sizes of today, and use the indexes also
// while it takes a table for small: a plan that was made for an empty queue is a
// disaster for a full one. It also takes what it is told to avoid for so expensive
// that it would compile the plan, which takes a second.
func (s *Store) queueByIndex(b *pgx.Batch) {
	if s.tx == nil { // the host's transaction has plans of its own
		b.Queue(`SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true),
			set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true)`)
	}
}

// unsynced has a commit not wait for the disk. A claim that is lost when the server
// crashes costs what the contract allows: its jobs are due again while they are in
// flight. Tokens are no less than the time, so that none comes twice.
const unsynced = "SELECT set_config('synchronous_commit', 'off', true)"

const claimJobs = `UPDATE @job job SET
	token = greatest(abs(job.token) + 1, ` + databaseTime + `), was = CASE WHEN job.token > 0 THEN job.was ELSE job.due END, due = $4
WHERE job.id = ANY(ARRAY(
	SELECT due.id FROM unnest($1::bigint[], $2::bigint[]) AS c (flow, n) CROSS JOIN LATERAL (
		SELECT job.id FROM @job job WHERE job.flow = c.flow AND job.state = 0 AND job.due <= $3
		ORDER BY job.due, job.id LIMIT c.n FOR UPDATE SKIP LOCKED) AS due))
RETURNING ` + storedColumns + `, job.flow, '', 0::smallint, '', ''`

// Claim leases due jobs.
func (s *Store) Claim(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
	if schedule.Millis(until) <= schedule.Millis(now) {
		return nil, errors.New("pgqueue: claim until " + until.String() + " is not after now")
	}
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	numbers, counts, err := s.claims(ctx, flows)
	if err != nil || len(numbers) == 0 {
		return nil, s.named("claim", err)
	}
	var claimed []stored
	err = again(ctx, func(int) error {
		var b pgx.Batch
		s.queueByIndex(&b)
		if s.tx == nil {
			b.Queue(unsynced)
		}
		b.Queue(s.sql(claimJobs), numbers, counts, schedule.Millis(now), schedule.Millis(until)).Query(func(found pgx.Rows) (err error) {
			claimed, err = scanJobs(found)
			return err
		})
		return s.db.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, s.named("claim", err)
	}
	names := make(map[int64]queue.Flow, len(numbers))
	for _, c := range flows {
		n, _ := s.seen.number(c.Flow)
		names[n] = c.Flow
	}
	for i := range claimed {
		claimed[i].Flow = names[claimed[i].flow]
	}
	return leases(claimed, until), nil
}

// leases puts what was claimed into the order in which it was due.
func leases(claimed []stored, until time.Time) []queue.Lease {
	slices.SortFunc(claimed, func(a, b stored) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.ID[:], b.ID[:]))
	})
	out := make([]queue.Lease, len(claimed))
	for i, c := range claimed {
		out[i] = queue.Lease{Job: c.Job, Attempt: c.Attempts + 1, Token: uint64(c.token), Until: schedule.Round(until)}
	}
	return out
}

// claims are the numbers of the flows that exist, and how many jobs of each to take.
func (s *Store) claims(ctx context.Context, flows []queue.FlowClaim) (numbers, counts []int64, err error) {
	for _, c := range flows {
		if _, ok := s.seen.number(c.Flow); !ok {
			if _, err := s.due(ctx); err != nil {
				return nil, nil, err
			}
			break
		}
	}
	for _, c := range flows {
		if n, ok := s.seen.number(c.Flow); ok && c.N > 0 {
			numbers, counts = append(numbers, n), append(counts, int64(c.N))
		}
	}
	return numbers, counts, nil
}

// liveFlows are the flows with a ready job, from the few rows that count them, and
// when the first of each is due, from the beginning of its part of the index.
const liveFlows = `SELECT flow.id, flow.lane, flow.priority, flow.tenant, flow.campaign, first.due
FROM (SELECT flow FROM @tally GROUP BY flow HAVING sum(ready) > 0) AS live JOIN @flow flow ON flow.id = live.flow
CROSS JOIN LATERAL (SELECT due FROM @job job WHERE job.flow = flow.id AND job.state = 0 ORDER BY job.due, job.id LIMIT 1) AS first`

type flowDue struct {
	flow queue.Flow
	due  time.Time
}

func (s *Store) due(ctx context.Context) (out []flowDue, err error) {
	since := time.Now()
	var n, due int64
	var f queue.Flow
	var b pgx.Batch
	s.queueByIndex(&b)
	b.Queue(s.sql(liveFlows)).Query(func(found pgx.Rows) error {
		_, err := pgx.ForEachRow(found, []any{&n, &f.Lane, &f.Priority, &f.Tenant, &f.Campaign, &due}, func() error {
			out = append(out, flowDue{f, schedule.Time(due)})
			s.seen.add(f, n, since)
			return nil
		})
		return err
	})
	return out, s.db.SendBatch(ctx, &b).Close()
}

// Flows yields the flows with a ready job.
func (s *Store) Flows(ctx context.Context, yield func(queue.Flow, time.Time) bool) error {
	brief, leave, err := s.brief(ctx)
	if err != nil {
		return err
	}
	flows, err := s.due(brief)
	leave()
	if err != nil {
		return s.named("flows", err)
	}
	for _, f := range flows {
		if !yield(f.flow, f.due) {
			break
		}
	}
	return nil
}
