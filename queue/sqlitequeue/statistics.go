package sqlitequeue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Statistics counts the events, as [tracking.Journal.Statistics] does. It reads the
// file beside the store, and delays nothing.
func (s *Store) Statistics(ctx context.Context, q tracking.Query) ([]tracking.Statistics, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	abs, err := filepath.Abs(s.path)
	if err != nil {
		return nil, err
	}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, fmt.Errorf("sqlitequeue: statistics: %w", err)
	}
	defer db.Close()
	return tracking.CountEvents(ctx, db, "event", q)
}

// Resolve tells what the job and the events so far say of a mail: see
// [tracking.Resolver]. It does not know mailings.
func (s *Store) Resolve(ctx context.Context, message tracking.ID, _ string) (m tracking.Mail, err error) {
	if message.IsZero() {
		return m, tracking.ErrUnknownMail
	}
	e := tracking.Event{Message: message}
	err = s.read(ctx, func(c *conn) error {
		if err := c.label(&e); err != nil {
			return err
		}
		return c.query(ctx, func(v []driver.Value) error {
			past, err := scanEvent(v)
			recall(&m, &past)
			schedule.Label(&e, &queue.Job{
				Address: past.Recipient, Flow: queue.Flow{Campaign: past.Campaign, Tenant: past.Tenant},
				Stream: past.Stream, Tags: past.Tags, Meta: past.Meta,
			})
			return err
		}, "SELECT "+eventColumns+" FROM event WHERE message = ? ORDER BY time", message[:])
	})
	if err == nil && e.Recipient == "" {
		err = tracking.ErrUnknownMail
	}
	m.Recipient, m.Campaign, m.Stream, m.Tenant, m.Tags, m.Meta = e.Recipient, e.Campaign, e.Stream, e.Tenant, e.Tags, e.Meta
	return m, err
}

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
