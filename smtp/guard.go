package smtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"github.com/franqueo/franqueo/smtp/internal/glob"
)

// GuardOptions says what [Guard] lets through.
type GuardOptions struct {
	// Allow are patterns of the recipients that get their mail, such as
	// "*@example.com": "*" stands for any run of characters, "?" for one, case does
	// not count. None lets nobody through.
	Allow []string
	// Redirect is the address that gets the mail of all others, with a field
	// X-Original-To for each. Empty drops it.
	Redirect string
}

// Guard is a transport for staging, which cannot send to strangers: it hands to
// next only what goes to allowed recipients, and redirects or drops the rest. A
// redirected message goes out once, and its outcome is that of each recipient
// that it stands for. A dropped one counts as accepted.
//
// It fails where a pattern or the address is no good.
func Guard(next Transport, opts *GuardOptions) (Transport, error) {
	g := &guard{next: next}
	if opts != nil {
		g.allow, g.redirect = slices.Clone(opts.Allow), opts.Redirect
	}
	var errs []error
	for _, pattern := range g.allow {
		if !strings.ContainsAny(pattern, "@*") {
			errs = append(errs, fmt.Errorf("smtp: guard: pattern %q matches no address: write %q", pattern, "*@"+pattern))
		}
	}
	if g.redirect != "" {
		_, _, err := ParseAddress(g.redirect)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g, nil
}

type guard struct {
	next     Transport
	allow    []string
	redirect string
}

// dropped is the answer for a recipient whose mail was dropped.
var dropped = Reply{Code: 250, Enhanced: EnhancedCode{2, 0, 0}, Lines: []string{"Dropped by the guard"}}

// Send implements [Transport].
func (g *guard) Send(ctx context.Context, m *Message) (*Result, error) {
	result := newResult(m)
	var allowed, others []int
	for i, to := range m.To {
		local, domain, err := ParseAddress(to.Addr)
		switch {
		case err != nil:
			result.Recipients[i].fail(&Error{Phase: PhaseMessage, Err: err, Class: ErrPermanent}, nil)
		case g.allows(to.Addr) || g.allows(local+"@"+domain):
			allowed = append(allowed, i)
		default:
			others = append(others, i)
		}
	}
	sendPart(ctx, g.next, m, allowed, result)
	if g.redirect != "" {
		g.divert(ctx, m, others, result)
		return result, result.Err()
	}
	for _, n := range others {
		result.Recipients[n].Status, result.Recipients[n].Reply = Accepted, dropped
	}
	return result, result.Err()
}

func (g *guard) allows(addr string) bool {
	return slices.ContainsFunc(g.allow, func(pattern string) bool { return glob.Match(pattern, addr) })
}

// divert sends the mail of the others to one address.
func (g *guard) divert(ctx context.Context, m *Message, others []int, result *Result) {
	if len(others) == 0 {
		return
	}
	var fields bytes.Buffer
	for _, n := range others {
		fmt.Fprintf(&fields, "X-Original-To: %s\r\n", mime.QEncoding.Encode("utf-8", m.To[n].Addr))
	}
	diverted := *m
	diverted.To = []Recipient{{Addr: g.redirect}}
	if m.Content != nil { // next knows what to say of that
		diverted.Content = prefixed{fields.Bytes(), m.Content}
	}
	sent, _ := g.next.Send(ctx, &diverted)
	for _, n := range others {
		result.Recipients[n] = sent.Recipients[0]
		result.Recipients[n].Recipient = m.To[n]
	}
}

// prefixed is content with header fields before it.
type prefixed struct {
	fields []byte
	Content
}

// Open implements [Content].
func (p prefixed) Open() (io.ReadCloser, error) {
	rest, err := p.Content.Open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(p.fields), rest), rest}, nil
}

// Size is that of the whole, or negative if unknown.
func (p prefixed) Size() int64 {
	sized, ok := p.Content.(interface{ Size() int64 })
	if !ok || sized.Size() < 0 {
		return -1
	}
	return int64(len(p.fields)) + sized.Size()
}
