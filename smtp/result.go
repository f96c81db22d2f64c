package smtp

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Result says what became of each recipient, in the order of [Message.To].
type Result struct {
	Recipients []Outcome
}

// Err is the error that Send returns beside the result: that of the first
// recipient that was not accepted.
func (r *Result) Err() error {
	for i := range r.Recipients {
		if r.Recipients[i].Err != nil {
			return r.Recipients[i].Err
		}
	}
	return nil
}

// Status is the fate of one recipient after one attempt.
type Status uint8

const (
	// NotTried: the attempt ended before the server judged this recipient.
	NotTried Status = iota
	// Accepted: the server took responsibility for the message (2xx).
	Accepted
	// Deferred: a temporary failure; trying again later is right.
	Deferred
	// Rejected: a permanent failure (5xx, or refused before it was sent).
	Rejected
	// Indeterminate: the last byte went out and no answer came. The message may
	// or may not have been delivered.
	Indeterminate
)

var statusNames = [...]string{"not tried", "accepted", "deferred", "rejected", "indeterminate"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Outcome is what became of one recipient.
type Outcome struct {
	Recipient
	Status Status
	// Reply is the server's last word on this recipient. It is zero when no reply
	// came.
	Reply Reply
	// QueueID is the server's name for the message, as far as the text of the
	// final reply tells it. Empty if unknown.
	QueueID string
	// Session describes the connection. It is nil when none was made.
	Session *Session
	// Err is nil for an accepted recipient, and otherwise an [*Error].
	Err error
}

// Session describes a connection to a server.
type Session struct {
	// Host is the name that was connected to, and RemoteAddr its address.
	Host       string
	RemoteAddr netip.AddrPort
	LocalAddr  netip.AddrPort
	// TLSVersion and CipherSuite are as in crypto/tls; zero without TLS.
	TLSVersion  uint16
	CipherSuite uint16
	// TLSVerified says that the certificate was checked and found right, by PKIX
	// or DANE; Policy names what asked for it: "", "dane", "mta-sts", "required".
	TLSVerified bool
	Policy      string
	// Reused says that the connection had carried a message before.
	Reused bool
	// Started is when the connection was made.
	Started time.Time
}

// EnhancedCode is a status code of RFC 3463: class, subject, detail. The zero
// value means that the reply held none.
type EnhancedCode [3]int

func (e EnhancedCode) String() string {
	if e == (EnhancedCode{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
}

// Reply is what a server said (RFC 5321, section 4.2).
type Reply struct {
	// Code is the three-digit code; zero means no reply.
	Code int
	// Enhanced is the status code at the start of the text, which Lines leaves out.
	Enhanced EnhancedCode
	// Lines holds the text, a string for each line. Control and bidirectional
	// formatting characters have been removed.
	Lines []string
}

// Text is the text of all lines, joined by newlines.
func (r Reply) Text() string { return strings.Join(r.Lines, "\n") }

// String is the reply on one line: code, enhanced code and text.
func (r Reply) String() string {
	if r.Code == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%03d", r.Code)
	if e := r.Enhanced.String(); e != "" {
		b.WriteString(" " + e)
	}
	for _, line := range r.Lines {
		b.WriteString(" " + line)
	}
	return b.String()
}
