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

// sweepEvery is how often what is too old is deleted, in steps between which others
// get their turn.
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

// Sweep deletes now what the options no longer keep: events, finished jobs, and the
// templates that no job needs. It also happens once an hour by itself.
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
	return s.sweepIdle(ctx)
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

// used is what jobs have named since a sweep began to look for what they do not.
type used struct{ templates, flows map[int64]bool }

// sweepIdle deletes the templates and the flows of which no job is left. It looks
// while others go on, so the writer notes what they name meanwhile.
func (s *Store) sweepIdle(ctx context.Context) error {
	err := s.write(ctx, func(w *writer) error {
		w.used = &used{map[int64]bool{}, map[int64]bool{}}
		return nil
	})
	if err != nil {
		return err
	}
	err = firstError(
		s.sweepNumbers(ctx, "SELECT id FROM template WHERE id NOT IN (SELECT template FROM job)", (*writer).deleteTemplate),
		s.sweepNumbers(ctx, "SELECT id FROM flow WHERE id NOT IN (SELECT flow FROM job)", (*writer).deleteFlow))
	// Even if ctx has ended: the notes must not grow for ever.
	return firstError(err, s.write(context.WithoutCancel(ctx), func(w *writer) error {
		w.used = nil
		return nil
	}))
}

func (s *Store) sweepNumbers(ctx context.Context, idle string, remove func(*writer, int64) error) error {
	var numbers []int64
	err := s.withReader(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			numbers = append(numbers, integer(v[0]))
			return nil
		}, idle)
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(numbers, chunk) {
		err := s.write(ctx, func(w *writer) error {
			for _, n := range part {
				if err := remove(w, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) deleteTemplate(n int64) error {
	clear(w.templates)
	if w.used.templates[n] {
		return nil
	}
	if _, err := w.exec("DELETE FROM template WHERE id = ?", n); err != nil {
		return err
	}
	_, err := w.exec("DELETE FROM content WHERE template = ?", n)
	return err
}

func (w *writer) deleteFlow(n int64) error {
	clear(w.flows)
	if w.used.flows[n] {
		return nil
	}
	_, err := w.exec("DELETE FROM flow WHERE id = ?", n)
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
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
