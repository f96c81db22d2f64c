package pgqueue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

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
	return s.do(ctx, "suppress", func(ctx context.Context, tx pgx.Tx) error {
		for i := range entries {
			if err := s.suppress(ctx, tx, &entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

const storeSuppression = `INSERT INTO @suppression (` + suppressionColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (address, stream) DO UPDATE SET
	reason = excluded.reason, detail = excluded.detail, message = excluded.message, since = excluded.since, until = excluded.until`

func (s *Store) suppress(ctx context.Context, tx pgx.Tx, e *queue.Suppression) error {
	_, err := tx.Exec(ctx, s.sql(storeSuppression), fold(e.Address), clean(e.Stream), e.Reason.String(), clean(e.Detail),
		uuidOrNull(e.Message), schedule.Millis(e.Since), schedule.Millis(e.Until))
	return err
}

// fold is an address as it is compared.
func fold(address string) string { return strings.ToLower(clean(address)) }

func (s *Store) unsuppress(ctx context.Context, tx pgx.Tx, address, stream string) (int64, error) {
	tag, err := tx.Exec(ctx, s.sql("DELETE FROM @suppression WHERE address = $1 AND stream = $2"), fold(address), clean(stream))
	return tag.RowsAffected(), err
}

func scanSuppression(row pgx.CollectableRow) (e queue.Suppression, err error) {
	var reason string
	var message *[16]byte
	var since, until int64
	if err := row.Scan(&e.Address, &e.Stream, &reason, &e.Detail, &message, &since, &until); err != nil {
		return e, err
	}
	if e.Reason, err = bounce.ParseReason(reason); err != nil {
		return e, fmt.Errorf("%w: suppression of %q: %v", queue.ErrCorrupt, e.Address, err)
	}
	if message != nil {
		e.Message = *message
	}
	e.Since, e.Until = schedule.Time(since), schedule.Time(until)
	return e, nil
}

func (s *Store) suppressionsWhere(ctx context.Context, condition string, args ...any) ([]queue.Suppression, error) {
	found, err := s.db.Query(ctx, s.sql("SELECT "+suppressionColumns+" FROM @suppression WHERE "+condition), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, scanSuppression)
}

// Suppressed looks addresses up.
func (s *Store) Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) ([]*queue.Suppression, error) {
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	folded := make([]string, len(addresses))
	for i, a := range addresses {
		folded[i] = fold(a)
	}
	// By stream, so that the entry of this stream comes after the one for all.
	entries, err := s.suppressionsWhere(ctx, "address = ANY($1) AND stream IN ('', $2) AND (until = 0 OR until > $3) ORDER BY address, stream",
		folded, clean(stream), schedule.Millis(now))
	if err != nil {
		return nil, s.named("suppressed", err)
	}
	found := map[string]*queue.Suppression{}
	for i := range entries {
		found[entries[i].Address] = &entries[i]
	}
	out := make([]*queue.Suppression, len(addresses))
	for i, a := range folded {
		out[i] = found[a]
	}
	return out, nil
}

// Unsuppress removes an entry.
func (s *Store) Unsuppress(ctx context.Context, address, stream string) error {
	return s.do(ctx, "unsuppress", func(ctx context.Context, tx pgx.Tx) error {
		n, err := s.unsuppress(ctx, tx, address, stream)
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
		page, err := s.suppressionPage(ctx, last)
		if err != nil || len(page) == 0 {
			return s.named("suppressions", err)
		}
		for _, e := range page {
			if !yield(e) {
				return nil
			}
		}
		last = page[len(page)-1]
	}
}

func (s *Store) suppressionPage(ctx context.Context, last queue.Suppression) ([]queue.Suppression, error) {
	ctx, leave, err := s.brief(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.suppressionsWhere(ctx, "(address, stream) > ($1, $2) ORDER BY address, stream LIMIT 1000", last.Address, last.Stream)
}
