package smtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line of a message without its CRLF (RFC 5322, section
// 2.1.1).
const maxLine = 998

// facts is what was seen of a message as it went through a canonical reader.
type facts struct {
	size        int64 // octets as they go out, before dots are doubled
	eightBit    bool  // the body needs 8BITMIME
	utf8        bool  // the header needs SMTPUTF8
	tlsOptional bool  // the header holds TLS-Required
	dotted      bool  // a line may start with a dot
}

// canonical reads a message and gives it in the form that goes on the wire: every
// line ends with CRLF, and there is no Bcc field. It refuses what has no such form:
// a bare CR, NUL, a line that is too long, a header that is none.
type canonical struct {
	src   io.Reader
	facts facts

	in      []byte // what was read and not yet looked at
	buf     []byte // the memory of in
	out     []byte // what was looked at and not yet given
	outMem  []byte
	err     error // from src, or a refusal
	body    bool  // the header has ended
	dropped bool  // the field being read is left out
	lines   int
}

const canonicalBlock = 32 << 10

func newCanonical(src io.Reader) *canonical {
	return &canonical{src: src, buf: make([]byte, canonicalBlock), outMem: make([]byte, 0, canonicalBlock+canonicalBlock/4)}
}

func (c *canonical) Read(p []byte) (int, error) {
	for len(c.out) == 0 && c.err == nil {
		c.fill()
	}
	if len(c.out) == 0 {
		return 0, c.err
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// fill reads once and passes on the lines that are complete.
func (c *canonical) fill() {
	rest := copy(c.buf, c.in)
	n, err := c.src.Read(c.buf[rest:])
	c.in = c.buf[:rest+n]
	c.out = c.outMem[:0]
	for c.err == nil {
		end := bytes.IndexByte(c.in, '\n')
		if end < 0 {
			break
		}
		c.line(bytes.TrimSuffix(c.in[:end], []byte{'\r'}))
		c.in = c.in[end+1:]
	}
	switch {
	case c.err != nil:
	case err == io.EOF:
		c.end()
	case err != nil:
		c.err = err
	case len(c.in) > maxLine+1:
		c.refuse(ErrLineTooLong, "")
	}
	c.facts.size += int64(len(c.out))
	c.outMem = c.out[:0]
}

// end takes a last line without an end, and what was no message at all.
func (c *canonical) end() {
	if len(c.in) > 0 {
		c.line(c.in)
	}
	switch {
	case c.err != nil:
	case c.facts.size == 0 && len(c.out) == 0:
		c.refuse(ErrBadContent, "it is empty")
	default:
		c.err = io.EOF
	}
}

func (c *canonical) line(line []byte) {
	c.lines++
	switch {
	case len(line) > maxLine:
		c.refuse(ErrLineTooLong, "")
		return
	case bytes.IndexByte(line, '\r') >= 0:
		c.refuse(ErrBadContent, "it holds a CR without LF")
		return
	case bytes.IndexByte(line, 0) >= 0:
		c.refuse(ErrBadContent, "it holds a NUL")
		return
	}
	switch {
	case c.body:
		c.facts.eightBit = c.facts.eightBit || hasHighBit(line)
	case len(line) == 0:
		c.body, c.dropped = true, false
	default:
		if fault := c.field(line); fault != "" {
			c.refuse(ErrBadContent, fault)
			return
		}
	}
	if !c.dropped {
		c.facts.dotted = c.facts.dotted || len(line) > 0 && line[0] == '.'
		c.out = append(append(c.out, line...), '\r', '\n')
	}
}

// field looks at one line of the header (RFC 5322, section 2.2).
func (c *canonical) field(line []byte) (fault string) {
	if line[0] != ' ' && line[0] != '\t' {
		name, _, ok := bytes.Cut(line, []byte{':'})
		if !ok || !isFieldName(name) {
			return "it is neither a header field nor the empty line that ends the header"
		}
		c.dropped = isBlind(name)
		c.facts.tlsOptional = c.facts.tlsOptional || bytes.EqualFold(name, []byte("TLS-Required"))
	} else if c.lines == 1 {
		return "it continues a header field that does not exist"
	}
	if c.dropped || !hasHighBit(line) {
		return ""
	}
	if !utf8.Valid(line) {
		return "it is a header field that is not UTF-8"
	}
	c.facts.utf8 = true
	return ""
}

func (c *canonical) refuse(cause error, fault string) {
	c.err = fmt.Errorf("line %d: %w", c.lines, cause)
	if fault != "" {
		c.err = fmt.Errorf("line %d: %w: %s", c.lines, cause, fault)
	}
}

// isBlind reports whether a field names recipients that the others must not see.
func isBlind(name []byte) bool {
	return bytes.EqualFold(name, []byte("Bcc")) || bytes.EqualFold(name, []byte("Resent-Bcc"))
}

func isFieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0
}

// hasHighBit reports whether b holds an octet above 127.
func hasHighBit(b []byte) bool {
	const high = 0x8080808080808080
	for ; len(b) >= 64; b = b[64:] {
		w := b[:64:64]
		if (word(w)|word(w[8:])|word(w[16:])|word(w[24:])|
			word(w[32:])|word(w[40:])|word(w[48:])|word(w[56:]))&high != 0 {
			return true
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// word is the first eight octets of b.
func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// canonicalMemory gives the canonical form of a message in memory: b itself when
// that is already it.
func canonicalMemory(b []byte) ([]byte, facts, error) {
	c := canonical{}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end >= 0 && c.facts.wellFormed(b[end+4:]) && c.headerKept(b[:end+2]) {
		c.facts.size = int64(len(b))
		c.facts.eightBit = hasHighBit(b[end+4:])
		return b, c.facts, nil
	}
	slow := newCanonical(bytes.NewReader(b))
	var out bytes.Buffer
	out.Grow(len(b) + len(b)/16 + 512)
	if _, err := out.ReadFrom(slow); err != nil {
		return nil, facts{}, err
	}
	return out.Bytes(), slow.facts, nil
}

// headerKept reports whether a header would come out of a canonical reader as it
// went in.
func (c *canonical) headerKept(header []byte) bool {
	if !c.facts.wellFormed(header) {
		return false
	}
	for line := range bytes.Lines(header) {
		c.lines++
		if len(line) == 2 || c.field(line[:len(line)-2]) != "" || c.dropped {
			return false
		}
	}
	return true
}

// wellFormed reports whether b is lines that end with CRLF, are not too long, and
// hold no other CR and no NUL.
func (f *facts) wellFormed(b []byte) bool {
	lines := bytes.Count(b, []byte{'\n'})
	if bytes.Count(b, []byte{'\r'}) != lines || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	return f.endsEvenly(b, lines) || f.endsEach(b)
}

// endsEach reports whether each line of b ends with CRLF and is not too long.
func (f *facts) endsEach(b []byte) bool {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if !f.endsLine(b, end) {
			return false
		}
		b = b[end+1:]
	}
	return true
}

// endsEvenly is endsEach for the given number of lines of which most are as long as
// the one before, as those of base64 are: it looks there for the end first. It may
// go past a shorter line, and reports false then.
func (f *facts) endsEvenly(b []byte, lines int) bool {
	for end := 0; len(b) > 0; lines-- {
		if end >= len(b) || b[end] != '\n' {
			end = bytes.IndexByte(b, '\n')
		}
		if !f.endsLine(b, end) {
			return false
		}
		b = b[end+1:]
	}
	return lines == 0
}

// endsLine reports whether a CRLF whose LF is at end ends a line that is not too long.
func (f *facts) endsLine(b []byte, end int) bool {
	f.dotted = f.dotted || b[0] == '.'
	return 1 <= end && end <= maxLine+1 && b[end-1] == '\r'
}

// checkFields looks at header fields that a [Signer] made.
func checkFields(header []byte) error {
	c := canonical{}
	if len(header) > 0 && !c.headerKept(header) {
		return fmt.Errorf("%w: the signer's header is not whole fields that end with CRLF: %.200q", ErrBadContent, header)
	}
	return nil
}

// appendStuffed appends lines with the dots at their starts doubled (RFC 5321,
// section 4.5.2). lineStart says whether b starts a line.
func appendStuffed(dst, b []byte, lineStart lineState) []byte {
	if lineStart == atLineStart && len(b) > 0 && b[0] == '.' {
		dst = append(dst, '.')
	}
	for {
		i := bytes.Index(b, []byte("\n."))
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(append(dst, b[:i+1]...), '.')
		b = b[i+1:]
	}
}

type lineState uint8

const (
	insideLine lineState = iota
	atLineStart
)

// inMemory is the size up to which a message is held in memory while it is sent.
const inMemory = 256 << 10

// contentSize is the length that content declares, or -1.
func contentSize(content Content) int64 {
	if sized, ok := content.(interface{ Size() int64 }); ok {
		return sized.Size()
	}
	return -1
}

// errChanged says that content gave other bytes the second time.
var errChanged = errors.New("content changed while it was sent")

// xtext encodes s as RFC 3461, section 4, asks.
func xtext(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' || r == '+' || r == '=' }) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
