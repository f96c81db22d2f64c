package queue

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/tracking"
)

// outcome turns what became of an attempt into a change of the job, an event, and
// what it says against the destination.
type outcome struct {
	*run
	*attempt
	now time.Time
	// sent says that the transport was asked, and failure what came of that for the
	// destination: nil if it works.
	sent    bool
	failure *failure
	// suppression is put on the list with the change.
	suppression *Suppression
}

// of is the outcome of an attempt that reached the transport.
func (o *outcome) of(out *smtp.Outcome) Change {
	e := o.event("")
	o.describe(&e, out)
	if out.Reply.Code == 0 && out.Status != smtp.Accepted {
		o.failure = noSign
	}
	switch {
	case out.Status == smtp.Accepted:
		e.Type = tracking.Delivered
		return Change{State: Delivered, Counts: true, Last: e.Diagnostic, Events: []tracking.Event{o.identify(e)}}
	case out.Status == smtp.NotTried:
		return o.untried(e.Diagnostic, untriedDelay)
	case out.Status == smtp.Indeterminate:
		e.Reason, e.Verdict = bounce.Network, bounce.Unknown
		if o.opts.Indeterminate == StopIndeterminate {
			return o.giveUp(e)
		}
		return o.again(e, 0)
	case out.Status == smtp.Deferred && out.Reply.Code == 0 && o.attempts.Err() != nil:
		return o.untried("", 0) // it was us who hung up: Run is ending
	}
	return o.judged(out, e)
}

// judged is the outcome of an attempt that the destination, or the way to it, has
// refused.
func (o *outcome) judged(out *smtp.Outcome, e tracking.Event) Change {
	c := o.meaning(out)
	e.Reason, e.Verdict = c.Reason, c.Verdict
	if failure := o.blame(out, &c, e.Diagnostic); failure != nil {
		o.failure = failure
	}
	if out.Status == smtp.Rejected && final(out, &c) {
		if c.Verdict == bounce.Hard || o.goesOn(o.storing, &e) {
			o.suppression = &Suppression{
				Address: o.Address, Reason: e.Reason, Detail: e.Diagnostic, Message: o.ID, Since: o.now, Until: o.until(e.Reason),
			}
		}
		return o.giveUp(e)
	}
	change := o.again(e, c.RetryAfter)
	if o.failure != nil && o.failure.everywhere && change.State == Ready {
		// The relay is down. That is no attempt: nobody heard of this mail.
		change.Counts = false
		if due := o.now.Add(untriedDelay); due.Before(change.Due) {
			change.Due = due
		}
	}
	return change
}

// untried puts a job back that nobody was asked to take, and that keeps its number
// of attempts. It is due before it expires, so that it does expire, unless it was
// brought back after that.
func (o *outcome) untried(why string, wait time.Duration) Change {
	due, last := o.now.Add(wait), o.Expires.Add(-time.Millisecond)
	if !o.Expires.IsZero() && o.now.Before(o.Expires) && due.After(last) {
		if !o.now.Before(last) {
			return o.expired()
		}
		due = last
	}
	return Change{State: Ready, Due: due, Last: why}
}

// untriedDelay is how long a job waits that the transport did not get to.
const untriedDelay = 15 * time.Second

// final reports whether a rejection ends the job. A refusal of us, before the
// server heard of the recipient, or for how fast we send and what is thought of
// our address, says nothing of this mail: it waits.
func final(out *smtp.Outcome, c *bounce.Classification) bool {
	if early(out) {
		return false
	}
	switch c.Reason {
	case bounce.RateLimited, bounce.RecipientRate, bounce.Greylisted, bounce.TooManyRecipients,
		bounce.IPBlocked, bounce.LowReputation, bounce.AuthRequired:
		return false
	}
	return true
}

// early reports whether the attempt failed before the server heard of the mail.
func early(out *smtp.Outcome) bool {
	var failed *smtp.Error
	if !errors.As(out.Err, &failed) {
		return false
	}
	switch failed.Phase {
	case smtp.PhaseConnect, smtp.PhaseGreeting, smtp.PhaseHello, smtp.PhaseStartTLS, smtp.PhaseAuth:
		return true
	}
	return false
}

// meaning translates the server's words; where there are none, the error's kind.
func (q *Queue) meaning(out *smtp.Outcome) bounce.Classification {
	reply := bounce.Reply{Code: out.Reply.Code, Text: out.Reply.Text()}
	for i, n := range out.Reply.Enhanced {
		reply.Status[i] = uint16(n)
	}
	if out.Session != nil {
		reply.MX = out.Session.Host
	}
	var failed *smtp.Error
	if errors.As(out.Err, &failed) {
		reply.Command = commands[failed.Phase]
	}
	if reply.Code != 0 {
		return q.classify(reply)
	}
	c := bounce.Classification{Reason: bounce.Network, Verdict: bounce.Soft, Action: bounce.Retry, Confidence: bounce.ByCode, Temporary: out.Status != smtp.Rejected}
	for _, known := range causes {
		if errors.Is(out.Err, known.err) {
			c.Reason, c.Action = known.reason, known.action
			break
		}
	}
	if c.Reason == bounce.BadDomain && out.Status == smtp.Rejected {
		c.Verdict = bounce.Hard
	}
	return c
}

var commands = map[smtp.Phase]bounce.Command{
	smtp.PhaseConnect: bounce.Connect, smtp.PhaseGreeting: bounce.Connect, smtp.PhaseHello: bounce.Hello,
	smtp.PhaseStartTLS: bounce.StartTLS, smtp.PhaseAuth: bounce.Auth, smtp.PhaseMail: bounce.Mail,
	smtp.PhaseRcpt: bounce.Rcpt, smtp.PhaseData: bounce.Data, smtp.PhaseEndOfData: bounce.EndOfData,
}

// causes are the failures without a reply.
var causes = []struct {
	err    error
	reason bounce.Reason
	action bounce.Action
}{
	{smtp.ErrNullMX, bounce.BadDomain, bounce.Suppress},
	{smtp.ErrNoHost, bounce.BadDomain, bounce.Suppress},
	{smtp.ErrTLSRequired, bounce.TLSRequired, bounce.FixConfig},
	{smtp.ErrTLSPolicy, bounce.TLSRequired, bounce.FixConfig},
	{smtp.ErrNoRequireTLS, bounce.TLSRequired, bounce.FixConfig},
	{smtp.ErrAuth, bounce.AuthRequired, bounce.FixConfig},
	{smtp.ErrInsecureAuth, bounce.AuthRequired, bounce.FixConfig},
	{smtp.ErrTooLarge, bounce.TooLarge, bounce.FixContent},
	{smtp.ErrBadContent, bounce.ContentRefused, bounce.FixContent},
	{smtp.ErrLineTooLong, bounce.ContentRefused, bounce.FixContent},
	{smtp.ErrNeedUTF8, bounce.Protocol, bounce.FixConfig},
	{smtp.ErrNeed8Bit, bounce.Protocol, bounce.FixConfig},
	{smtp.ErrBadAddress, bounce.Protocol, bounce.FixConfig},
	{smtp.ErrBlockedAddr, bounce.Network, bounce.FixConfig},
	{smtp.ErrLoop, bounce.Loop, bounce.FixConfig},
}

// blame says what an outcome means for the destination, and for all mail when it
// goes through one relay. Nil means that the destination works.
func (o *outcome) blame(out *smtp.Outcome, c *bounce.Classification, why string) *failure {
	switch {
	case early(out):
		return &failure{wait: c.RetryAfter, why: why, everywhere: !o.direct}
	case c.Action == bounce.SlowDown, c.Reason == bounce.IPBlocked, out.Reply.Code == 421:
		return &failure{wait: c.RetryAfter, why: why}
	}
	return nil
}

// again reschedules the job, unless it would then be too old.
func (o *outcome) again(e tracking.Event, after time.Duration) Change {
	due := o.now.Add(max(retryDelay(o.opts.Retry, o.Attempt), after))
	if !o.Expires.IsZero() && !due.Before(o.Expires) {
		e.Reason = bounce.Expired
		e.Diagnostic = strings.TrimSpace("given up after " + o.age() + ": " + e.Diagnostic)
		return o.giveUp(e)
	}
	e.Type = tracking.Deferred
	return Change{State: Ready, Due: due, Counts: true, Last: e.Diagnostic, Events: []tracking.Event{o.identify(e)}}
}

func (o *outcome) giveUp(e tracking.Event) Change {
	e.Type = tracking.Bounced
	return Change{State: Bounced, Counts: true, Last: e.Diagnostic, Events: []tracking.Event{o.identify(e)}}
}

// expired ends a job whose time has passed.
func (o *outcome) expired() Change {
	if o.Attempts == 0 {
		return o.refused(bounce.Expired, "expired before the first attempt")
	}
	e := o.event(tracking.Bounced)
	e.Reason, e.Verdict = bounce.Expired, bounce.Soft
	e.Diagnostic = strings.TrimSpace("given up after " + o.age() + ": " + o.Last)
	return Change{State: Bounced, Last: e.Diagnostic, Events: []tracking.Event{o.identify(e)}}
}

// refused ends a job that is not to be sent.
func (o *outcome) refused(reason bounce.Reason, why string) Change {
	e := o.event(tracking.Rejected)
	e.Reason, e.Verdict, e.Diagnostic = reason, bounce.Soft, why
	return Change{State: Cancelled, Last: why, Events: []tracking.Event{o.identify(e)}}
}

// unsendable ends a job that cannot be rendered: our fault, or the host's.
func (o *outcome) unsendable(err error) Change {
	e := o.event(tracking.Failed)
	e.Diagnostic = err.Error()
	return Change{State: Bounced, Counts: true, Last: e.Diagnostic, Events: []tracking.Event{o.identify(e)}}
}

// postponed puts a job back that could not be prepared because the store failed.
func (o *outcome) postponed(err error) Change {
	o.opts.Log.Error("queue: attempt could not be prepared", "job", o.ID, "err", err)
	return o.untried(err.Error(), time.Minute)
}

// until is when a suppression ends: what may pass is tried again some day.
func (q *Queue) until(reason bounce.Reason) time.Time {
	if softReasons[reason] {
		return time.Now().Add(q.opts.DisabledFor)
	}
	return time.Time{}
}

// event is an event of this attempt.
func (o *outcome) event(t tracking.Type) tracking.Event {
	e := labelled(&o.Lease.Job)
	e.Type, e.Time, e.Attempt = t, o.now.UTC(), o.Lease.Attempt
	if o.template != nil {
		e.Mailing = o.template.Mailing()
	}
	return e
}

// labelled is an event of a job, without what happened.
func labelled(j *Job) tracking.Event {
	return tracking.Event{
		Message: j.ID, Recipient: j.Address, Campaign: j.Flow.Campaign, Tenant: j.Flow.Tenant,
		Stream: j.Stream, Tags: j.Tags, Meta: j.Meta,
	}
}

// identify gives an event the ID that it has whenever this attempt is reported.
func (o *outcome) identify(e tracking.Event) tracking.Event {
	e.ID = tracking.EventID(e.Type, e.Message, strconv.Itoa(e.Attempt))
	return e
}

// describe adds what the server said, or else the error.
func (o *outcome) describe(e *tracking.Event, out *smtp.Outcome) {
	e.Code, e.Enhanced, e.Diagnostic, e.QueueID = out.Reply.Code, out.Reply.Enhanced.String(), out.Reply.String(), out.QueueID
	if out.Session != nil {
		e.Host = out.Session.Host
	}
	if out.Reply.Code == 0 && out.Err != nil {
		e.Diagnostic = out.Err.Error()
	}
}

func (o *outcome) age() string {
	return o.now.Sub(o.ID.Time()).Round(time.Second).String()
}
