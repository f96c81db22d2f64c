package natsqueue

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// heartbeat says that a worker lives. Its result is who does.
type heartbeat struct {
	worker queue.Worker
	ttl    int64 // milliseconds
}

// life is a worker's entry.
type life struct {
	view  uint64
	until int64
}

// company is the result of a heartbeat.
type company struct {
	alive []queue.Worker
	now   int64
}

func (c *heartbeat) append(b []byte) []byte {
	b = append(append(b, byte(kindHeartbeat)), c.worker.ID[:]...)
	return binary.AppendVarint(binary.AppendUvarint(b, c.worker.View), c.ttl)
}

func (c *heartbeat) apply(s *state, m moment) any {
	s.workers[c.worker.ID] = life{c.worker.View, m.time + c.ttl}
	maps.DeleteFunc(s.workers, func(_ tracking.ID, l life) bool { return l.until <= m.time })
	alive := make([]queue.Worker, 0, len(s.workers))
	for id, l := range s.workers {
		alive = append(alive, queue.Worker{ID: id, View: l.view})
	}
	slices.SortFunc(alive, func(a, b queue.Worker) int { return compare(a.ID, b.ID) })
	return company{alive, m.time}
}

// leave takes a worker away.
type leave struct{ worker tracking.ID }

func (c *leave) append(b []byte) []byte { return append(append(b, byte(kindLeave)), c.worker[:]...) }

func (c *leave) apply(s *state, _ moment) any {
	delete(s.workers, c.worker)
	return nil
}

func (s *state) appendWorkers(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.workers)))
	for _, id := range slices.SortedFunc(maps.Keys(s.workers), compare) {
		l := s.workers[id]
		b = binary.AppendVarint(binary.AppendUvarint(append(b, id[:]...), l.view), l.until)
	}
	return b
}

func (d *decoder) workers(s *state) {
	for range d.count(len(tracking.ID{}) + 2) {
		id := d.id()
		s.workers[id] = life{d.uvarint(), d.varint()}
	}
}

// Heartbeat notes that a worker lives, by the clock of the stream, and returns those
// who do.
func (s *Store) Heartbeat(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
	if err := schedule.CheckWorker(w, ttl); err != nil {
		return nil, time.Time{}, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.calls.Done()
	c, err := do[company](ctx, s, "heartbeat", &heartbeat{w, cmp.Or(ttl.Milliseconds(), 1)}, nil)
	return c.alive, schedule.Time(c.now), err
}

// Leave forgets a worker.
func (s *Store) Leave(ctx context.Context, id tracking.ID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	_, err := do[any](ctx, s, "leave", &leave{id}, nil)
	return err
}
