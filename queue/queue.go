package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

// Queue sends mail durably through a transport. It is safe for concurrent use.
type Queue struct {
	store        Store
	journal      Journal         // the store, if it keeps events; else nil
	suppressions SuppressionList // the store, if it keeps them; else nil
	meter        Meter           // the store, if it counts; else nil
	transport    smtp.Transport
	tracker      *tracking.Tracker
	opts         Options
	classify     func(bounce.Reply) bounce.Classification
	shaping      Shaping
	// direct says that the transport goes to the recipients' own servers: a failure
	// to connect is then one destination's, and not that of all mail.
	direct bool

	sched     *scheduler
	templates templates
	buffers   sync.Pool // of *[]byte, for rendered messages
	wake      chan struct{}
	running   atomic.Bool
	sweepNow  atomic.Bool  // the next step of Run asks the store for due flows
	busy      atomic.Int64 // attempts under way
}

// Options tunes a [Queue]. The zero value is ready for use.
type Options struct {
	// Concurrency bounds the attempts under way at once. Zero means 64.
	Concurrency int
	// Shaping says how fast mail may leave, and to whom.
	Shaping Shaping
	// Retry holds the waits after the first, second, … attempt; the last repeats.
	// Each is spread by ±20 %. Empty means 1, 5, 15, 30 minutes, 1, 2, 4 hours.
	Retry []time.Duration
	// Lifetime is how long delivery is tried. Zero means 5 days (RFC 5321, section
	// 4.5.4.1).
	Lifetime time.Duration
	// Indeterminate says what to do when the last byte of a mail went out and no
	// answer came. The zero value tries again: nothing is lost, and the recipient
	// may get the same bytes twice.
	Indeterminate Indeterminate
	// DisabledFor is how long an address stays suppressed whose mailbox was
	// disabled: that can be undone. Zero means 120 days.
	DisabledFor time.Duration
	// SuppressAfter is how many mails in a row an address may refuse for reasons of
	// its own that may pass, such as a full mailbox, within SuppressWithin, before it
	// is suppressed for DisabledFor. Zero means 5 in 60 days; negative, never.
	SuppressAfter  int
	SuppressWithin time.Duration
	// Rules classify replies. Nil means those of package bounce.
	Rules *bounce.Rules
	// DrainTimeout bounds how long Run waits for attempts after its context has
	// ended. Zero means 30 seconds.
	DrainTimeout time.Duration
	// Sink receives the queue's events after the store has them, once each while
	// the process lives. Nil is fine: the store keeps them.
	Sink tracking.Sink
	// Log receives a record for each attempt and each fault, without text of
	// messages. Nil discards.
	Log *slog.Logger
}

// Indeterminate is a choice between losing nothing and repeating nothing.
type Indeterminate uint8

// The choices.
const (
	RetryIndeterminate Indeterminate = iota
	StopIndeterminate
)

// New returns a queue over a store. The tracker renders what is sent; it must have
// the keys of the one that compiled it. New starts nothing: see [Queue.Run]. The
// store, the transport and the tracker stay the caller's to close.
func New(store Store, transport smtp.Transport, tracker *tracking.Tracker, opts *Options) (*Queue, error) {
	q := &Queue{store: store, transport: transport, tracker: tracker, wake: make(chan struct{}, 1)}
	if opts != nil {
		q.opts = *opts
	}
	q.buffers.New = func() any { return new([]byte) }
	faults := []error{q.opts.validate()}
	if store == nil {
		faults = append(faults, errors.New("queue: no store: sqlitequeue.Open makes one"))
	}
	if transport == nil {
		faults = append(faults, errors.New("queue: no transport: smtp.NewRelay makes one"))
	}
	if tracker == nil {
		faults = append(faults, errors.New("queue: no tracker: tracking.New makes one"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	q.journal, _ = store.(Journal)
	q.suppressions, _ = store.(SuppressionList)
	q.meter, _ = store.(Meter)
	q.complete()
	q.sched = newScheduler(&q.shaping, q.meter != nil)
	return q, nil
}

// mailHosts is what a transport has that delivers directly.
type mailHosts interface {
	MailHosts(ctx context.Context, domain string) ([]string, error)
}

func (q *Queue) complete() {
	o := &q.opts
	o.Concurrency = defaulted(o.Concurrency, 64)
	o.Lifetime = defaulted(o.Lifetime, 5*24*time.Hour)
	o.DrainTimeout = defaulted(o.DrainTimeout, 30*time.Second)
	o.SuppressAfter = defaulted(o.SuppressAfter, 5)
	o.SuppressWithin = defaulted(o.SuppressWithin, 60*24*time.Hour)
	o.DisabledFor = defaulted(o.DisabledFor, 120*24*time.Hour)
	if len(o.Retry) == 0 {
		o.Retry = retryDelays[:]
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q.classify = bounce.Classify
	if o.Rules != nil {
		q.classify = o.Rules.Classify
	}
	q.shaping = o.Shaping
	if hosts, ok := q.transport.(mailHosts); ok {
		q.direct = true
		if q.shaping.MX == nil {
			q.shaping.MX = hosts.MailHosts
		}
		if q.shaping.Providers == nil {
			q.shaping.Providers = Providers()
		}
	}
	q.shaping.Providers = asLanes(q.shaping.Providers)
}

func defaulted[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

func (o *Options) validate() error {
	var faults []error
	if o.Concurrency < 0 {
		faults = append(faults, fmt.Errorf("queue: Concurrency is %d; it must not be negative", o.Concurrency))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Lifetime", o.Lifetime}, {"DrainTimeout", o.DrainTimeout}, {"DisabledFor", o.DisabledFor}, {"SuppressWithin", o.SuppressWithin}} {
		if d.value < 0 {
			faults = append(faults, fmt.Errorf("queue: %s is %v; it must not be negative", d.name, d.value))
		}
	}
	for i, d := range o.Retry {
		if d <= 0 {
			faults = append(faults, fmt.Errorf("queue: Retry[%d] is %v; it must be positive", i, d))
		}
	}
	if o.Indeterminate > StopIndeterminate {
		faults = append(faults, fmt.Errorf("queue: Indeterminate is %d; use RetryIndeterminate or StopIndeterminate", o.Indeterminate))
	}
	return errors.Join(append(faults, o.Shaping.validate())...)
}
