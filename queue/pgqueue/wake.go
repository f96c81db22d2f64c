package pgqueue

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/franqueo/franqueo/queue"
)

// channel is that of notifications.
func (s *shared) channel() string { return s.opts.Schema + "_due" }

// Wake tells f of the flows that get work that is due, as soon as its transaction
// commits. It keeps a connection of the pool for itself.
func (s *Store) Wake(ctx context.Context, f func(queue.Flow)) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(s.life, func() { stop(queue.ErrClosed) })()
	return s.named("wake", cmp.Or(s.listen(ctx, f), context.Cause(ctx)))
}

// listen returns nil when ctx ends.
func (s *Store) listen(ctx context.Context, f func(queue.Flow)) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return unless(ctx, err)
	}
	conn := pooled.Hijack() // it listens: no one else is to get it
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	_, err = conn.Exec(ctx, "LISTEN "+s.channel())
	for err == nil {
		var n *pgconn.Notification
		n, err = s.notification(ctx, conn)
		if n != nil {
			err = s.woken(ctx, n.Payload, f)
		}
	}
	return unless(ctx, err)
}

// notification waits for one, and returns nil when there was none for a while: the
// server is asked whether it is still there, for nothing else would show that it is not.
func (s *Store) notification(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return n, err
	}
	bounded, stop := s.bound(ctx)
	defer stop()
	return nil, conn.Ping(bounded)
}

// unless is err, or nil if it came of the end of ctx.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// woken calls f for the flows of a notification.
func (s *Store) woken(ctx context.Context, payload string, f func(queue.Flow)) error {
	var numbers []int64
	for part := range strings.SplitSeq(payload, ",") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			numbers = append(numbers, n)
		}
	}
	ctx, stop := s.bound(ctx)
	defer stop()
	since := time.Now()
	found, err := s.pool.Query(ctx, s.sql("SELECT id, lane, priority, tenant, campaign FROM @flow WHERE id = ANY($1)"), numbers)
	if err != nil {
		return err
	}
	var n int64
	var flow queue.Flow
	_, err = pgx.ForEachRow(found, []any{&n, &flow.Lane, &flow.Priority, &flow.Tenant, &flow.Campaign}, func() error {
		s.seen.add(flow, n, since)
		f(flow)
		return nil
	})
	return err
}
