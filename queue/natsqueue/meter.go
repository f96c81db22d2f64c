package natsqueue

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
)

// Times of a meter are Unix nanoseconds: a slot begins at any of them.

func appendWindow(b []byte, w queue.Window) []byte {
	b = binary.AppendVarint(appendText(b, w.Name), int64(w.Limit))
	return binary.AppendVarint(b, int64(w.Span))
}

func (d *decoder) window() queue.Window {
	w := queue.Window{Name: d.text(), Limit: int(d.varint()), Span: time.Duration(d.varint())}
	if err := schedule.CheckWindow(w, 0); err != nil && d.err == nil {
		d.fail("%v", err)
	}
	return w
}

// take grants what a window still allows.
type take struct {
	window queue.Window
	n, now int64
}

func (c *take) append(b []byte) []byte {
	b = binary.AppendVarint(appendWindow(append(b, byte(kindTake)), c.window), c.n)
	return binary.AppendVarint(b, c.now)
}

// grant is the result of take.
type grant struct {
	n     int
	again time.Time
}

func (c *take) apply(s *state, _ moment) any {
	key, now := window{c.window.Name, c.window.Span}, time.Unix(0, c.now)
	sent := s.sent[key]
	if sent == nil {
		sent = map[int64]int{}
		s.sent[key] = sent
	}
	for slot := range sent {
		if slot < c.window.Slot(now)-queue.WindowSlots {
			delete(sent, slot)
		}
	}
	granted, again := schedule.Grant(c.window, sent, int(c.n), now)
	if granted > 0 {
		sent[c.window.Slot(now)] += granted
	}
	return grant{granted, again}
}

// giveBack takes back what was granted and not used.
type giveBack struct {
	window     queue.Window
	n, granted int64
}

func (c *giveBack) append(b []byte) []byte {
	b = binary.AppendVarint(appendWindow(append(b, byte(kindReturn)), c.window), c.n)
	return binary.AppendVarint(b, c.granted)
}

func (c *giveBack) apply(s *state, _ moment) any {
	sent, slot := s.sent[window{c.window.Name, c.window.Span}], c.window.Slot(time.Unix(0, c.granted))
	if have, ok := sent[slot]; ok {
		sent[slot] = max(0, have-int(c.n))
	}
	return nil
}

// Take grants what the window still allows, for all processes together.
func (s *Store) Take(ctx context.Context, w queue.Window, n int, now time.Time) (granted int, again time.Time, err error) {
	if err := schedule.CheckWindow(w, n); err != nil {
		return 0, time.Time{}, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, time.Time{}, err
	}
	defer s.calls.Done()
	g, err := do[grant](ctx, s, "take", &take{w, int64(n), now.UnixNano()}, nil)
	return g.n, g.again, err
}

// Return takes back what was not used.
func (s *Store) Return(ctx context.Context, w queue.Window, n int, granted time.Time) error {
	if err := schedule.CheckWindow(w, n); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	_, err := do[any](ctx, s, "return", &giveBack{w, int64(n), granted.UnixNano()}, nil)
	return err
}
