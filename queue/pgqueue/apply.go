package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// chunk is how many jobs one step of Apply, or of the sweep, changes, so that
// others do not wait for long.
const chunk = 2000

// Apply does what action says to the jobs that match, in steps: when it fails, or
// the process ends, a part may have been done. In a transaction of the host it is
// all or nothing.
func (s *Store) Apply(ctx context.Context, f queue.Filter, action queue.Action, now time.Time) (int, error) {
	if err := schedule.CheckAction(action); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := s.stand(ctx, f, action); err != nil {
		return 0, s.named("apply", err)
	}
	f.States = intersect(f.States, schedule.From(action))
	if len(f.States) == 0 {
		return 0, nil
	}
	n, err := s.apply(ctx, f, action, now)
	return n, s.named("apply", err)
}

// intersect are the states that are in both, where none means all.
func intersect(asked, possible []queue.State) []queue.State {
	if len(asked) == 0 {
		return possible
	}
	return slices.DeleteFunc(possible, func(s queue.State) bool { return !slices.Contains(asked, s) })
}

// stand puts standing holds in place, or lifts them. It waits for the jobs that are
// being put, and those to come wait for it: so a job is found by what follows, or
// meets the hold.
func (s *Store) stand(ctx context.Context, f queue.Filter, action queue.Action) error {
	scope, ok := schedule.ScopeOf(f)
	if !ok || action != queue.Hold && action != queue.Release {
		return nil
	}
	sql := "INSERT INTO @hold (lane, tenant, campaign) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
	if action == queue.Release {
		sql = "DELETE FROM @hold WHERE $1 IN ('', lane) AND $2 IN ('', tenant) AND $3 IN ('', campaign)"
	}
	return again(ctx, func(int) error {
		return s.transact(ctx, func(tx pgx.Tx) error {
			var keeps bool
			err := tx.QueryRow(ctx, "SELECT "+keepsSnapshot+" FROM pg_advisory_xact_lock($1)", s.lockKey("hold")).Scan(&keeps)
			if err != nil {
				return err
			}
			if keeps && s.tx != nil {
				return errors.New("hold and release mail in a transaction that is READ COMMITTED: this one does not see all that is queued")
			}
			var b pgx.Batch
			b.Queue(s.sql(sql), scope.Lane, scope.Tenant, scope.Campaign)
			b.Queue(s.sql("UPDATE @version SET holds = holds + 1"))
			return tx.SendBatch(ctx, &b).Close()
		})
	})
}

func (s *Store) apply(ctx context.Context, f queue.Filter, action queue.Action, now time.Time) (total int, err error) {
	var after tracking.ID
	for {
		ids, err := s.find(ctx, f, after)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		n, err := s.applyTo(ctx, ids, f.States, action, now)
		if err != nil {
			return total, err
		}
		total += n
		after = ids[len(ids)-1]
	}
}

// find lists the IDs of some jobs that match.
func (s *Store) find(ctx context.Context, f queue.Filter, after tracking.ID) (ids []tracking.ID, err error) {
	where := jobsWhere(f, after)
	found, err := s.db.Query(ctx, s.sql("SELECT job.id FROM @job job JOIN @flow flow ON flow.id = job.flow"+where.String()+" ORDER BY job.id LIMIT "+where.value(chunk)),
		where.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (id tracking.ID, err error) {
		err = row.Scan((*[16]byte)(&id))
		return id, err
	})
}

// applyJobs leaves leased jobs their end, and to Retry those that are leased and not
// cancelled.
const applyJobs = `UPDATE @job SET state = $3, due = CASE WHEN $4::bigint > 0 AND token <= 0 THEN $4 ELSE due END
	WHERE id = ANY($1) AND state = ANY($2) AND NOT (state = $3 AND token > 0)`

func (s *Store) applyTo(ctx context.Context, ids []tracking.ID, from []queue.State, action queue.Action, now time.Time) (n int, err error) {
	to, _ := schedule.Next(from[0], action)
	var due int64
	if action == queue.Retry {
		due = schedule.Millis(now)
	}
	states := make([]int16, len(from))
	for i, state := range from {
		states[i] = int16(state)
	}
	err = again(ctx, func(int) error {
		return s.transact(ctx, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, s.sql(applyJobs), uuids(ids), states, int16(to), due)
			n = int(tag.RowsAffected())
			return err
		})
	})
	return n, err
}

// List returns the jobs that match.
func (s *Store) List(ctx context.Context, f queue.Filter, after tracking.ID, limit int) ([]queue.Job, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if limit <= 0 {
		return nil, nil
	}
	where := jobsWhere(f, after)
	found, err := s.db.Query(ctx, s.sql(selectJobs+where.String()+" ORDER BY job.id LIMIT "+where.value(limit)), where.args...)
	if err != nil {
		return nil, s.named("list", err)
	}
	rows, err := scanJobs(found)
	if err != nil {
		return nil, s.named("list", err)
	}
	jobs := make([]queue.Job, len(rows))
	for i := range rows {
		jobs[i] = rows[i].Job
	}
	return jobs, nil
}

// where is conditions that all must hold, and their values.
type where struct {
	conditions []string
	args       []any
}

// value adds a value, and returns how the statement names it.
func (w *where) value(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args))
}

// add adds a condition on a value, if it is set. A ? stands for the value.
func (w *where) add(set bool, condition string, v any) {
	if set {
		w.conditions = append(w.conditions, strings.Replace(condition, "?", w.value(v), 1))
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

func jobsWhere(f queue.Filter, after tracking.ID) *where {
	w := &where{}
	w.add(!after.IsZero(), "job.id > ?", [16]byte(after))
	w.add(f.Lane != "", "flow.lane = ?", f.Lane)
	w.add(f.Tenant != "", "flow.tenant = ?", f.Tenant)
	w.add(f.Campaign != "", "flow.campaign = ?", f.Campaign)
	w.add(f.Address != "", "job.address = ?", f.Address)
	w.add(len(f.IDs) > 0, "job.id = ANY(?)", uuids(f.IDs))
	states := make([]int16, len(f.States))
	for i, state := range f.States {
		states[i] = int16(state)
	}
	w.add(len(f.States) > 0, "job.state = ANY(?)", states)
	return w
}
