package smtp

import (
	"context"
	"io"
)

// Signer signs messages, as DKIM does.
//
// A transport calls Sign once per attempt, from the goroutine that called Send
// and outside every lock, so that signatures of different messages are computed
// in parallel. An implementation is safe for concurrent use.
type Signer interface {
	// Sign returns header fields to put before the message: whole lines, each
	// ended by CRLF. Empty adds nothing.
	//
	// content is the message as it will go out: every line ended by CRLF, and no
	// Bcc field. Sign may stop reading early, keeps neither m nor content, and
	// dates the signature with m.Date, or now if that is zero. An error fails the
	// attempt before anything is sent.
	Sign(ctx context.Context, m *Message, content io.Reader) (header []byte, err error)
}

// SignerFunc is a function that signs, for instance one that chooses among
// signers by [Message.Tenant].
type SignerFunc func(ctx context.Context, m *Message, content io.Reader) (header []byte, err error)

// Sign implements [Signer].
func (f SignerFunc) Sign(ctx context.Context, m *Message, content io.Reader) (header []byte, err error) {
	return f(ctx, m, content)
}
