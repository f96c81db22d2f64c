package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

// attempt is one leased job, with what sending it needs.
type attempt struct {
	Lease
	template   *tracking.Template
	suppressed *Suppression
	// err is why it cannot be rendered.
	err error
}

// prepare loads the templates of leases, and looks their addresses up in the
// suppression list: here, and not when they were queued, so that who unsubscribed
// a minute ago gets nothing.
func (q *Queue) prepare(now time.Time, leases []Lease) []*attempt {
	attempts := make([]*attempt, len(leases))
	streams := map[string][]*attempt{}
	for i := range leases {
		a := &attempt{Lease: leases[i]}
		attempts[i] = a
		if a.template, a.err = q.loadTemplate(a.Template); a.err == nil {
			streams[a.template.Stream()] = append(streams[a.template.Stream()], a)
		}
	}
	if q.suppressions == nil {
		return attempts
	}
	for stream, group := range streams {
		addresses := make([]string, len(group))
		for i, a := range group {
			addresses[i] = a.Address
		}
		entries, err := q.suppressions.Suppressed(context.Background(), stream, addresses, now)
		for i, a := range group {
			if err != nil {
				a.err = fmt.Errorf("queue: suppression list: %w", err)
			} else {
				a.suppressed = entries[i]
			}
		}
	}
	return attempts
}

// attempt makes one attempt and stores what came of it. The pool's room is given
// back as soon as the transport is done.
func (q *Queue) attempt(ctx context.Context, a *attempt, p *pool) {
	started := time.Now()
	change, failure, sent := q.try(ctx, a, p.limit.MessagesPerConnection, started)
	if sent {
		if s := q.sched.finished(time.Now(), p, started, failure); s != nil {
			q.opts.Log.Warn("queue: destination suspended", "pool", s.Name, "until", s.Suspended, "why", s.Why)
		}
	} else {
		q.sched.handBack(time.Now(), p, 1)
	}
	q.settle(ctx, &a.Lease, change)
}

// try returns the outcome of an attempt, what it says against the destination, and
// whether the transport was asked at all.
func (q *Queue) try(ctx context.Context, a *attempt, perConnection int, now time.Time) (_ Change, _ *failure, sent bool) {
	o := &outcome{Queue: q, attempt: a, now: now}
	switch {
	case a.suppressed != nil:
		return o.refused(bounce.Suppressed, fmt.Sprintf("suppressed since %s: %s", a.suppressed.Since.UTC().Format(time.DateOnly), a.suppressed.Reason)), nil, false
	case a.tooOld(now):
		return o.expired(), nil, false
	case a.err != nil:
		return o.postponed(a.err), nil, false
	}
	recipient, err := decodeRecipient(&a.Job)
	if err != nil {
		return o.unsendable(err), nil, false
	}
	buf := q.buffers.Get().(*[]byte)
	defer q.buffers.Put(buf)
	message, envelope, err := a.template.Append((*buf)[:0], recipient)
	if err != nil {
		return o.unsendable(err), nil, false
	}
	*buf = message
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	result, _ := q.transport.Send(ctx, &smtp.Message{
		From:     envelope.ReturnPath,
		To:       []smtp.Recipient{{Addr: a.Address}},
		Content:  smtp.Bytes(message),
		Date:     recipient.Date,
		ID:       a.ID.String(),
		Stream:   a.template.Stream(),
		Tenant:   a.Flow.Tenant,
		Campaign: a.Flow.Campaign,

		MaxOnConnection: perConnection,
	})
	o.now = time.Now()
	change, failure := o.of(&result.Recipients[0])
	return change, failure, true
}

// tooOld reports whether a job's time has passed. One that became due after that
// was brought back by hand, and gets its attempt.
func (j *Job) tooOld(now time.Time) bool {
	return !j.Expires.IsZero() && !now.Before(j.Expires) && j.Due.Before(j.Expires)
}

// loadTemplate returns a stored template, from memory if it was used of late.
func (q *Queue) loadTemplate(hash Hash) (*tracking.Template, error) {
	if t := q.templates.load(hash); t != nil {
		return t, nil
	}
	stored, err := q.store.Template(context.Background(), hash)
	if err != nil {
		return nil, fmt.Errorf("queue: template %x: %w", hash[:4], err)
	}
	t, err := q.tracker.UnmarshalTemplate(stored)
	if err != nil {
		return nil, fmt.Errorf("queue: template %x: %w", hash[:4], err)
	}
	q.templates.store(hash, t, len(stored))
	return t, nil
}
