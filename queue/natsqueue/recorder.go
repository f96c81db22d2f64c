package natsqueue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// recordParallel is how many events are published at once, and recordBatch about
	// how many before it is said that they are.
	recordParallel = 64
	recordBatch    = 512
	// maxUnrecorded is how many events may wait to be published, before who brings more
	// waits, too.
	maxUnrecorded = 20_000
	// adoptTime is how long events may be pending, before another process than that
	// which brought them publishes them.
	adoptTime = 30 * time.Second
	// drainTime is how long Close waits for what is left.
	drainTime = 2 * time.Second
)

// recorder takes events to their stream.
type recorder struct {
	store *Store
	wake  chan struct{}

	mu       sync.Mutex // guards all below
	waiting  []unrecorded
	places   map[uint64]bool // of waiting
	events   int             // of waiting
	progress chan struct{}   // closed when there are less
}

// unrecorded are events that are pending.
type unrecorded struct {
	place uint64
	notes []note
}

func newRecorder(s *Store) *recorder {
	return &recorder{store: s, wake: make(chan struct{}, 1), places: map[uint64]bool{}, progress: make(chan struct{})}
}

// put has events taken to their stream, unless that is under way.
func (r *recorder) put(place uint64, notes []note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(notes) == 0 || r.places[place] {
		return
	}
	r.waiting = append(r.waiting, unrecorded{place, notes})
	r.places[place] = true
	r.events += len(notes)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// wait waits until no more than so many events wait.
func (r *recorder) wait(ctx context.Context, most int) {
	for {
		r.mu.Lock()
		few, progress := r.events <= most, r.progress
		r.mu.Unlock()
		if few {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-r.store.ended:
			return
		case <-progress:
		}
	}
}

// run takes events to their stream until ctx ends.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for next := r.next(); len(next) > 0 && ctx.Err() == nil; next = r.next() {
			if err := r.publish(ctx, next); err == nil {
				r.finish(next)
				continue
			} else if ctx.Err() == nil {
				r.store.opts.Log.Error("natsqueue: events cannot be published now", "err", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(publishAgain):
			}
		}
	}
}

// next is what is published next. It goes on waiting until that is done.
func (r *recorder) next() []unrecorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, events := 0, 0
	for n < len(r.waiting) && events < recordBatch {
		events += len(r.waiting[n].notes)
		n++
	}
	return r.waiting[:n:n]
}

// publish publishes events. One that is in the stream is not stored again.
func (r *recorder) publish(ctx context.Context, batches []unrecorded) error {
	if _, err := r.store.openEvents(ctx); err != nil {
		return err
	}
	var notes []note
	for _, b := range batches {
		notes = append(notes, b.notes...)
	}
	return inParallel(len(notes), recordParallel, func(i int) error {
		e, err := notes[i].event()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		subject := r.store.eventSubject(e.Message.String(), recipientToken(e.Recipient), e.ID.String())
		_, err = r.store.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: notes[i].data}, jetstream.WithExpectLastSequencePerSubject(0))
		var api *jetstream.APIError
		if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
			return nil // it is there
		}
		return err
	})
}

// finish says that events are in their stream. Nobody waits for that to be known.
func (r *recorder) finish(done []unrecorded) {
	c := &recorded{}
	r.mu.Lock()
	for _, b := range done {
		c.places = append(c.places, b.place)
		delete(r.places, b.place)
		r.events -= len(b.notes)
	}
	r.waiting = r.waiting[len(done):]
	close(r.progress)
	r.progress = make(chan struct{})
	r.mu.Unlock()
	r.store.lines[changes].add(part{&call{done: make(chan struct{})}, true, c.append(nil)})
}

// adopt takes over events that have been pending for long: the process is gone whose
// they were, or the servers.
func (r *recorder) adopt(now time.Time) {
	var old []unrecorded
	r.store.look(func(st *state) {
		for place, p := range st.pending {
			if now.UnixMilli()-p.since > adoptTime.Milliseconds() {
				old = append(old, unrecorded{place, p.notes})
			}
		}
	})
	for _, u := range old {
		r.put(u.place, u.notes)
	}
}
