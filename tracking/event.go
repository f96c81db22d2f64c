package tracking

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/franqueo/franqueo/bounce"
)

// Type says what happened. The names are those that the hosted services' clients
// agree on.
type Type string

// The types of events. The queue emits those down to Failed, the handler Opened
// to Resubscribed, and both the queue (a reply) and returned mail Bounced.
const (
	Queued   Type = "queued"   // durable in the queue
	Rejected Type = "rejected" // not sent: suppressed, expired, cancelled or malformed
	Deferred Type = "deferred" // an attempt failed for now
	// Delivered means that the receiving server took responsibility for the mail.
	Delivered     Type = "delivered"
	Bounced       Type = "bounced" // given up on, or returned after delivery
	Failed        Type = "failed"  // our own fault: rendering, configuration
	Opened        Type = "opened"
	Clicked       Type = "clicked"
	Unsubscribed  Type = "unsubscribed"
	Resubscribed  Type = "resubscribed"
	Complained    Type = "complained"
	Autoresponded Type = "autoresponded"
)

// Event is one thing that happened to one mail. It is a flat value: every field
// that does not apply is zero.
type Event struct {
	// ID is the same whenever the same thing is reported again, so that a store
	// keeps one row and a webhook's receiver can tell a repetition.
	ID   ID   `json:"id"`
	Type Type `json:"type"`
	// Time is when it happened by our clock, in UTC.
	Time time.Time `json:"time"`

	// Message is the mail. It is zero in anonymous events.
	Message ID `json:"message,omitzero"`
	// Mailing names the template: the first 16 hex digits of its hash. It is known
	// in anonymous events, too.
	Mailing string `json:"mailing,omitzero"`
	// Recipient is the address, where it is known and may be kept.
	Recipient string            `json:"recipient,omitzero"`
	Campaign  string            `json:"campaign,omitzero"`
	Stream    string            `json:"stream,omitzero"`
	Tenant    string            `json:"tenant,omitzero"`
	Tags      []string          `json:"tags,omitzero"`
	Meta      map[string]string `json:"meta,omitzero"`

	// For Clicked: the destination, and the position of the link in the template
	// counted from 0.
	URL  string `json:"url,omitzero"`
	Link int    `json:"link,omitzero"`

	// For Opened, Clicked and Unsubscribed: who asked, as far as privacy allows.
	IP        netip.Addr `json:"ip,omitzero"`
	UserAgent string     `json:"user_agent,omitzero"`
	// Machine lists why this hit is not thought to be a person's; 0 means that
	// nothing speaks against one.
	Machine Machine `json:"machine,omitzero"`
	// First marks the first human open, or click, of this message, as far as the
	// process that saw it knows (see [Mail]). The statistics count on their own.
	First bool `json:"first,omitzero"`

	// For Deferred, Bounced, Rejected and Complained: why.
	Reason  bounce.Reason  `json:"reason,omitzero"`
	Verdict bounce.Verdict `json:"verdict,omitzero"`
	// Code and Enhanced are of the reply (RFC 5321, RFC 3463), Diagnostic its
	// text, Host the server that gave it.
	Code       int    `json:"code,omitzero"`
	Enhanced   string `json:"enhanced,omitzero"`
	Diagnostic string `json:"diagnostic,omitzero"`
	Host       string `json:"host,omitzero"`
	// Attempt counts from 1.
	Attempt int `json:"attempt,omitzero"`
	// QueueID is the receiving server's name for the mail, after Delivered.
	QueueID string `json:"queue_id,omitzero"`
}

// Machine is a set of reasons to think that a hit was not a person's.
type Machine uint16

// Mail is what a host knows of a mail, to complete the events of its hits.
type Mail struct {
	Recipient string
	Campaign  string
	Stream    string
	Tenant    string
	Tags      []string
	Meta      map[string]string
	// Delivered is when the receiving server took the mail; zero if not known.
	Delivered time.Time
	// Opened and Clicked say that a person has opened, or clicked, it before.
	Opened, Clicked bool
}

// ErrUnknownMail is for a [Resolver] to return when it knows nothing of a mail.
var ErrUnknownMail = errors.New("tracking: unknown mail")

// Resolver tells about a mail or, when message is zero, about a mailing: then only
// the campaign, stream, tenant and tags count. A [Sink] that also implements
// Resolver completes the events that it is about to get. It is safe for concurrent
// use.
type Resolver interface {
	Resolve(ctx context.Context, message ID, mailing string) (Mail, error)
}

// or fills in the labels that m leaves empty.
func (m Mail) or(labels *Mail) Mail {
	m.Campaign = cmp.Or(m.Campaign, labels.Campaign)
	m.Stream = cmp.Or(m.Stream, labels.Stream)
	m.Tenant = cmp.Or(m.Tenant, labels.Tenant)
	if len(m.Tags) == 0 {
		m.Tags = labels.Tags
	}
	if len(m.Meta) == 0 {
		m.Meta = labels.Meta
	}
	return m
}

// had reports whether this type of hit is old news.
func (m *Mail) had(t Type) bool { return t == Opened && m.Opened || t == Clicked && m.Clicked }

// Sink receives events. Implementations are safe for concurrent use and must not
// retain the slice. An error means that none of the events may be taken as kept;
// the same events can then come again, with the same IDs.
type Sink interface {
	Record(ctx context.Context, events []Event) error
}

// SinkFunc makes a function a Sink.
type SinkFunc func(ctx context.Context, events []Event) error

// Record calls f.
func (f SinkFunc) Record(ctx context.Context, events []Event) error { return f(ctx, events) }
