package smtp

import "errors"

// Phase is the step of a conversation in which an attempt failed.
type Phase string

// The phases, in the order in which they occur.
const (
	PhaseMessage   Phase = "message" // the message itself, before anything was sent
	PhaseResolve   Phase = "resolve"
	PhasePolicy    Phase = "policy" // MTA-STS, DANE, blocked address
	PhaseConnect   Phase = "connect"
	PhaseGreeting  Phase = "greeting"
	PhaseHello     Phase = "hello"
	PhaseStartTLS  Phase = "starttls"
	PhaseAuth      Phase = "auth"
	PhaseMail      Phase = "mail"
	PhaseRcpt      Phase = "rcpt"
	PhaseData      Phase = "data"        // the reply to DATA, and the body
	PhaseEndOfData Phase = "end of data" // the final reply
)

// The classes and causes that callers branch on with errors.Is.
var (
	// ErrTemporary and ErrPermanent are the class of every [*Error] but the
	// indeterminate ones. What is unknown is temporary.
	ErrTemporary = errors.New("temporary failure")
	ErrPermanent = errors.New("permanent failure")
	// ErrIndeterminate: the message may have been accepted.
	ErrIndeterminate = errors.New("no answer after the end of data")

	// Refused before anything was sent.
	ErrBadAddress  = errors.New("malformed address")
	ErrBadContent  = errors.New("malformed message")
	ErrLineTooLong = errors.New("line longer than 998 octets")
	ErrTooLarge    = errors.New("message larger than the server takes")
	ErrNeedUTF8    = errors.New("server lacks SMTPUTF8, which the addresses or the header need")
	ErrNeed8Bit    = errors.New("server lacks 8BITMIME, which the message needs")

	// TLS and authentication.
	ErrTLSRequired  = errors.New("TLS is required and the server does not offer it")
	ErrTLSPolicy    = errors.New("TLS policy of the domain is not met")
	ErrNoRequireTLS = errors.New("server lacks REQUIRETLS, which the message asks for")
	ErrAuth         = errors.New("authentication failed")
	ErrInsecureAuth = errors.New("refusing to send credentials in clear")

	// Routing.
	ErrNullMX      = errors.New("domain accepts no mail (null MX)")
	ErrNoHost      = errors.New("domain does not exist or has no mail host")
	ErrBlockedAddr = errors.New("refusing to connect to a private, loopback or otherwise special address")
	ErrLoop        = errors.New("mail would loop back to this host")

	// State of the transport.
	ErrClosed = errors.New("transport is closed")
)

// Error is the failure of one phase of one attempt.
//
// errors.Is finds its class ([ErrTemporary], [ErrPermanent] or
// [ErrIndeterminate]) and its cause; errors.As reaches the x509, net and DNS
// errors that it wraps.
type Error struct {
	Phase Phase
	// Host is the server, or the domain when none was reached.
	Host string
	// Reply is the server's answer. It is zero when the failure was not a reply.
	Reply Reply
	// Err is the cause. It is nil when the reply says it all.
	Err error
	// Class is [ErrTemporary], [ErrPermanent] or [ErrIndeterminate]; nil means
	// what the reply's code says, and without a reply temporary.
	Class error
}

func (e *Error) Error() string {
	s := "smtp: " + string(e.Phase)
	if e.Host != "" {
		s += " " + e.Host
	}
	if e.Reply.Code != 0 {
		s += ": " + e.Reply.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause and the class.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.class()}
	}
	return []error{e.Err, e.class()}
}

// Temporary reports whether trying again later may help.
func (e *Error) Temporary() bool { return e.class() == ErrTemporary }

func (e *Error) class() error {
	switch {
	case e.Class != nil:
		return e.Class
	case e.Reply.Code >= 500:
		return ErrPermanent
	}
	return ErrTemporary
}
