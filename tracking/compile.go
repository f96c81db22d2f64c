package tracking

import (
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
)

// Compile makes a template of a message. It reads the HTML once, finds the links
// and the place of the open pixel, encodes every part, and leaves holes for what
// differs by recipient. Compiling the same message again makes the same template.
// m and the values in it are not kept. The error joins all faults of m.
func (t *Tracker) Compile(m *Message) (*Template, error) {
	b := builder{t: t, m: m}
	if err := b.message(); err != nil {
		return nil, fmt.Errorf("tracking: compile: %w", err)
	}
	return b.template(), nil
}

// builder collects the content of a template.
type builder struct {
	t *Tracker
	m *Message
	content
	raw        bool // the message is finished: it has no merge fields
	boundaries int
	pixels     int
	full       bool   // there are too many links
	text       []byte // since the last hole
	faults     []error
}

func (b *builder) message() error {
	faults := []error{b.m.check()}
	var parts []loadedPart
	for _, p := range b.m.Parts {
		loaded, err := p.load()
		parts, faults = append(parts, loaded), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	hash := b.m.hash(parts)
	b.mailing = mailing(hash[:mailingSize])
	b.labels()
	b.header()
	b.entity(b.tree(parts))
	if column(b.text) > 0 || len(b.text) == 0 || string(b.text) == softBreak {
		b.add("\r\n") // the end of a text alone, which no delimiter follows
	}
	return errors.Join(b.faults...)
}

// labels sets what the content holds beside the wire form.
func (b *builder) labels() {
	m := b.m
	from := m.From.Address
	b.domain = string(appendAddrSpec(nil, from)[strings.LastIndexByte(from, '@')+1:])
	b.from = from
	if m.Sender != nil {
		b.from = m.Sender.Address
	}
	b.policy = b.t.opts.Policy.restrict(m.Policy)
	b.campaign, b.stream, b.tenant = m.Campaign, m.Stream, m.Tenant
	b.tags, b.meta = slices.Clone(m.Tags), maps.Clone(m.Meta)
	for _, list := range [][]mail.Address{{m.From}, m.sender(), m.ReplyTo, m.To, m.Cc} {
		for _, a := range list {
			b.utf8 = b.utf8 || needsUTF8(a.Address)
		}
	}
}

// template finishes the content.
func (b *builder) template() *Template {
	b.op(op{kind: opCopy})
	slices.Sort(b.fields)
	b.measure()
	b.t.recorder.label(&b.content)
	return &Template{tracker: b.t, content: b.content}
}

// measure estimates the size of a copy, generously for short values.
func (c *content) measure() {
	for i := range c.ops {
		o := &c.ops[i]
		c.size += len(o.text) + max(len(o.on)-len(o.text)+recipientSize+len(o.tail), len(o.off)) + 64
	}
}

// op ends the text with a hole.
func (b *builder) op(o op) {
	o.text = slices.Clip(b.text)
	if o.on != nil { // side by side, to be copied at once
		o.on = slices.Concat(o.text, o.on)
		o.text = o.on[:len(o.text):len(o.text)]
	}
	b.ops = append(b.ops, o)
	b.text = nil
}

func (b *builder) add(s string) { b.text = append(b.text, s...) }

// quoted adds text in quoted-printable.
func (b *builder) quoted(s []byte) { b.text, _ = appendQP(b.text, column(b.text), s) }

// breakLine makes the next byte of a quoted-printable body the first of a line.
func (b *builder) breakLine() {
	if column(b.text) > 0 {
		b.add(softBreak)
	}
}

// hole adds a hole for a value that is written from the start of a line, and a soft
// line break behind it.
func (b *builder) hole(o op) {
	b.breakLine()
	b.op(o)
	b.add(softBreak)
}

// token adds a hole for a token in a quoted-printable body.
func (b *builder) token(kind tokenKind) {
	if column(b.text)+recipientSize > maxLine-1 {
		b.add(softBreak)
	}
	b.op(op{kind: opToken, token: kind})
	b.add(softBreak)
}

// need notes a field and how it is used.
func (b *builder) need(field string, e escape) {
	if !slices.Contains(b.fields, field) {
		b.fields = append(b.fields, field)
	}
	if n := (need{field, e}); !slices.Contains(b.needs, n) {
		b.needs = append(b.needs, n)
	}
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

// Header

func (b *builder) header() {
	m := b.m
	b.dateField()
	b.addresses("From", []mail.Address{m.From})
	b.addresses("Sender", m.sender())
	b.addresses("Reply-To", m.ReplyTo)
	if len(m.To) > 0 {
		b.addresses("To", m.To)
	} else {
		b.toField()
	}
	b.addresses("Cc", m.Cc)
	b.unstructured("Subject", m.Subject)
	b.messageIDField()
	b.listFields()
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		for _, v := range m.Header[name] {
			b.unstructured(name, v)
		}
	}
	b.add("MIME-Version: 1.0\r\n")
}

func (b *builder) dateField() {
	b.add("Date: ")
	b.op(op{kind: opDate})
	b.add("\r\n")
}

func (b *builder) toField() {
	b.add("To: ")
	b.op(op{kind: opTo})
	b.add("\r\n")
}

func (b *builder) messageIDField() {
	b.add("Message-ID:" + b.space(len("Message-ID: <@>")+recipientSize+len(b.domain)) + "<")
	b.op(op{kind: opToken, token: kindReturn})
	b.add("@" + b.domain + ">\r\n")
}

func (b *builder) addresses(name string, list []mail.Address) {
	if len(list) > 0 {
		b.add(name + ": ")
		b.text = append(appendAddresses(b.text, list), "\r\n"...)
	}
}

// unstructured adds a field of text that may hold merge fields.
func (b *builder) unstructured(name, value string) {
	value = strings.TrimSpace(value)
	b.add(name + ": ")
	pieces := b.pieces([]byte(value), func(f fieldAt) escape {
		if b.pagePath(f.name) != "" {
			b.fault("field %q in the header field %s: it can only stand in a text", f.name, name)
		}
		return escapeLine
	})
	if len(pieces) == 1 && pieces[0].field == "" {
		b.text = appendText(b.text, value)
	} else {
		b.op(op{kind: opText, value: pieces})
	}
	b.add("\r\n")
}

// pieces cuts text at its fields.
func (b *builder) pieces(text []byte, place func(fieldAt) escape) []piece {
	var list []piece
	done := 0
	for _, f := range fieldsIn(text) {
		e := place(f)
		b.need(f.name, e)
		list = append(list, piece{string(text[done:f.start]), f.name, e})
		done = f.end
	}
	if done < len(text) || len(list) == 0 {
		list = append(list, piece{text: string(text[done:])})
	}
	return list
}

// space is what follows the colon of a field: a blank, or a fold if the line would
// be too long.
func (b *builder) space(line int) string {
	if line > maxLine {
		return "\r\n "
	}
	return " "
}

// listFields adds the fields about the mailing.
func (b *builder) listFields() {
	m := b.m
	if m.ListID != "" {
		b.add("List-Id: <" + m.ListID + ">\r\n")
	}
	b.unsubscribeFields()
	if b.t.opts.FeedbackSender != "" {
		b.add("Feedback-ID: " + feedbackPart(m.Campaign) + ":" + feedbackPart(m.Stream) + ":" + feedbackPart(m.Tenant) + ":" + b.t.opts.FeedbackSender + "\r\n")
	}
}

// feedbackPart is a label as a part of the Feedback-ID.
func feedbackPart(label string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != ':' {
			return r
		}
		return '-'
	}, label)
}

// unsubscribeFields adds those of RFC 2369 and, where the tracker serves them,
// RFC 8058.
func (b *builder) unsubscribeFields() {
	if b.stream == Transactional {
		return
	}
	mailto := ""
	if b.m.UnsubscribeMail != "" {
		mailto = "<mailto:" + string(appendAddrSpec(nil, b.m.UnsubscribeMail)) + "?subject=unsubscribe>"
	}
	switch {
	case b.t.unsubscribes():
		url := b.t.base + pathUnsubscribe
		b.add("List-Unsubscribe:" + b.space(len("List-Unsubscribe: <>,")+len(url)+recipientSize) + "<" + url)
		b.op(op{kind: opToken, token: kindUnsubscribe})
		b.add(">")
		if mailto != "" {
			b.add(",\r\n " + mailto)
		}
		b.add("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
	case mailto != "":
		b.add("List-Unsubscribe: " + mailto + "\r\n")
	}
}
