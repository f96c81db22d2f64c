package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// The sweep deletes what is older than the options say, an hour after the last
// time, in steps between which others get their turn.
const sweepEvery = time.Hour

func (s *Store) runSweep(ctx context.Context) {
	defer close(s.swept)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := s.sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.opts.Log.Error("sqlitequeue: sweep", slog.Any("error", err))
			}
		}
	}
}

// Sweep deletes now what the options no longer keep: finished jobs, the templates
// that no job needs, and events. It also happens once an hour by itself.
func (s *Store) Sweep(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.sweep(ctx, time.Now())
}

func (s *Store) sweep(ctx context.Context, now time.Time) error {
	if s.opts.KeepEvents > 0 {
		if err := s.sweepEvents(ctx, now.Add(-s.opts.KeepEvents)); err != nil {
			return err
		}
	}
	if s.opts.KeepFinished < 0 {
		return nil
	}
	if err := s.sweepJobs(ctx, now.Add(-s.opts.KeepFinished)); err != nil {
		return err
	}
	return s.sweepTemplates(ctx)
}

func (s *Store) sweepEvents(ctx context.Context, before time.Time) error {
	for {
		var n int64
		err := s.write(ctx, func(w *writer) (err error) {
			n, err = w.exec("DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE time < ? LIMIT ?)",
				schedule.Millis(before), int64(chunk))
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// sweepJobs deletes finished jobs. They are found by their IDs, which hold the time
// at which they were made.
func (s *Store) sweepJobs(ctx context.Context, before time.Time) error {
	newest := idAt(before)
	var ids []tracking.ID
	err := s.withReader(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			var id tracking.ID
			err := scanID(&id, v[0])
			ids = append(ids, id)
			return err
		}, "SELECT id FROM job WHERE id < ? AND state > 1 AND due < ? ORDER BY id", newest[:], schedule.Millis(before))
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(ids, chunk) {
		if err := s.write(ctx, func(w *writer) error { return s.deleteJobs(w, part) }); err != nil {
			return err
		}
	}
	return nil
}

// deleteJobs deletes those that are still finished. One that is leased was
// cancelled meanwhile, and is left to be settled.
func (s *Store) deleteJobs(w *writer, ids []tracking.ID) error {
	for i := range ids {
		id := ids[i]
		if s.leased(id) {
			continue
		}
		state, err := w.number("SELECT state FROM job WHERE id = ?", id[:])
		if err != nil {
			return err
		}
		if state < int64(queue.Delivered) {
			continue
		}
		if _, err := w.exec("DELETE FROM job WHERE id = ?", id[:]); err != nil {
			return err
		}
		w.moved(queue.State(state), queue.Ready)
		w.onCommit(func() { s.schedule.End(queue.State(state), -1) })
	}
	return nil
}

// sweepTemplates deletes the templates, and the flows, of which no job is left.
// What jobs name while it looks is noted by the writer.
func (s *Store) sweepTemplates(ctx context.Context) error {
	if err := s.write(ctx, func(w *writer) error { w.used = map[int64]bool{}; return nil }); err != nil {
		return err
	}
	var idle []int64
	err := s.withReader(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			idle = append(idle, integer(v[0]))
			return nil
		}, "SELECT id FROM template WHERE id NOT IN (SELECT DISTINCT template FROM job)")
	})
	for part := range slices.Chunk(idle, chunk) {
		if err == nil {
			err = s.write(ctx, func(w *writer) error { return w.deleteTemplates(part) })
		}
	}
	// Even if ctx has ended: the notes must not grow for ever.
	return firstError(err, s.write(context.WithoutCancel(ctx), func(w *writer) error { w.used = nil; return nil }))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) deleteTemplates(ids []int64) error {
	clear(w.templates)
	for _, id := range ids {
		if w.used[id] {
			continue
		}
		if _, err := w.exec("DELETE FROM template WHERE id = ?", id); err != nil {
			return err
		}
		if _, err := w.exec("DELETE FROM content WHERE template = ?", id); err != nil {
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
