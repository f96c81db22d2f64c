package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

const suppressionColumns = "address, stream, reason, detail, message, since, until"

// Suppress adds or replaces entries.
func (s *Store) Suppress(ctx context.Context, entries []queue.Suppression) error {
	if err := schedule.CheckSuppressions(entries); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.write(ctx, func(w *writer) error {
		for i := range entries {
			if err := w.suppress(&entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) suppress(e *queue.Suppression) error {
	_, err := w.exec("INSERT OR REPLACE INTO suppression ("+suppressionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
		strings.ToLower(e.Address), e.Stream, e.Reason.String(), e.Detail, idOrNull(&e.Message),
		schedule.Millis(e.Since), schedule.Millis(e.Until))
	return err
}

func (w *writer) unsuppress(address, stream string) (int64, error) {
	return w.exec("DELETE FROM suppression WHERE address = ? AND stream = ?", strings.ToLower(address), stream)
}

func scanSuppression(v []driver.Value) (e queue.Suppression, err error) {
	e.Address, e.Stream, e.Detail = text(v[0]), text(v[1]), text(v[3])
	if e.Reason, err = bounce.ParseReason(text(v[2])); err != nil {
		return e, fmt.Errorf("%w: suppression of %q: %v", queue.ErrCorrupt, e.Address, err)
	}
	e.Since, e.Until = schedule.Time(integer(v[5])), schedule.Time(integer(v[6]))
	return e, scanID(&e.Message, v[4])
}

// Suppressed looks addresses up.
func (s *Store) Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) ([]*queue.Suppression, error) {
	folded := make([]string, len(addresses))
	for i, a := range addresses {
		folded[i] = strings.ToLower(a)
	}
	list, _ := json.Marshal(folded) // strings cannot fail
	found := map[string]*queue.Suppression{}
	err := s.read(ctx, func(c *conn) error {
		// By stream, so that the entry of this stream comes after the one for all.
		return c.query(context.Background(), func(v []driver.Value) error {
			e, err := scanSuppression(v)
			found[e.Address] = &e
			return err
		}, "SELECT "+suppressionColumns+` FROM suppression
			WHERE address IN (SELECT value FROM json_each(?)) AND stream IN ('', ?) AND (until = 0 OR until > ?)
			ORDER BY address, stream`, string(list), stream, schedule.Millis(now))
	})
	if err != nil {
		return nil, err
	}
	out := make([]*queue.Suppression, len(addresses))
	for i, a := range folded {
		out[i] = found[a]
	}
	return out, nil
}

// Unsuppress removes an entry.
func (s *Store) Unsuppress(ctx context.Context, address, stream string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.write(ctx, func(w *writer) error {
		n, err := w.unsuppress(address, stream)
		if err == nil && n == 0 {
			err = schedule.NotSuppressed(address, stream)
		}
		return err
	})
}

// Suppressions yields every entry, some at a time, so that no connection is held
// while the caller is at work.
func (s *Store) Suppressions(ctx context.Context, yield func(queue.Suppression) bool) error {
	var last queue.Suppression
	for {
		var page []queue.Suppression
		err := s.read(ctx, func(c *conn) error {
			return c.query(ctx, func(v []driver.Value) error {
				e, err := scanSuppression(v)
				page = append(page, e)
				return err
			}, "SELECT "+suppressionColumns+` FROM suppression
				WHERE (address, stream) > (?, ?) ORDER BY address, stream LIMIT 1000`, last.Address, last.Stream)
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			if !yield(e) {
				return nil
			}
		}
		last = page[len(page)-1]
	}
}
