package smtp

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"
)

// Transport sends one message. [*Relay], [*Direct] and the transports that wrap
// others implement it; it is all that a queue needs to know of this package.
//
// An implementation is safe for concurrent use, keeps nothing of m after Send
// returns, and never mutates it.
type Transport interface {
	// Send delivers m to all of its recipients and reports what became of each.
	// It blocks until every outcome is known. The Result is never nil and holds
	// one [Outcome] for each of m.To, in that order. The error is nil if and only
	// if every recipient was accepted; otherwise it is the Err of the first
	// recipient that was not.
	//
	// Ending ctx aborts the attempt while that is safe. Once the last byte of the
	// message has been handed to the connection, Send goes on waiting for the
	// answer for a bounded time, and then reports [Indeterminate].
	Send(ctx context.Context, m *Message) (*Result, error)
}

// Message is one finished RFC 5322 message and its envelope.
type Message struct {
	// From is the reverse-path, an addr-spec. Empty is the null reverse-path <>,
	// for delivery reports.
	From string
	// To holds the recipients; outcomes come back in this order. At least one.
	To []Recipient
	// Content is the header and body. It is opened for each attempt, and again where
	// it is signed or too large to be held in memory.
	Content Content

	// EnvelopeID is the ENVID of RFC 3461, section 4.4. Empty sends none.
	EnvelopeID string
	// Return is the RET of RFC 3461, section 4.3. Empty sends none.
	Return Return
	// TLS is what the message itself asks of the way (RFC 8689).
	TLS TLSNeed

	// MaxOnConnection is the most messages that a connection carries on which this
	// one goes. Zero leaves it to the transport.
	MaxOnConnection int

	// Date is the time that signatures carry, so that a message signed again is
	// the same bytes. The zero time means now.
	Date time.Time
	// ID names the message in logs and traces. Empty is fine.
	ID string
	// Stream, Tenant and Campaign are labels that transports may route by.
	// They are not sent.
	Stream, Tenant, Campaign string
}

// Recipient is one forward-path and what its sender wants to be told.
type Recipient struct {
	// Addr is an addr-spec. A domain in Unicode goes out as A-labels.
	Addr string
	// Notify is the NOTIFY of RFC 3461, section 4.1. Zero sends none.
	Notify Notify
	// ORCPT is the original recipient of RFC 3461, section 4.2, an addr-spec.
	// Empty sends none.
	ORCPT string
}

// Notify says for which events a delivery report is wanted.
type Notify uint8

// The values of NOTIFY. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Return says how much of the message a delivery report should hold.
type Return string

// The values of RET.
const (
	ReturnFull    Return = "FULL"
	ReturnHeaders Return = "HDRS"
)

// TLSNeed is what a message asks of TLS, whatever the transport's own policy.
type TLSNeed uint8

const (
	// TLSDefault leaves the choice to the transport.
	TLSDefault TLSNeed = iota
	// TLSRequire asks every hop for verified TLS (RFC 8689, section 2).
	TLSRequire
	// TLSOptional prefers delivery over TLS policy ("TLS-Required: No", RFC 8689,
	// section 4.2).
	TLSOptional
)

// Content gives the bytes of a message. Open may be called several times, also
// concurrently, and yields the same bytes each time.
//
// Content that also has a method Size() int64 declares its length before it is
// read; a negative size means unknown.
type Content interface {
	Open() (io.ReadCloser, error)
}

// Bytes is content in memory. The slice is not copied and must not change while
// a message holds it.
func Bytes(b []byte) Content { return memory(b) }

// File is content on disk, read as it is sent.
func File(path string) Content { return file(path) }

type memory []byte

func (m memory) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m)), nil }
func (m memory) Size() int64                  { return int64(len(m)) }

type file string

func (f file) Open() (io.ReadCloser, error) { return os.Open(string(f)) }

func (f file) Size() int64 {
	info, err := os.Stat(string(f))
	if err != nil {
		return -1
	}
	return info.Size()
}
