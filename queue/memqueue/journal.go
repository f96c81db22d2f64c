package memqueue

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Record keeps events.
func (s *Store) Record(ctx context.Context, events []tracking.Event) error {
	if err := schedule.CheckEvents(events); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.record(events)
	return nil
}

func (s *Store) record(events []tracking.Event) {
	for _, e := range events {
		if _, ok := s.recorded[e.ID]; ok {
			continue
		}
		if job := s.jobs[e.Message]; job != nil {
			schedule.Label(&e, job)
		}
		e.Time = schedule.Round(e.Time)
		e.Tags, e.Meta = slices.Clone(e.Tags), maps.Clone(e.Meta)
		at, _ := slices.BinarySearchFunc(s.events, e, byTime)
		s.events = slices.Insert(s.events, at, e)
		s.recorded[e.ID] = e.Time
		s.obey(&e)
	}
}

// obey keeps the suppression list as the recipient wishes.
func (s *Store) obey(e *tracking.Event) {
	entry := queue.ByUnsubscribe(e)
	switch {
	case e.Recipient == "":
	case e.Type == tracking.Unsubscribed:
		s.suppress(entry)
	case e.Type == tracking.Resubscribed:
		delete(s.suppressions, keyOf(entry.Address, entry.Stream))
	}
}

// Events returns the events that match.
func (s *Store) Events(ctx context.Context, f queue.EventFilter, after tracking.ID, limit int) ([]tracking.Event, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var start int
	if !after.IsZero() {
		last := tracking.Event{ID: after, Time: s.recorded[after]}
		at, found := slices.BinarySearchFunc(s.events, last, byTime)
		if !found {
			return nil, schedule.UnknownEvent(after)
		}
		start = at + 1
	}
	var out []tracking.Event
	for _, e := range s.events[start:] {
		if len(out) >= limit {
			break
		}
		if happened(f, &e) {
			e.Tags, e.Meta = slices.Clone(e.Tags), maps.Clone(e.Meta)
			out = append(out, e)
		}
	}
	return out, nil
}

func happened(f queue.EventFilter, e *tracking.Event) bool {
	return (f.Message.IsZero() || f.Message == e.Message) &&
		(f.Recipient == "" || f.Recipient == e.Recipient) &&
		(f.Campaign == "" || f.Campaign == e.Campaign) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(f.Since.IsZero() || !e.Time.Before(schedule.Round(f.Since))) &&
		(f.Until.IsZero() || e.Time.Before(schedule.Round(f.Until)))
}

func byTime(a, b tracking.Event) int {
	return cmp.Or(a.Time.Compare(b.Time), compare(a.ID, b.ID))
}

func compare(a, b tracking.ID) int { return bytes.Compare(a[:], b[:]) }

// clone shares nothing with the stored job.
func clone(job *queue.Job) queue.Job {
	c := *job
	c.Recipient = bytes.Clone(job.Recipient)
	c.Tags, c.Meta = slices.Clone(job.Tags), maps.Clone(job.Meta)
	return c
}

// entry is the key of a suppression: the address in lower case, and the stream.
type entry struct{ address, stream string }

func keyOf(address, stream string) entry { return entry{strings.ToLower(address), stream} }

// Suppress adds or replaces entries.
func (s *Store) Suppress(ctx context.Context, entries []queue.Suppression) error {
	if err := schedule.CheckSuppressions(entries); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, e := range entries {
		s.suppress(e)
	}
	return nil
}

func (s *Store) suppress(e queue.Suppression) {
	e.Address = strings.ToLower(e.Address)
	e.Since, e.Until = schedule.Round(e.Since), schedule.Round(e.Until)
	s.suppressions[keyOf(e.Address, e.Stream)] = e
}

// Suppressed looks addresses up.
func (s *Store) Suppressed(ctx context.Context, stream string, addresses []string, now time.Time) ([]*queue.Suppression, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]*queue.Suppression, len(addresses))
	for i, a := range addresses {
		for _, key := range []entry{keyOf(a, stream), keyOf(a, "")} {
			if e, ok := s.suppressions[key]; ok && (e.Until.IsZero() || now.Before(e.Until)) {
				out[i] = &e
				break
			}
		}
	}
	return out, nil
}

// Unsuppress removes an entry.
func (s *Store) Unsuppress(ctx context.Context, address, stream string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	key := keyOf(address, stream)
	if _, ok := s.suppressions[key]; !ok {
		return schedule.NotSuppressed(address, stream)
	}
	delete(s.suppressions, key)
	return nil
}

// Suppressions yields every entry.
func (s *Store) Suppressions(ctx context.Context, yield func(queue.Suppression) bool) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	entries := slices.SortedFunc(maps.Values(s.suppressions), func(a, b queue.Suppression) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Stream, b.Stream))
	})
	s.mu.Unlock()
	for _, e := range entries {
		if !yield(e) {
			break
		}
	}
	return nil
}
