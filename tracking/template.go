package tracking

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"sync"
	"time"
)

// Template is a compiled [Message]: its wire form, cut where recipients differ.
// It is safe for concurrent use and never changes.
type Template struct {
	tracker *Tracker
	content
}

// content is what a stored template holds.
type content struct {
	mailing mailing
	domain  string // of the Message-ID
	// messageID is the message's own, if it came with one
	messageID string
	from      string // the reverse-path, unless the tracker makes its own
	policy    Policy
	utf8      bool // the header needs SMTPUTF8
	campaign  string
	stream    string
	tenant    string
	tags      []string
	meta      map[string]string
	fields    []string
	needs     []need
	links     []Link
	ops       []op
	size      int // of the wire form without the values of fields
}

// need says that a field is used where its value is escaped so.
type need struct {
	field  string
	escape escape
}

// op is a piece of the wire form: text, and a hole behind it.
type op struct {
	kind opKind
	text []byte
	// token is the kind of the token in the hole, for opToken.
	token tokenKind
	// link is the index of the link, for opLink and opFieldLink.
	link uint16
	// on is text with what stands before the recipient's token if hits are followed,
	// and tail what stands behind it; off follows text if they are not. For opLink
	// and opPixel.
	on, tail, off []byte
	// value is what fills the hole, for opField, opText and opFieldLink.
	value []piece
	// escape is how a link is written that is not followed, for opFieldLink.
	escape escape
}

type opKind uint8

const (
	opCopy      opKind = iota
	opTo               // the recipient's address
	opDate             // the date
	opToken            // a token of the recipient
	opText             // a header field with merge fields
	opField            // a merge field in a body, in quoted-printable
	opLink             // a link, followed or not
	opFieldLink        // a link with merge fields, followed or not
	opPixel            // the open pixel
	opKinds
)

// piece is text and a field behind it; the field may be empty.
type piece struct {
	text   string
	field  string
	escape escape
}

// Recipient is who gets a copy of a template.
type Recipient struct {
	// ID names the copy. The zero ID lets the queue, or else Append, make one.
	ID ID
	To mail.Address
	// Fields are the values of the template's merge fields.
	Fields map[string]string
	// Key makes queueing idempotent: the same key twice is one mail. See the
	// queue's Send.
	Key string
	// Meta comes back in every event, with that of the message.
	Meta map[string]string
	// Policy is what the recipient agreed to; nil does not restrict.
	Policy *Policy
	// Date is when the message says that it was written; zero means the time of ID.
	Date time.Time
}

// Envelope is what a transport needs beside the bytes of a copy.
type Envelope struct {
	ID ID
	// MessageID is that of the header, without angle brackets.
	MessageID string
	// ReturnPath is the reverse-path, of which [Tracker.Identify] reads the ID if
	// the tracker has a ReturnPath.
	ReturnPath string
	// Recipient is the forward-path.
	Recipient string
	// Date is that of the header.
	Date time.Time
	// UTF8 says that only a server with SMTPUTF8 can take the message.
	UTF8 bool
}

// ErrBadRecipient is wrapped by the errors for a recipient whose address is
// malformed, or who lacks the value of a field.
var ErrBadRecipient = errors.New("recipient cannot be rendered")

// Mailing names the template in its tokens and events: 16 hex digits that the
// content of the message decides.
func (p *Template) Mailing() string { return fmt.Sprintf("%x", p.mailing[:]) }

// Campaign, Stream and Tenant are the labels of the message.
func (p *Template) Campaign() string { return p.campaign }

// Stream is the stream of the message.
func (p *Template) Stream() string { return p.stream }

// Tenant is the tenant of the message.
func (p *Template) Tenant() string { return p.tenant }

// Tags returns the tags of the message.
func (p *Template) Tags() []string { return slices.Clone(p.tags) }

// Meta returns the metadata of the message.
func (p *Template) Meta() map[string]string { return maps.Clone(p.meta) }

// Fields returns the names of the merge fields that every recipient must have,
// sorted.
func (p *Template) Fields() []string { return slices.Clone(p.fields) }

// Links returns all links of the HTML, in order, also those that are not
// followed, with the reason. [Event.Link] is their index.
func (p *Template) Links() []Link { return slices.Clone(p.links) }

// Check reports whether r can be rendered: its address is well formed, and each
// field has a value that fits where it stands. The error names what does not, and
// wraps [ErrBadRecipient].
func (p *Template) Check(r *Recipient) error {
	if err := checkMailbox(r.To); err != nil {
		return fmt.Errorf("tracking: %w: %w", ErrBadRecipient, err)
	}
	if r.Policy != nil {
		if err := r.Policy.check(); err != nil {
			return fmt.Errorf("tracking: %w: %s: %w", ErrBadRecipient, r.To.Address, err)
		}
	}
	for _, n := range p.needs {
		value, ok := r.Fields[n.field]
		if !ok {
			return fmt.Errorf("tracking: %w: %s has no value for field %q", ErrBadRecipient, r.To.Address, n.field)
		}
		if err := n.escape.check(value); err != nil {
			return fmt.Errorf("tracking: %w: %s: field %q: %w", ErrBadRecipient, r.To.Address, n.field, err)
		}
	}
	return nil
}

// Append appends the copy for r, in wire form, to dst. The same template, r and
// keys give the same bytes each time, if r has an ID. r is not changed nor kept.
// The errors are those of Check, and leave dst as it was.
func (p *Template) Append(dst []byte, r *Recipient) ([]byte, Envelope, error) {
	if err := p.Check(r); err != nil {
		return dst, Envelope{}, err
	}
	c := copies.Get().(*copyState)
	c.begin(p, r)
	dst = slices.Grow(dst, p.size)
	for i := range p.ops {
		dst = c.append(dst, &p.ops[i])
	}
	envelope := c.envelope()
	if cap(c.scratch) <= maxScratch {
		copies.Put(c)
	}
	return dst, envelope, nil
}

// maxScratch bounds what is kept for the next Append.
const maxScratch = 64 << 10

// copyState is the work of one Append.
type copyState struct {
	p             *Template
	r             *Recipient
	id            ID
	date          time.Time
	opens, clicks Mode
	tokens        [kindReturn + 1][]byte // of the recipient, made when first needed
	scratch, url  []byte
}

var copies = sync.Pool{New: func() any { return new(copyState) }}

func (c *copyState) begin(p *Template, r *Recipient) {
	c.p, c.r, c.id, c.date = p, r, r.ID, r.Date
	if c.id.IsZero() {
		c.id = NewID()
	}
	if c.date.IsZero() {
		c.date = c.id.Time()
	}
	policy := p.policy.restrict(p.tracker.opts.Policy)
	if r.Policy != nil {
		policy = policy.restrict(*r.Policy)
	}
	c.opens, c.clicks = policy.Opens, policy.Clicks
	for i := range c.tokens {
		c.tokens[i] = c.tokens[i][:0]
	}
}

// envelope also lets go of what the caller owns.
func (c *copyState) envelope() Envelope {
	p := c.p
	e := Envelope{ID: c.id, ReturnPath: p.from, Recipient: c.r.To.Address, Date: c.date, UTF8: p.utf8 || needsUTF8(c.r.To.Address)}
	c.scratch = append(append(c.scratch[:0], c.token(kindReturn)...), '@')
	c.scratch = append(c.scratch, p.domain...)
	n := len(c.scratch)
	c.scratch = p.tracker.appendReturnPath(c.scratch, c.token(kindReturn))
	both := string(c.scratch)
	e.MessageID = cmp.Or(p.messageID, both[:n])
	if len(both) > n {
		e.ReturnPath = both[n:]
	}
	c.p, c.r = nil, nil
	return e
}

// token returns the recipient's token of a kind.
func (c *copyState) token(kind tokenKind) []byte {
	if len(c.tokens[kind]) == 0 {
		c.tokens[kind] = c.p.tracker.signer.appendRecipient(c.tokens[kind], kind, c.p.mailing, c.id)
	}
	return c.tokens[kind]
}

func (c *copyState) append(dst []byte, o *op) []byte {
	switch o.kind {
	case opLink:
		return c.appendSwitch(dst, o, c.clicks)
	case opPixel:
		return c.appendSwitch(dst, o, c.opens)
	}
	dst = append(dst, o.text...)
	switch o.kind {
	case opTo:
		return appendAddress(dst, c.r.To)
	case opDate:
		return appendDate(dst, c.date)
	case opToken:
		return append(dst, c.token(o.token)...)
	case opText:
		c.fill(o.value)
		return appendText(dst, c.scratch)
	case opField:
		return c.appendField(dst, &o.value[0])
	case opFieldLink:
		return c.appendFieldLink(dst, o)
	}
	return dst
}

// appendDate appends a date in UTC as RFC 5322, section 3.3 writes it, faster than
// time.Format.
func appendDate(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(append(dst, t.Weekday().String()[:3]...), ", "...)
	dst = append(append2(dst, day), ' ')
	dst = append(append(dst, month.String()[:3]...), ' ')
	dst = append(append2(append2(dst, year/100), year%100), ' ')
	dst = append(append2(dst, hour), ':')
	dst = append(append2(dst, minute), ':')
	return append(append2(dst, second), " +0000"...)
}

// append2 appends the last two digits of n.
func append2(dst []byte, n int) []byte { return append(dst, '0'+byte(n/10%10), '0'+byte(n%10)) }

// appendSwitch appends the text before a URL, and the URL with the recipient's token
// or what stands in its place if hits are not followed.
func (c *copyState) appendSwitch(dst []byte, o *op, mode Mode) []byte {
	if mode <= Off {
		return append(append(dst, o.text...), o.off...)
	}
	dst = append(dst, o.on...)
	dst = append(dst, c.token(mode.kind())...)
	return append(dst, o.tail...)
}

// appendField appends a value from the start of a line.
func (c *copyState) appendField(dst []byte, v *piece) []byte {
	c.scratch = v.escape.append(c.scratch[:0], c.r.Fields[v.field])
	dst, _ = appendQP(dst, 0, c.scratch)
	return dst
}

// appendFieldLink appends a link whose destination differs by recipient, from the
// start of a line.
func (c *copyState) appendFieldLink(dst []byte, o *op) []byte {
	c.fill(o.value)
	t := c.p.tracker
	c.url = c.url[:0]
	destination := string(c.scratch)
	if c.clicks > Off && skipReason(destination) == "" && t.skipReason(destination) == "" {
		c.url = t.appendClick(c.url, c.p.mailing, o.link, destination)
		c.url = append(c.url, c.token(c.clicks.kind())...)
	} else {
		c.url = o.escape.append(c.url, destination)
	}
	dst, _ = appendQP(dst, 0, c.url)
	return dst
}

// fill sets scratch to the pieces with their fields.
func (c *copyState) fill(pieces []piece) {
	c.scratch = c.scratch[:0]
	for i := range pieces {
		c.scratch = append(c.scratch, pieces[i].text...)
		if pieces[i].field != "" {
			c.scratch = pieces[i].escape.append(c.scratch, c.r.Fields[pieces[i].field])
		}
	}
}
