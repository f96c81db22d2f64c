package smtp

import (
	"context"
	"errors"
	"strings"
)

// newResult has every recipient of m not tried.
func newResult(m *Message) *Result {
	r := &Result{Recipients: make([]Outcome, len(m.To))}
	for i := range m.To {
		r.Recipients[i].Recipient = m.To[i]
	}
	return r
}

// fail gives the recipients of these indexes the same error.
func (r *Result) fail(rcpts []int, err error, session *Session) {
	for _, i := range rcpts {
		r.Recipients[i].fail(err, session)
	}
}

// failRest gives err to the recipients that have no outcome yet, and returns what
// Send does.
func (r *Result) failRest(err error) error {
	for i := range r.Recipients {
		if o := &r.Recipients[i]; o.Status == NotTried && o.Err == nil {
			o.fail(err, nil)
		}
	}
	if first := r.Err(); first != nil {
		return first
	}
	return err
}

// indexes is 0 to n-1.
func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func (o *Outcome) fail(err error, session *Session) {
	o.Err, o.Session, o.Status = err, session, statusOf(err)
	var e *Error
	if errors.As(err, &e) {
		o.Reply = e.Reply
	}
}

// endedError says that the context of Send has ended, which our own timeouts do not.
type endedError struct{ err, cause error }

func (e *endedError) Error() string   { return e.cause.Error() }
func (e *endedError) Unwrap() []error { return []error{e.err, e.cause} }

func ended(ctx context.Context) error { return &endedError{ctx.Err(), context.Cause(ctx)} }

// statusOf is the fate of a recipient whose attempt ended with err. A server that
// refused the connection has not judged the recipient, so that is no rejection.
func statusOf(err error) Status {
	var e *Error
	switch {
	case errors.Is(err, ErrIndeterminate):
		return Indeterminate
	case errors.As(err, new(*endedError)), errors.Is(err, ErrClosed):
		return NotTried
	case !errors.As(err, &e) || e.Temporary():
		return Deferred
	}
	switch e.Phase {
	case PhaseConnect, PhaseGreeting, PhaseHello, PhaseStartTLS, PhaseAuth:
		return Deferred
	}
	return Rejected
}

// describe fills in the outcomes of a transaction that is done. left are the
// recipients that the server may take in another one.
func (s *session) describe(t *transaction, out *Result) (left []int) {
	session := s.again
	if t.first {
		session = s.first
	}
	for i, rcpt := range t.rcpts {
		o := &out.Recipients[rcpt]
		o.Session = session
		if t.accepted > 0 && t.mail.Code == 0 && !t.verdicts[i].accepted && tooMany(t.verdicts[i].reply) {
			left = append(left, rcpt)
		}
		s.judgeRecipient(t, i, o)
	}
	return left
}

func (s *session) judgeRecipient(t *transaction, i int, o *Outcome) {
	v := &t.verdicts[i]
	switch {
	case t.mail.Code != 0:
		o.answer(s.target.host, PhaseMail, t.mail)
	case !v.accepted && v.reply.Code != 0:
		o.answer(s.target.host, PhaseRcpt, deferTooMany(v.reply))
	case v.accepted && v.reply.Code != 0:
		o.answer(s.target.host, PhaseEndOfData, v.reply)
	case v.accepted && t.noData.Code != 0:
		o.answer(s.target.host, PhaseData, t.noData)
	case t.failed != nil:
		o.fail(t.failed, o.Session)
	}
}

// answer takes the server's last word on a recipient.
func (o *Outcome) answer(host string, phase Phase, r Reply) {
	o.Reply = r
	if r.Code/100 == 2 {
		o.Status, o.Err, o.QueueID = Accepted, nil, queueID(r)
		return
	}
	err := &Error{Phase: phase, Host: host, Reply: r}
	o.Err, o.Status = err, Rejected
	if err.Temporary() {
		o.Status = Deferred
	}
}

// tooMany reports whether RCPT was refused because the transaction has recipients
// enough (RFC 5321, section 4.5.3.1.10; RFC 3463, status X.5.3).
func tooMany(r Reply) bool {
	if r.Code != 452 && r.Code != 552 {
		return false
	}
	e := r.Enhanced
	return e == (EnhancedCode{}) || e[1] == 5 && e[2] == 3 || strings.Contains(strings.ToLower(r.Text()), "too many recipients")
}

// deferTooMany makes of 552 for too many recipients the 452 that it means.
func deferTooMany(r Reply) Reply {
	if r.Code == 552 && tooMany(r) {
		r.Code = 452
		if r.Enhanced[0] == 5 {
			r.Enhanced[0] = 4
		}
	}
	return r
}
