package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// chunk is how many jobs one step of Apply, or of the sweep, changes, so that
// others do not wait for long.
const chunk = 2000

// Apply does what action says to the jobs that match, in steps: when it fails, or
// the process ends, a part may have been done.
func (s *Store) Apply(ctx context.Context, f queue.Filter, action queue.Action, now time.Time) (int, error) {
	if err := schedule.CheckAction(action); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.stand(ctx, f, action); err != nil {
		return 0, err
	}
	f.States = intersect(f.States, schedule.From(action))
	if len(f.States) == 0 {
		return 0, nil
	}
	ids, err := s.find(ctx, f)
	if err != nil {
		return 0, err
	}
	var total int
	for part := range slices.Chunk(ids, chunk) {
		var n int
		err := s.write(ctx, func(w *writer) (err error) {
			n, err = s.apply(w, part, action, now)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// intersect are the states that are in both, where none means all.
func intersect(asked, possible []queue.State) []queue.State {
	if len(asked) == 0 {
		return possible
	}
	return slices.DeleteFunc(possible, func(s queue.State) bool { return !slices.Contains(asked, s) })
}

// stand puts standing holds in place, or lifts them. It comes first: a job that
// arrived before is found, and one that arrives later meets the hold.
func (s *Store) stand(ctx context.Context, f queue.Filter, action queue.Action) error {
	scope, ok := schedule.ScopeOf(f)
	if !ok || action != queue.Hold && action != queue.Release {
		return nil
	}
	sql := "INSERT OR IGNORE INTO hold (lane, tenant, campaign) VALUES (?1, ?2, ?3)"
	if action == queue.Release {
		sql = "DELETE FROM hold WHERE ?1 IN ('', lane) AND ?2 IN ('', tenant) AND ?3 IN ('', campaign)"
	}
	return s.write(ctx, func(w *writer) error {
		_, err := w.exec(sql, scope.Lane, scope.Tenant, scope.Campaign)
		w.onCommit(func() { s.schedule.Stand(f, action) })
		return err
	})
}

// find lists the IDs of the jobs that match.
func (s *Store) find(ctx context.Context, f queue.Filter) (ids []tracking.ID, err error) {
	err = s.withReader(ctx, func(c *conn) error {
		return c.search(ctx, f, tracking.ID{}, "SELECT job.id FROM job CROSS JOIN flow ON flow.id = job.flow ", "", func(v []driver.Value) error {
			var id tracking.ID
			err := scanID(&id, v[0])
			ids = append(ids, id)
			return err
		})
	})
	return ids, err
}

func (s *Store) apply(w *writer, ids []tracking.ID, action queue.Action, now time.Time) (n int, err error) {
	for i := range ids {
		changed, err := s.applyJob(w, &ids[i], action, now)
		if err != nil {
			return 0, err
		}
		if changed {
			n++
		}
	}
	return n, nil
}

func (s *Store) applyJob(w *writer, id *tracking.ID, action queue.Action, now time.Time) (bool, error) {
	var from queue.State
	var flow queue.Flow
	var found bool
	err := w.query(context.Background(), func(v []driver.Value) error {
		from, flow, found = queue.State(integer(v[0])), scanFlow(v[1:]), true
		return nil
	}, "SELECT state, "+flowColumns+" FROM job JOIN flow ON flow.id = job.flow WHERE job.id = ?", id[:])
	if err != nil || !found {
		return false, err
	}
	to, ok := schedule.Next(from, action)
	if !ok || to == from && s.leased(*id) {
		return false, nil
	}
	var due time.Time
	if action == queue.Retry {
		due = schedule.Round(now)
		_, err = w.exec("UPDATE job SET state = ?, due = ? WHERE id = ?", int64(to), schedule.Millis(due), id[:])
	} else {
		_, err = w.exec("UPDATE job SET state = ? WHERE id = ?", int64(to), id[:])
	}
	if err != nil {
		return false, err
	}
	w.moved(from, to)
	w.onCommit(func() { s.schedule.Apply(*id, flow, from, to, due) })
	return true, nil
}

func (s *Store) leased(id tracking.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.schedule.Leased(id)
}

// List returns the jobs that match.
func (s *Store) List(ctx context.Context, f queue.Filter, after tracking.ID, limit int) (jobs []queue.Job, err error) {
	if limit <= 0 {
		return nil, s.read(ctx, func(*conn) error { return nil })
	}
	err = s.read(ctx, func(c *conn) error {
		return c.search(ctx, f, after, selectJob, " LIMIT ?", func(v []driver.Value) error {
			job, err := scanJob(v)
			s.templates.add(job.Template, integer(v[2]))
			jobs = append(jobs, job)
			return err
		}, int64(limit))
	})
	return jobs, err
}

// search runs a SELECT on job and flow for the jobs that match, by ID.
func (c *conn) search(ctx context.Context, f queue.Filter, after tracking.ID, sql, end string, row func([]driver.Value) error, last ...driver.Value) error {
	where := []string{"job.id > ?"}
	args := []driver.Value{after[:]}
	add := func(value, condition string) {
		if value != "" {
			where, args = append(where, condition), append(args, value)
		}
	}
	add(f.Lane, "flow.lane = ?")
	add(f.Tenant, "flow.tenant = ?")
	add(f.Campaign, "flow.campaign = ?")
	add(f.Address, "job.address = ?")
	if len(f.States) > 0 {
		where, args = append(where, "job.state IN "+marks(len(f.States))), append(args, stateValues(f.States)...)
	}
	if len(f.IDs) > 0 {
		// As one value, so that any number of them can be asked for.
		where, args = append(where, "job.id IN (SELECT unhex(value) FROM json_each(?))"), append(args, hexList(f.IDs))
	}
	sql += "WHERE " + strings.Join(where, " AND ") + " ORDER BY job.id" + end
	return c.query(ctx, row, sql, append(args, last...)...)
}
