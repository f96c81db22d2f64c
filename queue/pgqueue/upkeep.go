package pgqueue

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

const (
	// mergeEvery is how often the rows that count jobs are merged: each transaction
	// adds some, and all are read to learn which flows have work.
	mergeEvery = 2 * time.Second
	// sweepEvery is how often what is older than the options say is deleted, in steps
	// between which others get their turn.
	sweepEvery = time.Hour
)

// runUpkeep merges and sweeps until ctx ends. Of all processes one at a time does.
func (s *Store) runUpkeep(ctx context.Context) {
	merge, sweep := time.NewTicker(mergeEvery), time.NewTicker(sweepEvery)
	defer merge.Stop()
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-merge.C:
			err = s.merge(ctx)
		case now := <-sweep.C:
			err = s.sweep(ctx, now)
		}
		if err != nil && ctx.Err() == nil {
			s.opts.Log.Error("pgqueue: upkeep", slog.Any("error", err))
		}
	}
}

const mergeTally = `WITH gone AS (DELETE FROM @tally RETURNING *)
INSERT INTO @tally
SELECT flow, sum(ready), sum(leased), sum(held), 0, 0, 0 FROM gone GROUP BY flow HAVING sum(ready) <> 0 OR sum(leased) <> 0 OR sum(held) <> 0
UNION ALL SELECT 0, 0, 0, 0, sum(delivered), sum(bounced), sum(cancelled) FROM gone HAVING count(*) > 0`

func (s *Store) merge(ctx context.Context) error {
	ctx, stop := s.bound(ctx)
	defer stop()
	return s.transact(ctx, func(tx pgx.Tx) error {
		first, err := s.only(ctx, tx, "merge")
		if err != nil || !first {
			return err
		}
		_, err = tx.Exec(ctx, s.sql(mergeTally))
		return err
	})
}

// only reports whether no other process is at it, until the transaction ends.
func (s *Store) only(ctx context.Context, tx pgx.Tx, purpose string) (first bool, err error) {
	err = tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", s.lockKey(purpose)).Scan(&first)
	return first, err
}

// Sweep deletes now what the options no longer keep: finished jobs, the templates
// that no job needs, and events. It also happens once an hour by itself.
func (s *Store) Sweep(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.named("sweep", s.sweep(ctx, time.Now()))
}

func (s *Store) sweep(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	if s.opts.KeepEvents > 0 {
		before := schedule.Millis(now.Add(-s.opts.KeepEvents))
		err := s.deleteSome(ctx, "DELETE FROM @event WHERE id IN (SELECT id FROM @event WHERE time < $1 ORDER BY time LIMIT $2)", before)
		if err != nil {
			return err
		}
	}
	if err := s.sweepWorkers(ctx); err != nil {
		return err
	}
	if s.opts.KeepFinished < 0 {
		return nil
	}
	if err := s.sweepJobs(ctx, now.Add(-s.opts.KeepFinished)); err != nil {
		return err
	}
	return s.sweepIdle(ctx)
}

// sweepJobs deletes finished jobs. They are found by their IDs, which hold the time
// at which they were made. One that is leased was cancelled meanwhile, and is left to
// be settled.
func (s *Store) sweepJobs(ctx context.Context, before time.Time) error {
	newest := idAt(before)
	return s.deleteSome(ctx, `DELETE FROM @job WHERE id IN
		(SELECT id FROM @job WHERE id < $3 AND state > 1 AND token <= 0 AND due < $1 ORDER BY id LIMIT $2) AND state > 1`,
		schedule.Millis(before), [16]byte(newest))
}

// deleteSome deletes a chunk at a time until there is none. $2 is the chunk.
func (s *Store) deleteSome(ctx context.Context, sql string, before int64, more ...any) error {
	for {
		tag, err := s.pool.Exec(ctx, s.sql(sql), append([]any{before, chunk}, more...)...)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
	}
}

// sweepIdle deletes the templates and the flows of which no job is left. Who has the
// number of one has marked it as used since; if that is just happening, the delete
// waits for it and looks again.
func (s *Store) sweepIdle(ctx context.Context) error {
	for _, table := range []string{"template", "flow"} {
		_, err := s.pool.Exec(ctx, s.sql("DELETE FROM @"+table+" WHERE used < "+databaseTime+" - $1::bigint AND NOT EXISTS (SELECT FROM @job job WHERE job."+
			table+" = "+table+".id)"), usedFor.Milliseconds())
		if err != nil {
			return err
		}
	}
	return nil
}

// idAt is the least ID of this time.
func idAt(t time.Time) (id tracking.ID) {
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}
