package bounce

import (
	"sync"
	"time"
)

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

// maxText is how much of a reply's text is read. RFC 5321, section 4.5.3.1.5
// allows 512 octets a line.
const maxText = 8 << 10

var defaults = sync.OnceValue(func() *Rules {
	rules, err := NewRules(nil)
	if err != nil {
		panic(err) // a fault in our own table, which every test would show
	}
	return rules
})

// Classify says what a reply means, by the rules of this package. It does not
// allocate, takes time linear in the reply, gives the same answer for the same
// reply, and is safe for concurrent use. The first call compiles the rules.
func Classify(r Reply) Classification { return defaults().Classify(r) }

// Explain says which rules a reply meets, and why: the first is the one that
// Classify obeys, the others are those that it overrides.
func Explain(r Reply) []Match { return defaults().Explain(r) }

// Match is a rule that a reply meets.
type Match struct {
	Rule       Rule
	Confidence Confidence
	// Found are the parts of the reply that the rule's phrases matched. It is
	// empty for a rule that looks at codes alone.
	Found []string
}

// Classify says what a reply means. It is safe for concurrent use.
func (rs *Rules) Classify(r Reply) Classification {
	var in found
	r.Text = limit(r.Text)
	rs.matcher.scan(r.Text, &in)
	x := examined{r, &in, rs.provider(r.MX, &in)}
	c := Classification{Temporary: r.temporary(), Provider: rs.providers[x.provider]}
	c.obey(rs.first(x))
	if c.Temporary || c.Reason.passing() {
		c.RetryAfter = retryAfter(r.Text)
	}
	return c
}

func limit(text string) string { return text[:min(len(text), maxText)] }

// obey takes over what a rule says.
func (c *Classification) obey(r *rule) {
	c.Reason, c.Rule, c.Confidence = r.Reason, r.Name, r.confidence
	if r.Provider != "" {
		c.Provider = r.Provider
	}
	c.Verdict, c.Action = r.Verdict, r.Action
	if c.Verdict == Unknown {
		c.Verdict = c.Reason.verdict(c.Temporary)
	}
	if c.Action == NoAction {
		c.Action = c.Reason.action(c.Verdict, c.Temporary)
	}
}

// verdict is what a reason means for the address unless a rule says otherwise.
func (r Reason) verdict(temporary bool) Verdict {
	switch {
	case r == Undetermined || r >= Complaint:
		return Unknown
	case temporary:
		return Soft
	}
	switch r {
	case BadMailbox, BadDomain, MailboxMoved, MailboxDisabled:
		return Hard
	}
	return Soft
}

// action is what a reason asks for unless a rule says otherwise.
func (r Reason) action(v Verdict, temporary bool) Action {
	switch {
	case v == Hard:
		return Suppress
	case r == Undetermined && !temporary:
		return SuppressAfter
	}
	return actions[r]
}

// actions are those of reasons that are not hard.
var actions = [reasons]Action{
	Undetermined: Retry,

	BadMailbox:       Retry,
	BadDomain:        Retry,
	MailboxMoved:     Retry,
	MailboxDisabled:  SuppressAfter,
	MailboxFull:      Retry,
	RecipientRefused: SuppressAfter,

	RateLimited:       SlowDown,
	RecipientRate:     Retry,
	Greylisted:        Retry,
	TooManyRecipients: Retry,

	IPBlocked:      FixReputation,
	LowReputation:  SlowDown,
	SenderRejected: FixConfig,

	SpamContent:    FixContent,
	Virus:          FixContent,
	ContentRefused: FixContent,
	TooLarge:       FixContent,

	AuthFailed:   FixAuth,
	NoPTR:        FixAuth,
	TLSRequired:  FixConfig,
	RelayDenied:  FixConfig,
	Policy:       FixContent,
	AuthRequired: FixConfig,

	Network:  Retry,
	Loop:     FixConfig,
	System:   Retry,
	Protocol: FixConfig,

	Complaint: Suppress,
	OptOut:    Suppress,
}

// aboutRecipient reports whether a reason is one that only the answer to RCPT or
// to the message itself can give.
func (r Reason) aboutRecipient() bool { return BadMailbox <= r && r <= RecipientRefused }

// passing reports whether a reason may name the time after which it has passed.
func (r Reason) passing() bool {
	switch r {
	case RateLimited, RecipientRate, Greylisted, LowReputation:
		return true
	}
	return false
}
