package sqlitequeue

import (
	"context"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/queue/internal/schedule"
	"github.com/franqueo/franqueo/tracking"
)

// Heartbeat notes that a worker lives, and returns those who do: the queues of this
// process that share the store. It writes nothing.
func (s *Store) Heartbeat(ctx context.Context, w queue.Worker, ttl time.Duration) ([]queue.Worker, time.Time, error) {
	now := time.Now()
	if err := schedule.CheckWorker(w, ttl); err != nil {
		return nil, now, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, now, err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.Heartbeat(w, ttl, now), now, nil
}

// Leave forgets a worker.
func (s *Store) Leave(ctx context.Context, id tracking.ID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roster.Leave(id)
	return nil
}
