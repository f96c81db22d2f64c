package pgqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// Take grants what the window still allows to all processes together.
func (s *Store) Take(ctx context.Context, w queue.Window, n int, now time.Time) (granted int, again time.Time, err error) {
	if err := schedule.CheckWindow(w, n); err != nil {
		return 0, time.Time{}, err
	}
	err = s.do(ctx, "take", func(ctx context.Context, tx pgx.Tx) error {
		granted, again, err = s.take(ctx, tx, w, n, now)
		return err
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return granted, again, nil
}

func (s *Store) take(ctx context.Context, tx pgx.Tx, w queue.Window, n int, now time.Time) (granted int, again time.Time, err error) {
	sent := map[int64]int{}
	var b pgx.Batch
	b.Queue("SELECT pg_advisory_xact_lock($1)", s.lockKey("sent "+w.Span.String()+" "+w.Name))
	b.Queue(s.sql("DELETE FROM @sent WHERE name = $1 AND span = $2 AND slot < $3"), clean(w.Name), int64(w.Span), w.Slot(now)-queue.WindowSlots)
	b.Queue(s.sql("SELECT slot, n FROM @sent WHERE name = $1 AND span = $2"), clean(w.Name), int64(w.Span)).Query(func(found pgx.Rows) error {
		var slot int64
		var count int
		_, err := pgx.ForEachRow(found, []any{&slot, &count}, func() error {
			sent[slot] = count
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return 0, again, err
	}
	granted, again = schedule.Grant(w, sent, n, now)
	if granted > 0 {
		_, err = tx.Exec(ctx, s.sql(`INSERT INTO @sent AS sent (name, span, slot, n) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name, span, slot) DO UPDATE SET n = sent.n + excluded.n`), clean(w.Name), int64(w.Span), w.Slot(now), granted)
	}
	return granted, again, err
}

// Return takes back what was not used.
func (s *Store) Return(ctx context.Context, w queue.Window, n int, granted time.Time) error {
	if err := schedule.CheckWindow(w, n); err != nil {
		return err
	}
	return s.do(ctx, "return", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("UPDATE @sent SET n = greatest(0, n - $1) WHERE name = $2 AND span = $3 AND slot = $4"),
			int64(n), clean(w.Name), int64(w.Span), w.Slot(granted))
		return err
	})
}
