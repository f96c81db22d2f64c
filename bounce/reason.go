package bounce

import "fmt"

// Reason says why mail was not delivered, or what else came back. The names that
// [Reason.String] gives are stable: they are stored, and shown to users.
type Reason uint8

// The reasons. Undetermined is the zero value.
const (
	Undetermined Reason = iota // nothing is known

	// About the recipient.
	BadMailbox       // no such user
	BadDomain        // no such domain, or one that takes no mail
	MailboxMoved     // gone, with or without a new address
	MailboxDisabled  // disabled, suspended, inactive
	MailboxFull      // over quota
	RecipientRefused // the recipient, or a rule of theirs, refuses this sender

	// About our rate.
	RateLimited       // too many connections or messages from us
	RecipientRate     // this mailbox receives too fast
	Greylisted        // unknown sender, try again
	TooManyRecipients // in one transaction

	// About our reputation.
	IPBlocked      // on a block list
	LowReputation  // deferred or refused for reputation or complaints
	SenderRejected // the sender's address or domain is refused

	// About the message.
	SpamContent
	Virus
	ContentRefused // malformed, or a type of attachment that is refused
	TooLarge

	// About authentication and configuration.
	AuthFailed // SPF, DKIM, DMARC or ARC
	NoPTR      // reverse DNS or HELO name
	TLSRequired
	RelayDenied
	Policy       // refused by policy, without more
	AuthRequired // SMTP AUTH

	// About the way.
	Network // no connection, time-out, DNS failure
	Loop
	Expired  // given up after the lifetime in the queue
	System   // the server is out of order
	Protocol // syntax, command order

	// Not failures of delivery.
	Suppressed // refused by the sending side's suppression list
	Complaint  // the recipient called it spam
	OptOut
	AuthReport // a DMARC or DKIM failure report
	AutoReply
	Challenge // challenge-response
	Delivered

	reasons = int(Delivered) + 1
)

var reasonNames = [reasons]string{
	"undetermined",
	"bad-mailbox", "bad-domain", "mailbox-moved", "mailbox-disabled", "mailbox-full", "recipient-refused",
	"rate-limited", "recipient-rate", "greylisted", "too-many-recipients",
	"ip-blocked", "low-reputation", "sender-rejected",
	"spam-content", "virus", "content-refused", "too-large",
	"auth-failed", "no-ptr", "tls-required", "relay-denied", "policy", "auth-required",
	"network", "loop", "expired", "system", "protocol",
	"suppressed", "complaint", "opt-out", "auth-report", "auto-reply", "challenge", "delivered",
}

// String is the stable name, such as "bad-mailbox".
func (r Reason) String() string { return name(reasonNames[:], int(r), "reason") }

// ParseReason reads the form of String.
func ParseReason(s string) (Reason, error) {
	i, err := index(reasonNames[:], s, "reason")
	return Reason(i), err
}

// MarshalText writes the form of String.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the form of String.
func (r *Reason) UnmarshalText(text []byte) (err error) {
	*r, err = ParseReason(string(text))
	return err
}

// Verdict says what a failure means for the address.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // nothing can be said
	Soft                   // may pass, or is not the address's fault
	Hard                   // the address must not be mailed again
)

var verdictNames = [...]string{"unknown", "soft", "hard"}

// String is "unknown", "soft" or "hard".
func (v Verdict) String() string { return name(verdictNames[:], int(v), "verdict") }

// ParseVerdict reads the form of String.
func ParseVerdict(s string) (Verdict, error) {
	i, err := index(verdictNames[:], s, "verdict")
	return Verdict(i), err
}

// MarshalText writes the form of String.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the form of String.
func (v *Verdict) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVerdict(string(text))
	return err
}

// Action is what a sender should do next.
type Action uint8

// The actions.
const (
	NoAction      Action = iota
	Retry                // try the same mail again later
	SlowDown             // send less to this provider, then retry
	Suppress             // never mail this address again
	SuppressAfter        // suppress the address when it goes on
	FixContent           // change the message
	FixAuth              // SPF, DKIM, DMARC, reverse DNS
	FixConfig            // the sender's own configuration
	FixReputation        // get off the block list
)

var actionNames = [...]string{
	"none", "retry", "slow-down", "suppress", "suppress-after", "fix-content", "fix-auth", "fix-config", "fix-reputation",
}

// String is the stable name, such as "slow-down".
func (a Action) String() string { return name(actionNames[:], int(a), "action") }

// ParseAction reads the form of String.
func ParseAction(s string) (Action, error) {
	i, err := index(actionNames[:], s, "action")
	return Action(i), err
}

// MarshalText writes the form of String.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads the form of String.
func (a *Action) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAction(string(text))
	return err
}

func name(names []string, i int, kind string) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s %d", kind, i)
}

func index(names []string, s, kind string) (int, error) {
	for i, n := range names {
		if n == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("bounce: unknown %s %q", kind, s)
}
