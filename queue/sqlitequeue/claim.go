package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Claim leases due jobs. The leases are in memory, so it writes nothing.
func (s *Store) Claim(ctx context.Context, now, until time.Time, flows []queue.FlowClaim) ([]queue.Lease, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	claimed, err := s.schedule.Claim(now, until, flows)
	s.mu.Unlock()
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	leases, err := s.readLeases(ctx, claimed, until)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.schedule.Unclaim(claimed)
		return nil, err
	}
	return leases, nil
}

// readLeases reads the jobs that were claimed. A job that cannot be read is not
// scheduled again before the store is opened anew: it must not stop its flow.
func (s *Store) readLeases(ctx context.Context, claimed []schedule.Claimed, until time.Time) ([]queue.Lease, error) {
	leases := make([]queue.Lease, len(claimed))
	at := make(map[tracking.ID]int, len(claimed))
	ids := make([]driver.Value, len(claimed))
	for i := range claimed {
		at[claimed[i].ID] = i
		ids[i] = claimed[i].ID[:]
	}
	err := s.withReader(ctx, func(c *conn) error {
		return c.queryIDs(ids, selectJob+"WHERE job.id IN ", func(v []driver.Value) error {
			job, err := scanJob(v)
			if err != nil {
				return s.setAside(job.ID, err)
			}
			i := at[job.ID]
			s.templates.add(job.Template, integer(v[2]))
			leases[i] = queue.Lease{Job: job, Attempt: job.Attempts + 1, Token: claimed[i].Token, Until: schedule.Round(until)}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for i := range leases {
		if leases[i].Token == 0 {
			id := claimed[i].ID
			return nil, s.setAside(id, fmt.Errorf("%w: job %v is missing", queue.ErrCorrupt, id))
		}
	}
	return leases, nil
}

func (s *Store) setAside(id tracking.ID, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule.Discard(id)
	return err
}

// queryIDs asks for the rows of some IDs, in few statements of a few sizes.
func (c *conn) queryIDs(ids []driver.Value, sql string, row func([]driver.Value) error) error {
	for len(ids) > 0 {
		n := 1
		for 4*n <= 256 && 4*n <= len(ids) {
			n *= 4
		}
		in := "(?" + strings.Repeat(", ?", n-1) + ")"
		if err := c.query(context.Background(), row, sql+in, ids[:n]...); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// Settle ends or extends leases.
func (s *Store) Settle(ctx context.Context, changes []queue.Change) ([]tracking.ID, error) {
	if err := schedule.CheckChanges(changes); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	var stale []tracking.ID
	err := s.write(ctx, func(w *writer) (err error) {
		stale, err = s.settle(w, changes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stale, nil
}

func (s *Store) settle(w *writer, changes []queue.Change) (stale []tracking.ID, err error) {
	for _, c := range s.begin(w, changes, &stale) {
		if c.Extend.IsZero() {
			err = s.settleJob(w, c)
		}
		if err == nil {
			err = w.record(c.Events)
		}
		if err != nil {
			return nil, err
		}
	}
	return stale, nil
}

// begin returns the changes whose token is current.
func (s *Store) begin(w *writer, changes []queue.Change, stale *[]tracking.ID) []*queue.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := make([]*queue.Change, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Extend.IsZero() && s.schedule.Begin(c.ID, c.Token):
			w.onAbort(func() { s.schedule.Abort(c.ID) })
		case !c.Extend.IsZero() && s.schedule.Extend(c.ID, c.Token, c.Extend):
		default:
			*stale = append(*stale, c.ID)
			continue
		}
		current = append(current, c)
	}
	return current
}

func (s *Store) settleJob(w *writer, c *queue.Change) error {
	var attempts int64
	if c.Counts {
		attempts = 1
	}
	was, err := w.number("SELECT state FROM job WHERE id = ?", c.ID[:])
	if err != nil {
		return err
	}
	state := queue.State(was)
	if c.State == queue.Ready {
		// Held or cancelled while it was leased, it stays so.
		_, err = w.exec("UPDATE job SET due = ?, attempts = attempts + ?, last = coalesce(?, last) WHERE id = ?",
			schedule.Millis(c.Due), attempts, orNull(c.Last), c.ID[:])
	} else {
		if c.State != queue.Held || state != queue.Cancelled {
			state = c.State
		}
		_, err = w.exec("UPDATE job SET state = ?, attempts = attempts + ?, last = coalesce(?, last) WHERE id = ?",
			int64(state), attempts, orNull(c.Last), c.ID[:])
	}
	if err != nil {
		return err
	}
	w.moved(queue.State(was), state)
	w.onCommit(func() { s.schedule.Settle(c.ID, c.State, c.Due) })
	return nil
}

// moved counts a job that went from one state to another.
func (w *writer) moved(from, to queue.State) {
	if from > queue.Held {
		w.finished[from]--
	}
	if to > queue.Held {
		w.finished[to]++
	}
}
