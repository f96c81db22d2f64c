package memqueue

import (
	"context"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// window is what tells one limit from another.
type window struct {
	name string
	span time.Duration
}

// Take grants what the window still allows.
func (s *Store) Take(ctx context.Context, w queue.Window, n int, now time.Time) (granted int, again time.Time, err error) {
	if err := schedule.CheckWindow(w, n); err != nil {
		return 0, time.Time{}, err
	}
	if err := s.lock(ctx); err != nil {
		return 0, time.Time{}, err
	}
	defer s.mu.Unlock()
	key := window{w.Name, w.Span}
	sent := s.sent[key]
	if sent == nil {
		sent = map[int64]int{}
		s.sent[key] = sent
	}
	for slot := range sent {
		if slot < w.Slot(now)-queue.WindowSlots {
			delete(sent, slot)
		}
	}
	granted, again = schedule.Grant(w, sent, n, now)
	sent[w.Slot(now)] += granted
	return granted, again, nil
}

// Return takes back what was not used.
func (s *Store) Return(ctx context.Context, w queue.Window, n int, granted time.Time) error {
	if err := schedule.CheckWindow(w, n); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	sent, slot := s.sent[window{w.Name, w.Span}], w.Slot(granted)
	if have, ok := sent[slot]; ok {
		sent[slot] = max(0, have-n)
	}
	return nil
}
