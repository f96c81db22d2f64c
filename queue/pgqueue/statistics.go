package pgqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

const countFlows = `SELECT counted.*, coalesce(flow.lane, ''), coalesce(flow.priority, 0), coalesce(flow.tenant, ''), coalesce(flow.campaign, ''),
	coalesce(first.due, 0)
FROM (SELECT flow AS number, sum(ready)::bigint AS ready, sum(leased)::bigint, sum(held)::bigint, sum(delivered)::bigint, sum(bounced)::bigint,
	sum(cancelled)::bigint FROM @tally GROUP BY flow) AS counted
LEFT JOIN @flow flow ON flow.id = counted.number
LEFT JOIN LATERAL (SELECT due FROM @job job WHERE job.flow = counted.number AND job.state = 0 ORDER BY job.due, job.id LIMIT 1) AS first
	ON counted.ready > 0`

// Stats counts the jobs.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return queue.Stats{}, err
	}
	defer leave()
	stats := queue.Stats{Flows: map[queue.Flow]queue.FlowStats{}}
	var b pgx.Batch
	s.queueByIndex(&b)
	b.Queue(s.sql(countFlows)).Query(func(found pgx.Rows) error {
		var flow queue.Flow
		var of queue.FlowStats
		var number, due int64
		var delivered, bounced, cancelled int
		_, err := pgx.ForEachRow(found, []any{
			&number, &of.Ready, &of.Leased, &of.Held, &delivered, &bounced, &cancelled, &flow.Lane, &flow.Priority, &flow.Tenant, &flow.Campaign, &due,
		}, func() error {
			of.Oldest = schedule.Time(due)
			for state, n := range [...]int{of.Ready, of.Held, delivered, bounced, cancelled} {
				stats.ByState[state] += n
			}
			addFlow(&stats, flow, of)
			return nil
		})
		return err
	})
	if err := s.db.SendBatch(ctx, &b).Close(); err != nil {
		return queue.Stats{}, s.named("stats", err)
	}
	return stats, nil
}

func addFlow(stats *queue.Stats, flow queue.Flow, of queue.FlowStats) {
	stats.Leased += of.Leased
	if of.Ready+of.Held <= 0 {
		return
	}
	stats.Flows[flow] = of
	if of.Ready > 0 && (stats.Oldest.IsZero() || of.Oldest.Before(stats.Oldest)) {
		stats.Oldest = of.Oldest
	}
}

// waiting is how many jobs are not finished, as of a moment ago.
type waiting struct {
	mu    sync.Mutex // guards the others
	n     int        // counted then, and put by this process since
	since time.Time
}

// reserve refuses n jobs more than the limit allows.
func (s *Store) reserve(ctx context.Context, n int) error {
	w := &s.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.since) > time.Second {
		err := s.pool.QueryRow(ctx, s.sql("SELECT coalesce(sum(ready + held), 0)::bigint FROM @tally")).Scan(&w.n)
		if err != nil {
			return err
		}
		w.since = time.Now()
	}
	if n > 0 && w.n+n > s.opts.Limit {
		return fmt.Errorf("%w: %d jobs wait, and the limit is %d", queue.ErrFull, w.n, s.opts.Limit)
	}
	w.n += n
	return nil
}

// Statistics counts the events, as [tracking.Journal.Statistics] does.
func (s *Store) Statistics(ctx context.Context, q tracking.Query) ([]tracking.Statistics, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	return tracking.CountEvents(ctx, db, s.opts.Schema+".event", q)
}

// Resolve tells what the job and the events so far say of a mail: see
// [tracking.Resolver]. It does not know mailings.
func (s *Store) Resolve(ctx context.Context, message tracking.ID, _ string) (m tracking.Mail, err error) {
	if message.IsZero() {
		return m, tracking.ErrUnknownMail
	}
	events, err := s.Events(ctx, queue.EventFilter{Message: message}, tracking.ID{}, maxEvents)
	if err != nil {
		return m, err
	}
	jobs, err := s.List(ctx, queue.Filter{IDs: []tracking.ID{message}}, tracking.ID{}, 1)
	if err != nil {
		return m, err
	}
	e := tracking.Event{Message: message}
	for i := range jobs {
		schedule.Label(&e, &jobs[i])
	}
	for i := range events {
		past := &events[i]
		recall(&m, past)
		schedule.Label(&e, &queue.Job{
			Address: past.Recipient, Flow: queue.Flow{Campaign: past.Campaign, Tenant: past.Tenant},
			Stream: past.Stream, Tags: past.Tags, Meta: past.Meta,
		})
	}
	if e.Recipient == "" {
		err = tracking.ErrUnknownMail
	}
	m.Recipient, m.Campaign, m.Stream, m.Tenant, m.Tags, m.Meta = e.Recipient, e.Campaign, e.Stream, e.Tenant, e.Tags, e.Meta
	return m, err
}

// maxEvents is how many events of one mail are looked at.
const maxEvents = 10_000

// recall notes what an event says about the state of its mail.
func recall(m *tracking.Mail, e *tracking.Event) {
	switch {
	case e.Type == tracking.Delivered:
		m.Delivered = e.Time
	case e.Machine != 0:
	case e.Type == tracking.Opened:
		m.Opened = true
	case e.Type == tracking.Clicked:
		m.Clicked = true
	}
}

// Template returns the stored template.
func (s *Store) Template(ctx context.Context, hash queue.Hash) (content []byte, err error) {
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	err = s.db.QueryRow(ctx, s.sql("SELECT content FROM @template WHERE hash = $1"), hash[:]).Scan(&content)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("%w: template %x", queue.ErrNotFound, hash[:])
	}
	return content, s.named("template", err)
}
