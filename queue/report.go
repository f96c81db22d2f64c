package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/franqueo/franqueo/bounce"
	"github.com/franqueo/franqueo/tracking"
)

// ErrUnproven is wrapped when a report bears no token of ours. It may be about
// mail that somebody else sent in our name, so it is not acted upon.
var ErrUnproven = errors.New("report bears no token of this sender")

// Report takes in a returned mail, a complaint or an event of a provider: see
// [bounce.Parse] and [bounce.Server]. It finds the mail by the token in the
// report's recipient or in the Message-ID, records the event, and suppresses the
// address if the report says that it is gone or complained, or refused mail for a
// while once too often: see Options.SuppressAfter.
//
// The event is about the address that we mailed, whatever address the report
// names: mail can be forwarded, and an address that we did not write to is not
// suppressed. Reports without news (delays, successes, ordinary mail) change
// nothing. The same report twice is one event.
func (q *Queue) Report(ctx context.Context, r *bounce.Report) error {
	meaning, ok := reportEvents[r.Kind]
	if !ok {
		return nil
	}
	id, err := q.identify(r)
	if err != nil {
		return err
	}
	job, err := q.Job(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound): // no longer kept
		job = &Job{ID: id}
	case err != nil:
		return fmt.Errorf("queue: report about %v: %w", id, err)
	}
	event := labelled(job)
	event.Type, event.Reason, event.Time = meaning.event, meaning.reason, time.Now().UTC()
	describe(&event, r)
	if err := q.apply(ctx, r, &event); err != nil {
		return err
	}
	if q.journal != nil {
		if err := q.journal.Record(ctx, []tracking.Event{event}); err != nil {
			return fmt.Errorf("queue: record report about %v: %w", id, err)
		}
	}
	q.emit(ctx, []tracking.Event{event})
	return nil
}

// identify finds which mail a report is about.
func (q *Queue) identify(r *bounce.Report) (tracking.ID, error) {
	for candidate := range r.Candidates() {
		if id, err := q.tracker.Identify(candidate); err == nil {
			return id, nil
		}
	}
	return tracking.ID{}, fmt.Errorf("queue: %v from %q to %q: %w", r.Kind, r.From, strings.Join(r.To, ", "), ErrUnproven)
}

// reportEvents are the kinds of reports with news, and what they are unless the
// report says more.
var reportEvents = map[bounce.Kind]struct {
	event  tracking.Type
	reason bounce.Reason
}{
	bounce.KindBounce:    {tracking.Bounced, bounce.Undetermined},
	bounce.KindComplaint: {tracking.Complained, bounce.Complaint},
	bounce.KindAutoReply: {tracking.Autoresponded, bounce.AutoReply},
	bounce.KindChallenge: {tracking.Autoresponded, bounce.Challenge},
}

// describe adds to an event what the report says.
func describe(e *tracking.Event, r *bounce.Report) {
	e.Host, e.Diagnostic = r.ReportingMTA, r.Subject
	if worst := worst(r); worst != nil {
		if worst.Reason != bounce.Undetermined {
			e.Reason = worst.Reason
		}
		e.Verdict, e.Code, e.Enhanced = worst.Verdict, worst.Reply.Code, worst.Status.String()
		if worst.Reply.Text != "" {
			e.Diagnostic = worst.Reply.Text
		}
		if worst.RemoteMTA != "" {
			e.Host = worst.RemoteMTA
		}
	}
	if e.Reason == bounce.OptOut { // providers report leaving a list as complaints
		e.Type = tracking.Unsubscribed
	}
	e.ID = tracking.EventID(e.Type, e.Message, r.ID, e.Reason.String(), e.Enhanced, strconv.Itoa(e.Code))
}

// worst is the recipient of a report that says most: each of our mails has one
// recipient, but where it was forwarded the report can name several.
func worst(r *bounce.Report) *bounce.Recipient {
	var w *bounce.Recipient
	for i := range r.Recipients {
		if w == nil || r.Recipients[i].Verdict > w.Verdict {
			w = &r.Recipients[i]
		}
	}
	return w
}

// apply suppresses the address if the report asks for it.
func (q *Queue) apply(ctx context.Context, r *bounce.Report, e *tracking.Event) error {
	if q.suppressions == nil || e.Recipient == "" {
		return nil
	}
	entry := Suppression{Address: e.Recipient, Reason: e.Reason, Detail: e.Diagnostic, Message: e.Message, Since: e.Time, Until: q.until(e.Reason)}
	switch {
	case e.Type == tracking.Unsubscribed:
		entry = ByUnsubscribe(e)
	case e.Type == tracking.Complained && e.Reason != bounce.AuthReport:
		entry.Stream = e.Stream
	case e.Type == tracking.Bounced && e.Verdict == bounce.Hard && forUs(r, e.Recipient, bounce.Hard):
	case e.Type == tracking.Bounced && e.Verdict == bounce.Soft && forUs(r, e.Recipient, bounce.Soft) && q.goesOn(ctx, e):
	default:
		return nil
	}
	if err := q.suppressions.Suppress(ctx, []Suppression{entry}); err != nil {
		return fmt.Errorf("queue: suppress after report about %v: %w", e.Message, err)
	}
	return nil
}

// forUs reports whether a failure is of the address that we mailed, and not of one
// that it forwards to.
func forUs(r *bounce.Report, address string, verdict bounce.Verdict) bool {
	for _, recipient := range r.Recipients {
		if recipient.Verdict == verdict && (strings.EqualFold(recipient.Final, address) || recipient.Original == "" && recipient.Final == "") {
			return true
		}
	}
	return len(r.Recipients) == 0
}
