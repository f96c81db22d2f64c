package tracking

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// A stored template is a version byte and its values in a fixed order: numbers as
// uvarints, texts and lists with their length before them.

// templateVersion is the version of the stored form.
const templateVersion = 1

// ErrBadTemplate is wrapped by the errors for a stored template that cannot be
// read.
var ErrBadTemplate = errors.New("not a stored template")

// MarshalBinary returns the form in which a queue stores the template. It holds
// the text of the message and no secret. Another process with the keys of the
// tracker reads it by [Tracker.UnmarshalTemplate] and renders the same bytes.
func (p *Template) MarshalBinary() ([]byte, error) {
	e := encoder{b: make([]byte, 0, p.size+4096)}
	e.b = append(e.b, templateVersion)
	e.content(&p.content)
	return e.b, nil
}

// UnmarshalTemplate reads what [Template.MarshalBinary] wrote. It keeps b. The
// errors wrap [ErrBadTemplate], and name the version if that is not known.
func (t *Tracker) UnmarshalTemplate(b []byte) (*Template, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("tracking: no bytes: %w", ErrBadTemplate)
	}
	if b[0] != templateVersion {
		return nil, fmt.Errorf("tracking: template of version %d, where this program reads version %d: %w", b[0], templateVersion, ErrBadTemplate)
	}
	p := &Template{tracker: t}
	d := decoder{b: b[1:]}
	d.content(&p.content)
	p.measure()
	switch {
	case d.bad:
		return nil, fmt.Errorf("tracking: template cut short or damaged at byte %d of %d: %w", len(b)-len(d.b), len(b), ErrBadTemplate)
	case len(d.b) > 0:
		return nil, fmt.Errorf("tracking: %d bytes behind the end of the template: %w", len(d.b), ErrBadTemplate)
	}
	t.recorder.label(&p.content)
	return p, nil
}

// encoder appends values to b.
type encoder struct{ b []byte }

func (e *encoder) int(n int) { e.b = binary.AppendUvarint(e.b, uint64(n)) }

func (e *encoder) bytes(s []byte) {
	e.int(len(s))
	e.b = append(e.b, s...)
}

func (e *encoder) string(s string) { e.bytes([]byte(s)) }

func (e *encoder) strings(list []string) {
	e.int(len(list))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) bool(v bool) {
	if v {
		e.int(1)
	} else {
		e.int(0)
	}
}

func (e *encoder) content(c *content) {
	e.b = append(e.b, c.mailing[:]...)
	for _, s := range []string{c.domain, c.messageID, c.from, c.campaign, c.stream, c.tenant} {
		e.string(s)
	}
	e.int(int(c.policy.Opens))
	e.int(int(c.policy.Clicks))
	e.bool(c.utf8)
	e.strings(c.tags)
	e.int(len(c.meta))
	for _, name := range slices.Sorted(maps.Keys(c.meta)) {
		e.string(name)
		e.string(c.meta[name])
	}
	e.strings(c.fields)
	e.int(len(c.needs))
	for _, n := range c.needs {
		e.string(n.field)
		e.int(int(n.escape))
	}
	e.int(len(c.links))
	for _, l := range c.links {
		e.link(l)
	}
	e.int(len(c.ops))
	for i := range c.ops {
		e.op(&c.ops[i])
	}
}

func (e *encoder) link(l Link) {
	e.string(l.URL)
	e.string(l.Element)
	e.bool(l.Conditional)
	e.int(l.Offset)
	e.string(l.Skipped)
}

func (e *encoder) op(o *op) {
	e.int(int(o.kind))
	if o.kind != opLink && o.kind != opPixel {
		e.bytes(o.text)
	}
	switch o.kind {
	case opToken:
		e.int(int(o.token))
	case opLink, opPixel:
		e.int(int(o.link))
		e.int(len(o.text))
		e.bytes(o.on)
		e.bytes(o.tail)
		e.bytes(o.off)
	case opText, opField, opFieldLink:
		e.int(int(o.link))
		e.int(int(o.escape))
		e.int(len(o.value))
		for _, v := range o.value {
			e.string(v.text)
			e.string(v.field)
			e.int(int(v.escape))
		}
	}
}

// decoder takes values from b. After a fault bad is set, and all values are zero.
type decoder struct {
	b   []byte
	bad bool
}

// int takes a number up to limit.
func (d *decoder) int(limit int) int {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 || v > uint64(limit) {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

// count takes the length of a list whose elements take a byte or more each.
func (d *decoder) count() int { return d.int(len(d.b)) }

func (d *decoder) bytes() []byte {
	n := d.count()
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) string() string { return string(d.bytes()) }

// listOf takes a list whose elements read takes.
func listOf[T any](d *decoder, read func() T) []T {
	var list []T
	for range d.count() {
		v := read()
		if d.bad {
			return nil
		}
		list = append(list, v)
	}
	return list
}

func (d *decoder) content(c *content) {
	if len(d.b) < mailingSize {
		d.bad = true
		return
	}
	c.mailing = mailing(d.b[:mailingSize])
	d.b = d.b[mailingSize:]
	for _, s := range []*string{&c.domain, &c.messageID, &c.from, &c.campaign, &c.stream, &c.tenant} {
		*s = d.string()
	}
	c.policy.Opens, c.policy.Clicks = Mode(d.int(int(Full))), Mode(d.int(int(Full)))
	c.utf8 = d.int(1) == 1
	c.tags = listOf(d, d.string)
	for _, pair := range listOf(d, func() [2]string { return [2]string{d.string(), d.string()} }) {
		if c.meta == nil {
			c.meta = map[string]string{}
		}
		c.meta[pair[0]] = pair[1]
	}
	c.fields = listOf(d, d.string)
	c.needs = listOf(d, func() need { return need{d.string(), d.escape()} })
	c.links = listOf(d, d.link)
	for i := range c.links {
		c.links[i].Index = i
	}
	c.ops = listOf(d, d.op)
}

func (d *decoder) escape() escape { return escape(d.int(int(escapes - 1))) }

func (d *decoder) link() Link {
	return Link{
		URL: d.string(), Element: d.string(), Conditional: d.int(1) == 1,
		Offset: d.int(math.MaxInt32), Skipped: d.string(),
	}
}

func (d *decoder) op() op {
	o := op{kind: opKind(d.int(int(opKinds - 1)))}
	if o.kind != opLink && o.kind != opPixel {
		o.text = d.bytes()
	}
	switch o.kind {
	case opToken:
		o.token = tokenKind(d.int(int(kindReturn)))
		d.bad = d.bad || o.token != kindUnsubscribe && o.token != kindReturn
	case opLink, opPixel:
		o.link = uint16(d.int(maxLinks - 1))
		n := d.int(math.MaxInt32)
		o.on, o.tail, o.off = d.bytes(), d.bytes(), d.bytes()
		d.bad = d.bad || n > len(o.on)
		o.text = o.on[:min(n, len(o.on))]
	case opText, opField, opFieldLink:
		o.link, o.escape = uint16(d.int(maxLinks-1)), d.escape()
		o.value = listOf(d, func() piece { return piece{d.string(), d.string(), d.escape()} })
		d.bad = d.bad || len(o.value) == 0
	}
	return o
}
