package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/franqueo/franqueo/queue"
	"github.com/franqueo/franqueo/tracking"
)

// CheckBatch finds the faults of a batch that no store accepts.
func CheckBatch(b *queue.Batch) error {
	if b.Hash == (queue.Hash{}) {
		return errors.New("queue: batch without a hash")
	}
	for i := range b.Jobs {
		if err := checkJob(b, &b.Jobs[i]); err != nil {
			return fmt.Errorf("queue: job %d of the batch: %w", i, err)
		}
	}
	return nil
}

func checkJob(b *queue.Batch, job *queue.Job) error {
	switch {
	case job.ID.IsZero():
		return errors.New("it has no ID")
	case job.State > queue.Held:
		return fmt.Errorf("state %d is neither ready nor held", job.State)
	case job.Template != (queue.Hash{}) && job.Template != b.Hash:
		return fmt.Errorf("template %x is not that of the batch", job.Template[:])
	}
	return nil
}

// CheckChanges finds the faults of changes that no store accepts.
func CheckChanges(changes []queue.Change) error {
	for i := range changes {
		c := &changes[i]
		if int(c.State) >= states {
			return fmt.Errorf("queue: change of job %v: unknown state %d", c.ID, c.State)
		}
		if err := CheckEvents(c.Events); err != nil {
			return err
		}
	}
	return nil
}

// CheckAction finds actions that are none.
func CheckAction(action queue.Action) error {
	if action > queue.Retry {
		return fmt.Errorf("queue: unknown action %d", action)
	}
	return nil
}

// CheckEvents finds events that cannot be told apart.
func CheckEvents(events []tracking.Event) error {
	for i := range events {
		if events[i].ID.IsZero() {
			return fmt.Errorf("queue: %s event of message %v has no ID", events[i].Type, events[i].Message)
		}
	}
	return nil
}

// CheckSuppressions finds entries without an address.
func CheckSuppressions(entries []queue.Suppression) error {
	for i := range entries {
		if entries[i].Address == "" {
			return fmt.Errorf("queue: suppression %d has no address", i)
		}
	}
	return nil
}

// CheckWindow finds what cannot be counted.
func CheckWindow(w queue.Window, n int) error {
	if w.Span < queue.WindowSlots {
		return fmt.Errorf("queue: window %q spans %v", w.Name, w.Span)
	}
	if n < 0 {
		return fmt.Errorf("queue: window %q: %d is negative", w.Name, n)
	}
	return nil
}

// NotSuppressed is the error of Unsuppress for an entry that is not there.
func NotSuppressed(address, stream string) error {
	return fmt.Errorf("%w: suppression of %s on stream %s", queue.ErrNotFound, strconv.Quote(address), strconv.Quote(stream))
}

// UnknownEvent is the error of Events after an event that is not there.
func UnknownEvent(id tracking.ID) error {
	return fmt.Errorf("%w: event %v", queue.ErrNotFound, id)
}

// Label fills in what an event leaves empty from the job that it is about.
func Label(e *tracking.Event, job *queue.Job) {
	fill(&e.Recipient, job.Address)
	fill(&e.Campaign, job.Flow.Campaign)
	fill(&e.Tenant, job.Flow.Tenant)
	fill(&e.Stream, job.Stream)
	if len(e.Tags) == 0 {
		e.Tags = job.Tags
	}
	if len(e.Meta) == 0 {
		e.Meta = job.Meta
	}
}

func fill(s *string, with string) {
	if *s == "" {
		*s = with
	}
}

// Round is t as a store keeps it: in milliseconds, in UTC.
func Round(t time.Time) time.Time { return Time(Millis(t)) }
