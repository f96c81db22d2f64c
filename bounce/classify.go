package bounce

import "time"

// Reply is one SMTP reply, as the sender saw it, or a Diagnostic-Code.
type Reply struct {
	// Code is the three-digit code; 0 means that no reply came, only an error of
	// the connection or of DNS that Text describes.
	Code int
	// Status is the enhanced status code; the zero value means none.
	Status Status
	// Text is what follows them, lines joined by newlines.
	Text string
	// Command is what was answered.
	Command Command
	// MX is the host that answered. It tells the provider, and so the dialect.
	MX string
}

// Status is an enhanced status code (RFC 3463): class, subject, detail. The zero
// value means none.
type Status [3]uint16

// Command is the SMTP command, or the moment, that a reply answers.
type Command uint8

// The commands. AnyCommand is the zero value: it is not known.
const (
	AnyCommand Command = iota
	Connect
	Hello
	StartTLS
	Auth
	Mail
	Rcpt
	Data
	EndOfData
)

// Classification is what a reply means: a plain, comparable value.
type Classification struct {
	Reason  Reason
	Verdict Verdict
	Action  Action
	// Confidence is what the reason was told by.
	Confidence Confidence
	// Provider is whose dialect it is, such as "gmail"; empty if none was known.
	Provider string
	// Rule names the rule that decided, for Explain and logs.
	Rule string
	// Temporary says that the server's own word is to try again (4xx).
	Temporary bool
	// RetryAfter is the delay that the reply asks for; 0 if it names none.
	RetryAfter time.Duration
}

// Confidence is what a reason was told by, from weak to strong. Hosts may want to
// suppress only from ByPhrase on.
type Confidence uint8

// The degrees of confidence.
const (
	ByNothing Confidence = iota
	ByCode               // the reply code alone
	ByStatus             // the enhanced status code
	ByPhrase             // a phrase of the text
	ByTag                // a tag of the provider, or a rule of the host
)
