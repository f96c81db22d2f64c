package bounce

import (
	"iter"
	"net/netip"
	"time"
)

// Report is what one returned mail says, or one event of a provider's webhook.
// It holds no part of the mail's own memory: keep it as long as you like.
type Report struct {
	// Kind says what it is. Of [NotReport] only the fields about the mail itself
	// are filled in.
	Kind Kind
	// Recipients are those that it speaks of, each address once, in the order of
	// the mail. It can be empty: some reports name nobody.
	Recipients []Recipient
	// Original is what the report returns of the mail that it is about.
	Original Original
	// Feedback holds the fields of a complaint; nil in other kinds.
	Feedback *Feedback
	// Disposition is the field of that name, of KindDisposition: what became of a
	// mail that was delivered (RFC 8098, section 3.2.6).
	Disposition string

	// Agent names the software or the provider that wrote it, such as "postfix" or
	// "exchange"; empty if it could not be told.
	Agent string
	// ReportingMTA is the host that reports.
	ReportingMTA string
	// EnvelopeID is the ENVID of the transaction (RFC 3461, section 4.4).
	EnvelopeID string
	// Arrival is when the reporting server took the mail.
	Arrival time.Time

	// ID names the report: its Message-ID without the angle brackets, or the ID of
	// the webhook's event.
	ID string
	// Date is when it was written.
	Date time.Time
	// From is the address of its author, and Subject what it is headed, decoded.
	From, Subject string
	// To lists the addresses that it was sent to, each once: first the recipient of
	// the envelope, if a Server received it, then those of Delivered-To,
	// X-Original-To, Original-Recipient and To. They carry the token of a variable
	// envelope return path.
	To []string
	// Text is what it tells people, decoded, up to 4 KiB.
	Text string
	// Fields are those of the report for which there is no other place: extension
	// fields of a delivery status, unknown fields of an event.
	Fields []Field
	// Problems lists what was malformed or cut off. They did not stop the parser,
	// but what follows one may be missing.
	Problems []Problem
}

// Recipient is what a report says of one recipient. The embedded Classification
// says what it means.
type Recipient struct {
	// Final is the address at which delivery failed, and Original the one that the
	// sender wrote, if that is known and another: mail can be forwarded. A
	// failure that is not the mailbox's own says nothing of Original.
	Final, Original string
	// Fate is what the server did.
	Fate Fate
	// Status is the enhanced status code of the report. Where the report has none,
	// it is that of Reply.
	Status Status
	// Reply is what the remote server answered, as far as it is told.
	Reply Reply
	// RemoteMTA is the server that gave the reply.
	RemoteMTA string
	// LastAttempt is when delivery was last tried, and RetryUntil when the server
	// will give up.
	LastAttempt, RetryUntil time.Time
	Classification
}

// Address is the address as the sender knows it: Original, or else Final.
func (r *Recipient) Address() string {
	if r.Original != "" {
		return r.Original
	}
	return r.Final
}

// Kind says what a returned mail is.
type Kind uint8

// The kinds. A report about several recipients is of the first kind in this
// order that one of them has: a bounce, else a delay, else a success.
const (
	NotReport       Kind = iota // ordinary mail
	KindBounce                  // delivery was given up on
	KindDelay                   // still being tried
	KindSuccess                 // delivered, relayed or expanded
	KindComplaint               // a feedback report
	KindAutoReply               // such as a notice of absence
	KindChallenge               // asks the sender to prove being human
	KindDisposition             // what became of a delivered mail (MDN)
)

var kindNames = [...]string{
	"not-report", "bounce", "delay", "success", "complaint", "auto-reply", "challenge", "disposition",
}

// String is the stable name, such as "auto-reply".
func (k Kind) String() string { return name(kindNames[:], int(k), "kind") }

// ParseKind reads the form of String.
func ParseKind(s string) (Kind, error) {
	i, err := index(kindNames[:], s, "kind")
	return Kind(i), err
}

// MarshalText writes the form of String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the form of String.
func (k *Kind) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKind(string(text))
	return err
}

// Fate is what a server did with the mail to one recipient: the Action field of
// RFC 3464, section 2.3.3.
type Fate uint8

// The fates. FateUnknown stands in reports that are not about delivery.
const (
	FateUnknown   Fate = iota
	FateFailed         // given up
	FateDelayed        // still trying
	FateDelivered      // in the mailbox
	FateRelayed        // handed to a server that sends no reports of success
	FateExpanded       // handed to the members of a list
)

var fateNames = [...]string{"unknown", "failed", "delayed", "delivered", "relayed", "expanded"}

// String is the value of the Action field, such as "failed".
func (f Fate) String() string { return name(fateNames[:], int(f), "fate") }

// ParseFate reads the form of String.
func ParseFate(s string) (Fate, error) {
	i, err := index(fateNames[:], s, "fate")
	return Fate(i), err
}

// MarshalText writes the form of String.
func (f Fate) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the form of String.
func (f *Fate) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFate(string(text))
	return err
}

// Original is what a report returns of the mail that it is about. Every field is
// empty that was not returned.
type Original struct {
	// MessageID is without the angle brackets. Where nothing was returned, it is that
	// of the report's In-Reply-To.
	MessageID string
	Date      time.Time
	// Subject is decoded.
	Subject string
	// From is the author's address, ReturnPath the reverse-path.
	From, ReturnPath string
	To               []string
	ListID           string
	// FeedbackID is the field that Gmail defined; CFBLFeedbackID is that of RFC 9477.
	FeedbackID, CFBLFeedbackID string
	// Header is the header that came back, as it was, up to 64 KiB.
	Header string
}

// Field is a named value.
type Field struct{ Name, Value string }

// Problem is something malformed in a returned mail.
type Problem struct {
	// Offset is where, in bytes from the start of what was read.
	Offset int
	// Text says what, for people.
	Text string
}

// Feedback holds the fields of a feedback report (RFC 5965, RFC 6591).
type Feedback struct {
	// Type is "abuse", "fraud", "virus", "not-spam", "auth-failure", "opt-out" or
	// what else the field Feedback-Type says, in lower case.
	Type string
	// UserAgent is the generator of the report.
	UserAgent string
	// SourceIP is where the provider received the mail from.
	SourceIP netip.Addr
	// Incidents is how many reports this one stands for, at least 1.
	Incidents int
	// MailFrom and RcptTo are the envelope, as far as it was not redacted.
	MailFrom       string
	RcptTo         []string
	ReportedDomain []string
	ReportedURI    []string
	// AuthenticationResults are the values of the fields of that name.
	AuthenticationResults []string
	// AuthFailure is what failed: "adsp", "bodyhash", "revoked", "signature", "spf"
	// or "dmarc"; empty in other types of reports.
	AuthFailure string
	// DeliveryResult is what became of the mail: "delivered", "spam", "policy",
	// "reject" or "other".
	DeliveryResult                         string
	DKIMDomain, DKIMIdentity, DKIMSelector string
	// SPFDNS is the record that was evaluated.
	SPFDNS string
}

// Candidates yields every string in which a sender may have put a token of its
// own, the most trustworthy first: the addresses that the report was sent to, the
// envelope ID and the reverse-path, then the original's Message-ID,
// CFBL-Feedback-ID, Feedback-ID, the values of its X- fields, and those of Fields,
// where providers return what a sender attached to a mail. A report proves
// that we sent the mail only by a token that nobody else could have made.
func (r *Report) Candidates() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, to := range r.To {
			if !yield(to) {
				return
			}
		}
		o := &r.Original
		for _, s := range [...]string{r.EnvelopeID, o.ReturnPath, o.MessageID, o.CFBLFeedbackID, o.FeedbackID} {
			if s != "" && !yield(s) {
				return
			}
		}
		if f := r.Feedback; f != nil && f.MailFrom != "" && !yield(f.MailFrom) {
			return
		}
		for name, value := range o.Fields() {
			if hasPrefixFold(name, "X-") && !yield(value) {
				return
			}
		}
		for _, f := range r.Fields {
			if !yield(f.Value) {
				return
			}
		}
	}
}

// Fields yields the fields of Header, unfolded but not decoded.
func (o *Original) Fields() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, value := range fields(o.Header) {
			if !yield(name, unfold(value)) {
				return
			}
		}
	}
}
