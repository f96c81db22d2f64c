package pgqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// serverTime is the server's clock, which decides who lives, in milliseconds. Unlike
// databaseTime it goes on within a transaction.
const serverTime = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

const beat = `INSERT INTO @worker AS worker (id, view, until) VALUES ($1, $2, ` + serverTime + ` + $3)
ON CONFLICT (id) DO UPDATE SET view = excluded.view, until = excluded.until`

const aliveWorkers = `SELECT worker.id, worker.view, clock.now FROM @worker worker, (SELECT ` + serverTime + ` AS now) AS clock
WHERE worker.until > clock.now OR worker.id = $1 ORDER BY worker.id`

// Heartbeat notes that a worker lives, and returns those who do. These are two
// transactions, so that the first can be seen by others before the second looks.
func (s *Store) Heartbeat(ctx context.Context, w queue.Worker, ttl time.Duration) (alive []queue.Worker, now time.Time, err error) {
	if err := schedule.CheckWorker(w, ttl); err != nil {
		return nil, now, err
	}
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, now, err
	}
	defer leave()
	id := [16]byte(w.ID)
	if _, err := s.db.Exec(ctx, s.sql(beat), id, int64(w.View), max(ttl.Milliseconds(), 1)); err != nil {
		return nil, now, s.named("heartbeat", err)
	}
	found, err := s.db.Query(ctx, s.sql(aliveWorkers), id)
	if err != nil {
		return nil, now, s.named("heartbeat", err)
	}
	var view, at int64
	_, err = pgx.ForEachRow(found, []any{&id, &view, &at}, func() error {
		alive = append(alive, queue.Worker{ID: tracking.ID(id), View: uint64(view)})
		return nil
	})
	return alive, schedule.Time(at), s.named("heartbeat", err)
}

// Leave forgets a worker.
func (s *Store) Leave(ctx context.Context, id tracking.ID) error {
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return err
	}
	defer leave()
	_, err = s.db.Exec(ctx, s.sql("DELETE FROM @worker WHERE id = $1"), [16]byte(id))
	return s.named("leave", err)
}

// sweepWorkers forgets those who died long ago.
func (s *Store) sweepWorkers(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, s.sql("DELETE FROM @worker WHERE until < "+serverTime+" - $1::bigint"), usedFor.Milliseconds())
	return err
}
