package smtptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/franqueo/franqueo/smtp"
)

// Recorder is an [smtp.Transport] for unit tests. It accepts every message and
// keeps it, unless its script says otherwise; no network is involved. It is safe
// for concurrent use, and each test has its own.
type Recorder struct {
	// Mailbox holds what was accepted. A message of which only some recipients
	// were accepted is there with those.
	Mailbox

	mu     sync.Mutex
	script *script // guarded by mu
}

var _ smtp.Transport = (*Recorder)(nil)

// NewRecorder makes a Recorder that answers as a [Server] with these rules would:
// on Mail, Rcpt, Data and End, there for each recipient as with LMTP; the other
// steps do not occur. Where a rule drops, hangs or garbles, recipients are
// deferred, or indeterminate on End; a hanging Send lasts until its context ends.
// NewRecorder panics where a rule is wrong.
func NewRecorder(rules ...Rule) *Recorder {
	r := &Recorder{}
	r.Script(rules...)
	return r
}

// Script replaces the rules. It panics where one is wrong.
func (r *Recorder) Script(rules ...Rule) {
	script, err := newScript(rules)
	must(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = script
}

func (r *Recorder) match(on Command, from string, to ...string) *answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.script.match(on, from, to...)
}

// Send implements [smtp.Transport].
func (r *Recorder) Send(ctx context.Context, m *smtp.Message) (*smtp.Result, error) {
	t := &transaction{recorder: r, message: m, result: &smtp.Result{}}
	for _, to := range m.To {
		t.result.Recipients = append(t.result.Recipients, smtp.Outcome{Recipient: to})
	}
	t.run(ctx)
	return t.result, t.result.Err()
}

// transaction is one message on its way into a Recorder.
type transaction struct {
	recorder *Recorder
	message  *smtp.Message
	result   *smtp.Result
	accepted []smtp.Recipient
}

// run judges all recipients.
func (t *transaction) run(ctx context.Context) {
	data, err := read(t.message.Content)
	if err != nil {
		t.settle(smtp.NotTried, smtp.Reply{}, &smtp.Error{Phase: smtp.PhaseMessage, Err: err})
		return
	}
	from := t.message.From
	if t.refused(ctx, smtp.PhaseMail, t.recorder.match(Mail, from)) {
		return
	}
	t.each(func(o *smtp.Outcome) {
		t.recorder.match(Rcpt, from, o.Addr).judge(ctx, smtp.PhaseRcpt, o)
	})
	if t.refused(ctx, smtp.PhaseData, t.recorder.match(Data, from)) {
		return
	}
	t.each(func(o *smtp.Outcome) {
		verdict := t.recorder.match(End, from, o.Addr)
		if !verdict.refuses() {
			t.accepted = append(t.accepted, o.Recipient)
		}
		verdict.judge(ctx, smtp.PhaseEndOfData, o)
	})
	t.settle(smtp.Accepted, recorded, nil)
	if len(t.accepted) > 0 {
		t.recorder.add(t.record(data))
	}
}

// recorded is the answer to what nobody refused.
var recorded = smtp.Reply{Code: 250, Enhanced: smtp.EnhancedCode{2, 0, 0}, Lines: []string{"OK: recorded"}}

func read(content smtp.Content) ([]byte, error) {
	if content == nil {
		return nil, fmt.Errorf("%w: no content", smtp.ErrBadContent)
	}
	r, err := content.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// record is the message as the Mailbox keeps it.
func (t *transaction) record(data []byte) *Message {
	m := t.message
	return &Message{
		From: m.From, To: t.accepted, Data: data, Size: int64(len(data)),
		EnvelopeID: m.EnvelopeID, Return: m.Return, RequireTLS: m.TLS == smtp.TLSRequire,
		Time: time.Now(), ID: m.ID, Stream: m.Stream, Tenant: m.Tenant, Campaign: m.Campaign,
	}
}

// each calls f with each outcome that is not settled.
func (t *transaction) each(f func(o *smtp.Outcome)) {
	for i := range t.result.Recipients {
		if o := &t.result.Recipients[i]; !isSettled(o) {
			f(o)
		}
	}
}

// refused lets an answer to the whole message settle all recipients.
func (t *transaction) refused(ctx context.Context, phase smtp.Phase, a *answer) bool {
	var o smtp.Outcome
	a.judge(ctx, phase, &o)
	if isSettled(&o) {
		t.settle(o.Status, o.Reply, o.Err)
	}
	return isSettled(&o)
}

// settle gives an outcome to those that have none.
func (t *transaction) settle(status smtp.Status, reply smtp.Reply, err error) {
	t.each(func(o *smtp.Outcome) { o.Status, o.Reply, o.Err = status, reply, err })
}

func isSettled(o *smtp.Outcome) bool { return o.Status != smtp.NotTried || o.Err != nil }

// errNoReply is what a Recorder reports where a server would say nothing.
var errNoReply = errors.New("no reply")

// judge settles an outcome if the answer is not positive.
func (a *answer) judge(ctx context.Context, phase smtp.Phase, o *smtp.Outcome) {
	if a == nil {
		return
	}
	e := &smtp.Error{Phase: phase, Host: "recorder"}
	if e.Err = a.wait(ctx); e.Err == nil && a.Do != Answer {
		e.Err = errNoReply
	}
	switch {
	case e.Err != nil && phase == smtp.PhaseEndOfData:
		o.Status, e.Class = smtp.Indeterminate, smtp.ErrIndeterminate
	case e.Err != nil:
		o.Status = smtp.Deferred
	case a.code >= 500:
		o.Status, e.Reply = smtp.Rejected, a.smtpReply()
	case a.code >= 400:
		o.Status, e.Reply = smtp.Deferred, a.smtpReply()
	default:
		return
	}
	o.Reply, o.Err = e.Reply, e
}

// wait passes the time that the answer takes.
func (a *answer) wait(ctx context.Context) error {
	var late <-chan time.Time // never, if it hangs
	if a.Do != Hang {
		if a.Delay == 0 {
			return nil
		}
		timer := time.NewTimer(a.Delay)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-late:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
