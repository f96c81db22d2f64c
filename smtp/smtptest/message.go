package smtptest

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/internal/glob"
)

// Message is one message as it arrived.
type Message struct {
	// From is the reverse-path, and To the recipients that the server accepted,
	// with their parameters.
	From string
	To   []smtp.Recipient
	// Data is the message, byte for byte, without dot-stuffing. It is nil if
	// [Options.EnvelopeOnly] is set.
	Data []byte
	// Size is the length of the message, and DeclaredSize the SIZE of MAIL.
	Size, DeclaredSize int64

	// EnvelopeID and Return are ENVID and RET, Body is the BODY of MAIL. Empty
	// means not given.
	EnvelopeID string
	Return     smtp.Return
	Body       string
	// UTF8 and RequireTLS say that MAIL had SMTPUTF8 and REQUIRETLS.
	UTF8, RequireTLS bool

	// Time is when the last octet arrived.
	Time time.Time
	// Hello is the name that the client gave, User the one that it authenticated
	// as, Conn the number of its connection, from 1.
	Hello string
	User  string
	Conn  int
	// TLS is nil without TLS.
	TLS *tls.ConnectionState

	// ID, Stream, Tenant and Campaign are the labels of the [smtp.Message], known
	// to a [Recorder] only.
	ID, Stream, Tenant, Campaign string
}

// Header is the first field of that name, decoded. It is empty if there is none.
func (m *Message) Header(name string) string {
	entity, err := message.Read(bytes.NewReader(m.Data))
	if entity == nil || err != nil && !message.IsUnknownCharset(err) {
		return ""
	}
	text, err := entity.Header.Text(name)
	if err != nil {
		return entity.Header.Get(name)
	}
	return text
}

// Text is all that the message says: each of its text parts, decoded, one after
// the other. What cannot be decoded is left out.
func (m *Message) Text() string {
	entity, err := message.Read(bytes.NewReader(m.Data))
	if entity == nil || err != nil && !message.IsUnknownCharset(err) {
		return ""
	}
	var text strings.Builder
	_ = entity.Walk(func(_ []int, part *message.Entity, err error) error {
		kind, _, _ := part.Header.ContentType()
		if err == nil && strings.HasPrefix(kind, "text/") {
			_, _ = io.Copy(&text, part.Body)
		}
		return nil
	})
	return text.String()
}

// Match says whether a message is one of those that a test is about.
type Match func(*Message) bool

// From matches messages by the reverse-path. Like all patterns here it knows "*"
// and "?", must match all of the text, and does not mind case.
func From(pattern string) Match {
	return func(m *Message) bool { return glob.Match(pattern, m.From) }
}

// To matches messages that have such a recipient.
func To(pattern string) Match {
	return func(m *Message) bool {
		for _, to := range m.To {
			if glob.Match(pattern, to.Addr) {
				return true
			}
		}
		return false
	}
}

// Header matches messages by a decoded header field, such as Subject.
func Header(name, pattern string) Match {
	return func(m *Message) bool { return glob.Match(pattern, m.Header(name)) }
}

// Text matches messages by what they say; see [Message.Text]. The pattern for a
// text that contains a word is "*word*".
func Text(pattern string) Match {
	return func(m *Message) bool { return glob.Match(pattern, m.Text()) }
}
