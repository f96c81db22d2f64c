package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// letter is a message that was looked at, signed and is ready to go. It is not
// changed afterwards, so transactions share it.
type letter struct {
	message *Message
	from    path
	to      []path
	facts   facts

	prefix []byte // the fields that were put before the message
	body   []byte // the message when it is in memory
	stream bool   // it is not; read it from message.Content again
}

// path is a reverse-path or forward-path. The null reverse-path is the zero value.
type path struct{ local, domain string }

func (p path) utf8() bool { return !isASCII(p.local) }

func (p path) append(dst []byte) []byte {
	dst = append(dst, '<')
	if p.domain != "" {
		if isDotString(p.local) {
			dst = append(dst, p.local...)
		} else {
			dst = append(dst, formatLocal(p.local)...)
		}
		dst = append(append(dst, '@'), p.domain...)
	}
	return append(dst, '>')
}

func (p path) String() string { return strings.Trim(string(p.append(nil)), "<>") }

// size is the message as SIZE counts it (RFC 1870, section 3).
func (l *letter) size() int64 { return int64(len(l.prefix)) + l.facts.size }

// utf8 reports whether SMTPUTF8 is needed to send to these recipients.
func (l *letter) utf8(rcpts []int) bool {
	if l.facts.utf8 || l.from.utf8() {
		return true
	}
	for _, i := range rcpts {
		if l.to[i].utf8() {
			return true
		}
	}
	return false
}

// newLetter checks m, brings it into the form that goes on the wire and signs it.
// The error is an [*Error] of phase [PhaseMessage].
func newLetter(ctx context.Context, m *Message, signer Signer) (*letter, error) {
	l := &letter{message: m}
	if err := l.address(); err != nil {
		return nil, refused(err)
	}
	if err := l.read(); err != nil {
		return nil, err
	}
	if m.TLS == TLSOptional && !l.facts.tlsOptional {
		l.prefix = []byte("TLS-Required: No\r\n") // RFC 8689, section 4.2
	}
	if signer == nil {
		return l, nil
	}
	if err := l.sign(ctx, signer); err != nil {
		return nil, &Error{Phase: PhaseMessage, Err: err}
	}
	return l, nil
}

// refused is the error for a message that can never be sent.
func refused(err error) error {
	return &Error{Phase: PhaseMessage, Err: err, Class: ErrPermanent}
}

// address reads the envelope.
func (l *letter) address() error {
	m := l.message
	if len(m.To) == 0 {
		return fmt.Errorf("%w: the message has no recipients", ErrBadAddress)
	}
	if m.Content == nil {
		return fmt.Errorf("%w: the message has no content", ErrBadContent)
	}
	if err := checkDSN(m); err != nil {
		return err
	}
	var err error
	if m.From != "" {
		if l.from.local, l.from.domain, err = ParseAddress(m.From); err != nil {
			return err
		}
	}
	l.to = make([]path, len(m.To))
	for i := range m.To {
		if l.to[i].local, l.to[i].domain, err = ParseAddress(m.To[i].Addr); err != nil {
			return err
		}
	}
	return nil
}

// maxEnvelopeID is the limit of RFC 3461, section 4.4, after encoding.
const maxEnvelopeID = 100

func checkDSN(m *Message) error {
	if len(xtext(m.EnvelopeID)) > maxEnvelopeID || !isASCIIPrintable(m.EnvelopeID) {
		return fmt.Errorf("%w: EnvelopeID %.120q: more than 100 octets, or not printable ASCII", ErrBadContent, m.EnvelopeID)
	}
	switch m.Return {
	case "", ReturnFull, ReturnHeaders:
	default:
		return fmt.Errorf("%w: Return %q: it is neither ReturnFull nor ReturnHeaders", ErrBadContent, m.Return)
	}
	for _, r := range m.To {
		if r.Notify > NotifyDelay<<1-1 || r.Notify&NotifyNever != 0 && r.Notify != NotifyNever {
			return fmt.Errorf("%w: Notify %#x of %.300q: NotifyNever stands alone", ErrBadContent, r.Notify, r.Addr)
		}
		if r.ORCPT == "" {
			continue
		}
		if _, _, err := ParseAddress(r.ORCPT); err != nil {
			return fmt.Errorf("ORCPT of %.300q: %w", r.Addr, err)
		}
	}
	return nil
}

func isASCIIPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// read brings the message into memory, or looks at all of it once when it is too
// large for that.
func (l *letter) read() error {
	if m, ok := l.message.Content.(memory); ok {
		return l.take(m)
	}
	content, err := l.message.Content.Open()
	if err != nil {
		return &Error{Phase: PhaseMessage, Err: fmt.Errorf("open content: %w", err)}
	}
	defer content.Close()
	if contentSize(l.message.Content) <= inMemory {
		b, err := io.ReadAll(io.LimitReader(content, inMemory+1))
		if err != nil {
			return contentError(err)
		}
		if len(b) <= inMemory {
			return l.take(b)
		}
		return l.survey(io.MultiReader(bytes.NewReader(b), content))
	}
	return l.survey(content)
}

func (l *letter) take(b []byte) error {
	body, facts, err := canonicalMemory(b)
	if err != nil {
		return contentError(err)
	}
	l.body, l.facts = body, facts
	l.stream = len(body) > inMemory
	return nil
}

func (l *letter) survey(content io.Reader) error {
	c := newCanonical(content)
	if _, err := io.Copy(io.Discard, c); err != nil {
		return contentError(err)
	}
	l.facts, l.stream = c.facts, true
	return nil
}

// contentError tells a message that is wrong, which is final, from one that could
// not be read.
func contentError(err error) error {
	if errors.Is(err, ErrBadContent) || errors.Is(err, ErrLineTooLong) {
		return refused(err)
	}
	return &Error{Phase: PhaseMessage, Err: fmt.Errorf("read content: %w", err)}
}

// sign puts the signer's fields before the message.
func (l *letter) sign(ctx context.Context, signer Signer) error {
	content, err := l.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header, err := signer.Sign(ctx, l.message, content)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	if err := checkFields(header); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	l.prefix = append(header[:len(header):len(header)], l.prefix...)
	return nil
}

// appendStuffed appends a letter in memory as it goes by DATA, without the last dot.
func (l *letter) appendStuffed(dst []byte) []byte {
	dst = appendStuffed(dst, l.prefix, atLineStart)
	if !l.facts.dotted {
		return append(dst, l.body...)
	}
	return appendStuffed(dst, l.body, atLineStart)
}

// open reads the letter from its start, in the form that goes on the wire.
func (l *letter) open() (io.ReadCloser, error) {
	if l.body != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(l.prefix), bytes.NewReader(l.body))), nil
	}
	content, err := l.message.Content.Open()
	if err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	return &letterReader{
		Reader: io.MultiReader(bytes.NewReader(l.prefix), newCanonical(content)),
		Closer: content,
	}, nil
}

type letterReader struct {
	io.Reader
	io.Closer
}
