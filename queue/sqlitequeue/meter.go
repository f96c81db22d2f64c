package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// Take grants what the window still allows.
func (s *Store) Take(ctx context.Context, w queue.Window, n int, now time.Time) (granted int, again time.Time, err error) {
	if err := schedule.CheckWindow(w, n); err != nil {
		return 0, time.Time{}, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, time.Time{}, err
	}
	defer s.calls.Done()
	err = s.write(ctx, func(wr *writer) (err error) {
		granted, again, err = wr.take(w, n, now)
		return err
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return granted, again, nil
}

func (c *conn) take(w queue.Window, n int, now time.Time) (granted int, again time.Time, err error) {
	_, err = c.exec("DELETE FROM sent WHERE name = ? AND span = ? AND slot < ?", w.Name, int64(w.Span), w.Slot(now)-queue.WindowSlots)
	if err != nil {
		return 0, again, err
	}
	sent := map[int64]int{}
	err = c.query(context.Background(), func(v []driver.Value) error {
		sent[integer(v[0])] = int(integer(v[1]))
		return nil
	}, "SELECT slot, n FROM sent WHERE name = ? AND span = ?", w.Name, int64(w.Span))
	if err != nil {
		return 0, again, err
	}
	granted, again = schedule.Grant(w, sent, n, now)
	if granted > 0 {
		_, err = c.exec("INSERT INTO sent (name, span, slot, n) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
			w.Name, int64(w.Span), w.Slot(now), int64(granted))
	}
	return granted, again, err
}

// Return takes back what was not used.
func (s *Store) Return(ctx context.Context, w queue.Window, n int, granted time.Time) error {
	if err := schedule.CheckWindow(w, n); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.write(ctx, func(wr *writer) error {
		_, err := wr.exec("UPDATE sent SET n = max(0, n - ?) WHERE name = ? AND span = ? AND slot = ?",
			int64(n), w.Name, int64(w.Span), w.Slot(granted))
		return err
	})
}
