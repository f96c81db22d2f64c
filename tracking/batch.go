package tracking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Overflow says what happens to events for which there is no room.
type Overflow uint8

// The ways.
const (
	Block Overflow = iota // Record waits
	Drop                  // they are counted, logged, and lost
)

// BatchOptions tunes a [Batch]. The zero value is ready for use.
type BatchOptions struct {
	// Size is the most events in one call of the sink. Zero means 500.
	Size int
	// Pause is how long an event waits for others. Zero means a second; negative,
	// not at all.
	Pause time.Duration
	// Room is how many events may wait. Zero means 65,536, some 25 MB.
	Room int
	// Overflow is for events beyond that.
	Overflow Overflow
	// Log receives failures of the sink. Nil discards.
	Log *slog.Logger
}

// Batch is a sink in front of a slow or unreliable one: it takes events at once,
// and hands them on in batches, again and again until they are taken. What waits
// is in memory only. It is safe for concurrent use.
type Batch struct {
	sink Sink
	opts BatchOptions
	// busy has a place for whoever hands on.
	busy chan struct{}

	mu       sync.Mutex // guards all below
	waiting  []Event
	sending  int // events of a batch that the sink has not taken yet
	armed    bool
	full     bool // since the last time that there was room
	closed   bool
	dropped  int64
	freed    chan struct{} // closed when there is room again
	timer    *time.Timer
	failures int
	retryAt  time.Time

	// These belong to whoever is busy.
	batch, left []Event // left is the part of batch that is not taken yet
}

// ErrClosed is for what comes after Close.
var ErrClosed = errors.New("tracking: closed")

const (
	defaultBatch = 500
	defaultPause = time.Second
	defaultRoom  = 1 << 16
	// recordTimeout bounds one call of a sink.
	recordTimeout = 30 * time.Second
	// The pause after a failure of the sink doubles between these.
	minRetry = time.Second
	maxRetry = time.Minute
)

// NewBatch returns a batch in front of sink.
func NewBatch(sink Sink, opts *BatchOptions) (*Batch, error) {
	var o BatchOptions
	if opts != nil {
		o = *opts
	}
	var faults []error
	if sink == nil {
		faults = append(faults, errors.New("tracking: batch without a sink"))
	}
	if o.Size < 0 || o.Room < 0 {
		faults = append(faults, fmt.Errorf("tracking: batch of size %d with room %d: use positive numbers", o.Size, o.Room))
	}
	if o.Overflow > Drop {
		faults = append(faults, fmt.Errorf("tracking: batch with overflow %d: use Block or Drop", o.Overflow))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return newBatch(sink, o), nil
}

func newBatch(sink Sink, o BatchOptions) *Batch {
	o.Size, o.Pause, o.Room = cmp.Or(o.Size, defaultBatch), cmp.Or(o.Pause, defaultPause), cmp.Or(o.Room, defaultRoom)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Batch{sink: sink, opts: o, busy: make(chan struct{}, 1)}
}

// Record takes the events. With Block it waits for room until ctx ends.
func (b *Batch) Record(ctx context.Context, events []Event) error {
	for {
		freed, n, err := b.take(events)
		if err != nil || n == len(events) {
			return err
		}
		events = events[n:]
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("tracking: no room for %d events: %w", len(events), context.Cause(ctx))
		}
	}
}

// take takes as many events as there is room for, or all if the rest is dropped.
func (b *Batch) take(events []Event) (freed <-chan struct{}, n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, 0, ErrClosed
	}
	n = min(len(events), b.opts.Room-len(b.waiting)-b.sending)
	b.waiting = append(b.waiting, events[:n]...)
	if !b.armed && len(b.waiting) > 0 {
		b.arm(max(b.opts.Pause, 0))
	}
	if n == len(events) {
		return nil, n, nil
	}
	if b.opts.Overflow == Drop {
		b.drop(len(events) - n)
		return nil, len(events), nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed, n, nil
}

// drop counts lost events, and logs the first of them. The caller holds mu.
func (b *Batch) drop(n int) {
	b.dropped += int64(n)
	if !b.full {
		b.opts.Log.Error("tracking: events dropped: the sink is too slow or failing", "events", n, "waiting", b.opts.Room)
	}
	b.full = true
}

// arm sets the timer. The caller holds mu.
func (b *Batch) arm(d time.Duration) {
	b.armed = true
	if b.timer == nil {
		b.timer = time.AfterFunc(d, func() { b.flush(context.Background()) })
		return
	}
	b.timer.Reset(d)
}

// flush hands on what waits, and sets the timer for what is left.
func (b *Batch) flush(ctx context.Context) {
	b.busy <- struct{}{}
	defer func() { <-b.busy }()
	b.deliver(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	switch {
	case b.closed:
	case b.sending > 0:
		b.arm(max(time.Until(b.retryAt), 0))
	case len(b.waiting) > 0:
		b.arm(max(b.opts.Pause, 0))
	}
}

// deliver hands on what waits, until the sink fails. The caller is busy.
func (b *Batch) deliver(ctx context.Context) {
	for b.next() {
		n := min(len(b.left), b.opts.Size)
		if err := b.record(ctx, b.left[:n]); err != nil {
			b.fail(err)
			return
		}
		b.taken(n)
	}
}

// next makes what waits the next batch, unless there is one, and reports whether
// there is anything to hand on.
func (b *Batch) next() bool {
	if len(b.left) > 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.batch)
	b.batch, b.waiting = b.waiting, b.batch[:0]
	b.left, b.sending = b.batch, len(b.batch)
	return len(b.left) > 0
}

func (b *Batch) record(ctx context.Context, events []Event) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	return b.sink.Record(ctx, events)
}

// taken makes room for n events.
func (b *Batch) taken(n int) {
	b.left = b.left[n:]
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sending -= n
	b.failures, b.full = 0, false
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// fail sets the time of the next attempt.
func (b *Batch) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pause := min(minRetry<<min(b.failures, 10), maxRetry)
	b.failures++
	b.retryAt = time.Now().Add(pause)
	b.opts.Log.Warn("tracking: sink failed", "err", err, "waiting", b.sending+len(b.waiting), "retry", pause)
}

// Dropped returns how many events were lost since the start, because there was no
// room.
func (b *Batch) Dropped() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// Close hands on what waits, and returns when the sink has it, or with an error
// that tells how much is lost when ctx ends. What comes later fails with
// [ErrClosed]. The sink is not closed.
func (b *Batch) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
	b.mu.Unlock()
	select {
	case b.busy <- struct{}{}:
		defer func() { <-b.busy }()
	case <-ctx.Done():
		return fmt.Errorf("tracking: close: the sink is still busy: %w", context.Cause(ctx))
	}
	for b.deliver(ctx); b.unsent() > 0; b.deliver(ctx) {
		select {
		case <-time.After(time.Until(b.retryAt)):
		case <-ctx.Done():
			return fmt.Errorf("tracking: close: %d events not recorded: %w", b.unsent(), context.Cause(ctx))
		}
	}
	return nil
}

func (b *Batch) unsent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sending + len(b.waiting)
}
