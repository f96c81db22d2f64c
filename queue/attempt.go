package queue

import (
	"context"
	"errors"
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
func (r *run) prepare(now time.Time, leases []Lease) []*attempt {
	attempts := make([]*attempt, len(leases))
	streams := map[string][]*attempt{}
	for i := range leases {
		a := &attempt{Lease: leases[i]}
		attempts[i] = a
		if a.template, a.err = r.loadTemplate(a.Template); a.err == nil {
			streams[a.template.Stream()] = append(streams[a.template.Stream()], a)
		}
	}
	if r.suppressions == nil {
		return attempts
	}
	for stream, group := range streams {
		addresses := make([]string, len(group))
		for i, a := range group {
			addresses[i] = a.Address
		}
		entries, err := r.suppressions.Suppressed(r.attempts, stream, addresses, now)
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
func (r *run) attempt(a *attempt, p *pool) {
	started := time.Now()
	o := &outcome{run: r, attempt: a, now: started}
	change := o.try(p.limit.MessagesPerConnection)
	if o.sent {
		if s := r.sched.finished(time.Now(), p, started, o.failure); s != nil {
			r.opts.Log.Warn("queue: destination suspended", "pool", s.Name, "until", s.Suspended, "why", s.Why)
		}
	} else {
		r.sched.handBack(time.Now(), p, 1)
	}
	r.settle(o, change)
}

// try makes the attempt, if it is to be made.
func (o *outcome) try(perConnection int) Change {
	switch {
	case o.sched.stopped(o.now):
		return o.untried("", 0)
	case o.suppressed != nil:
		return o.refused(bounce.Suppressed, fmt.Sprintf("suppressed since %s: %s", o.suppressed.Since.UTC().Format(time.DateOnly), o.suppressed.Reason))
	case o.tooOld(o.now):
		return o.expired()
	case o.err != nil:
		return o.postponed(o.err)
	}
	recipient, err := decodeRecipient(&o.Lease.Job)
	if err != nil {
		return o.unsendable(err)
	}
	buf := o.buffers.Get().(*[]byte)
	message, envelope, err := o.template.Append((*buf)[:0], recipient)
	if err != nil {
		return o.unsendable(err)
	}
	*buf = message
	out := o.transmit(&smtp.Message{
		From:     envelope.ReturnPath,
		To:       []smtp.Recipient{{Addr: o.Address}},
		Content:  smtp.Bytes(message),
		Date:     recipient.Date,
		ID:       o.ID.String(),
		Stream:   o.template.Stream(),
		Tenant:   o.Flow.Tenant,
		Campaign: o.Flow.Campaign,

		MaxOnConnection: perConnection,
	})
	if !errors.Is(out.Err, errPanic) { // else who knows who still reads it
		o.buffers.Put(buf)
	}
	return o.of(&out)
}

// transmit hands a message to the transport. One that panics may have sent it: the
// outcome is then indeterminate.
func (o *outcome) transmit(m *smtp.Message) (out smtp.Outcome) {
	defer o.rescue("Transport", func() {
		out = smtp.Outcome{Recipient: m.To[0], Status: smtp.Indeterminate, Err: errPanic}
	})
	o.sent = true
	defer func() { o.now = time.Now() }()
	ctx, cancel := context.WithTimeout(o.attempts, attemptTime)
	defer cancel()
	result, _ := o.transport.Send(ctx, m)
	return result.Recipients[0]
}

// tooOld reports whether a job's time has passed. One that became due after that
// was brought back by hand, and gets its attempt.
func (j *Job) tooOld(now time.Time) bool {
	return !j.Expires.IsZero() && !now.Before(j.Expires) && j.Due.Before(j.Expires)
}

// loadTemplate returns a stored template, from memory if it was used of late.
func (r *run) loadTemplate(hash Hash) (*tracking.Template, error) {
	if t := r.templates.load(hash); t != nil {
		return t, nil
	}
	stored, err := r.store.Template(r.attempts, hash)
	if err != nil {
		return nil, fmt.Errorf("queue: template %x: %w", hash[:4], err)
	}
	t, err := r.unmarshal(hash, stored)
	if err != nil {
		return nil, fmt.Errorf("queue: template %x: %w", hash[:4], err)
	}
	return t, nil
}
