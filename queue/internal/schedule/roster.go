package schedule

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// Roster is who works, in memory. It is not safe for concurrent use, and its zero
// value is empty.
type Roster struct{ entries map[tracking.ID]member }

// member is a worker, and until when it lives.
type member struct {
	queue.Worker
	until time.Time
}

// Heartbeat adds or replaces a worker, and returns those who live.
func (r *Roster) Heartbeat(w queue.Worker, ttl time.Duration, now time.Time) []queue.Worker {
	if r.entries == nil {
		r.entries = map[tracking.ID]member{}
	}
	r.entries[w.ID] = member{w, now.Add(ttl)}
	maps.DeleteFunc(r.entries, func(_ tracking.ID, e member) bool { return !now.Before(e.until) })
	alive := make([]queue.Worker, 0, len(r.entries))
	for _, e := range r.entries {
		alive = append(alive, e.Worker)
	}
	slices.SortFunc(alive, func(a, b queue.Worker) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return alive
}

// Leave takes a worker away.
func (r *Roster) Leave(id tracking.ID) { delete(r.entries, id) }

// CheckWorker finds what is no heartbeat.
func CheckWorker(w queue.Worker, ttl time.Duration) error {
	if w.ID.IsZero() {
		return errors.New("queue: heartbeat of a worker without an ID")
	}
	if ttl <= 0 {
		return fmt.Errorf("queue: heartbeat of worker %v for %v", w.ID, ttl)
	}
	return nil
}
