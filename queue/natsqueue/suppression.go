package natsqueue

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// suppress adds or replaces entries.
type suppress struct{ entries []queue.Suppression }

func appendSuppression(b []byte, e *queue.Suppression) []byte {
	b = appendText(appendText(b, e.Address), e.Stream)
	b = appendText(appendText(b, e.Reason.String()), e.Detail)
	b = binary.AppendVarint(append(b, e.Message[:]...), schedule.Millis(e.Since))
	return binary.AppendVarint(b, schedule.Millis(e.Until))
}

const suppressionSize = 4 + 16 + 2 // at least

func (d *decoder) suppression() queue.Suppression {
	e := queue.Suppression{Address: d.text(), Stream: d.text()}
	reason, err := bounce.ParseReason(d.text())
	if err != nil && d.err == nil {
		d.fail("suppression of %q: %v", e.Address, err)
	}
	e.Reason, e.Detail, e.Message = reason, d.text(), d.id()
	e.Since, e.Until = schedule.Time(d.varint()), schedule.Time(d.varint())
	return e
}

func (c *suppress) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(kindSuppress)), uint64(len(c.entries)))
	for i := range c.entries {
		b = appendSuppression(b, &c.entries[i])
	}
	return b
}

func (d *decoder) suppress() command {
	c := &suppress{entries: make([]queue.Suppression, d.count(suppressionSize))}
	for i := range c.entries {
		c.entries[i] = d.suppression()
	}
	return c
}

func (c *suppress) apply(s *state, _ moment) any {
	for _, e := range c.entries {
		key := entryOf(e.Address, e.Stream)
		e.Address = key.address
		s.entries[key] = e
	}
	return nil
}

// unsuppress removes an entry.
type unsuppress struct{ address, stream string }

func (c *unsuppress) append(b []byte) []byte {
	return appendText(appendText(append(b, byte(kindUnsuppress)), c.address), c.stream)
}

func (c *unsuppress) apply(s *state, _ moment) any {
	key := entryOf(c.address, c.stream)
	if _, ok := s.entries[key]; !ok {
		return schedule.NotSuppressed(c.address, c.stream)
	}
	delete(s.entries, key)
	return nil
}

// Suppress adds or replaces entries.
func (s *Store) Suppress(ctx context.Context, entries []queue.Suppression) error {
	if err := schedule.CheckSuppressions(entries); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	for start := 0; start < len(entries); {
		end, size := start, 0
		for end < len(entries) && (end == start || size < commandSize) {
			size += suppressionSize + len(entries[end].Address) + len(entries[end].Stream) + len(entries[end].Detail)
			end++
		}
		if _, err := do[any](ctx, s, "suppress", &suppress{entries[start:end]}, nil); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// Unsuppress removes an entry.
func (s *Store) Unsuppress(ctx context.Context, address, stream string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	_, err := do[any](ctx, s, "unsuppress", &unsuppress{address, stream}, nil)
	return err
}

// Suppressed looks addresses up.
func (s *Store) Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) (out []*queue.Suppression, err error) {
	err = s.read(ctx, func(st *state) {
		out = make([]*queue.Suppression, len(addresses))
		for i, a := range addresses {
			out[i] = st.suppressed(a, stream, now)
		}
	})
	return out, err
}

func (s *state) suppressed(address, stream string, now time.Time) *queue.Suppression {
	for _, key := range []entry{entryOf(address, stream), entryOf(address, "")} {
		if e, ok := s.entries[key]; ok && (e.Until.IsZero() || now.Before(e.Until)) {
			return &e
		}
	}
	return nil
}

// Suppressions yields every entry.
func (s *Store) Suppressions(ctx context.Context, yield func(queue.Suppression) bool) error {
	var entries []queue.Suppression
	if err := s.read(ctx, func(st *state) { entries = st.sortedEntries() }); err != nil {
		return err
	}
	for _, e := range entries {
		if !yield(e) {
			break
		}
	}
	return nil
}

func (s *state) sortedEntries() []queue.Suppression {
	return slices.SortedFunc(maps.Values(s.entries), func(a, b queue.Suppression) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Stream, b.Stream))
	})
}
