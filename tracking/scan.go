package tracking

import (
	"bytes"
	"strings"
)

// The scanner cuts HTML into the tokens of the HTML standard's tokenizer without
// changing, copying or allocating anything: each token is a range of the source.

// htmlKind is what a range of the source is.
type htmlKind uint8

const (
	htmlText    htmlKind = iota
	htmlStart            // a start tag
	htmlEnd              // an end tag
	htmlComment          // <!-- … -->
	htmlRaw              // the content of a script, style, title, …
	htmlMarkup           // doctype, bogus comment, unfinished tag
)

// htmlToken is source[start:end]. For tags, name is the element's name as
// written, and attrs the offset after it. For raw text, name is the element's.
type htmlToken struct {
	kind       htmlKind
	start, end int
	name       []byte
	attrs      int
}

// htmlScanner walks over src from pos.
type htmlScanner struct {
	src   []byte
	pos   int
	raw   []byte // the name of the open raw text element
	token htmlToken
}

// rawElements hold no markup. noscript is not among them, as mail clients run no
// scripts.
var rawElements = []string{"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "plaintext"}

// next returns the next token; false at the end.
func (s *htmlScanner) next() (htmlToken, bool) {
	ok := s.scan()
	return s.token, ok
}

// scan sets token to the next one; false at the end.
func (s *htmlScanner) scan() bool {
	switch {
	case s.raw != nil:
		s.rawText()
	case s.pos >= len(s.src):
		return false
	default:
		if at := markupAt(s.src, s.pos); at > s.pos {
			s.token = htmlToken{kind: htmlText, start: s.pos, end: at}
		} else {
			s.markup()
		}
	}
	s.pos = s.token.end
	return true
}

// skipText moves to the markup after a text, for those who do not need that.
func (s *htmlScanner) skipText() {
	if s.raw == nil && s.pos < len(s.src) {
		s.pos = markupAt(s.src, s.pos)
	}
}

// markupAt is the offset of the first '<' at or after i that begins markup.
func markupAt(src []byte, i int) int {
	for {
		n := bytes.IndexByte(src[i:], '<')
		if n < 0 || i+n+1 >= len(src) {
			return len(src)
		}
		i += n + 1
		switch c := src[i]; {
		case isLetter(c), c == '!', c == '?':
			return i - 1
		case c == '/' && i+1 < len(src):
			return i - 1
		}
	}
}

// markup reads the token at a '<'.
func (s *htmlScanner) markup() {
	src, i := s.src, s.pos
	switch c := src[i+1]; {
	case isLetter(c):
		s.tag(htmlStart, i+1)
	case c == '/' && isLetter(src[i+2]):
		s.tag(htmlEnd, i+2)
	case bytes.HasPrefix(src[i:], []byte("<!--")):
		s.token = htmlToken{kind: htmlComment, start: i, end: commentEnd(src, i+4)}
	default:
		s.token = htmlToken{kind: htmlMarkup, start: i, end: after(src, i+2, '>')}
	}
}

// tag reads a tag whose name begins at i.
func (s *htmlScanner) tag(kind htmlKind, i int) {
	name := i
	for i < len(s.src) && (!endsAttrName[s.src[i]] || s.src[i] == '=') {
		i++
	}
	t := &s.token
	t.kind, t.start, t.end, t.name, t.attrs = kind, s.pos, tagEnd(s.src, i), s.src[name:i], i
	if t.end > len(s.src) { // the end of the source cuts the tag off: it does not count
		*t = htmlToken{kind: htmlMarkup, start: s.pos, end: len(s.src)}
	} else if kind == htmlStart && isRawElement(t.name) {
		s.raw = t.name
	}
}

// tagEnd is the offset behind the '>' of a tag whose attributes begin at i. If the
// source ends before, it is greater than its length. It does what nextAttr does
// again and again, for the many tags whose attributes are of no interest.
func tagEnd(src []byte, i int) int {
	for i < len(src) {
		switch c := src[i]; {
		case c == '>':
			return i + 1
		case isSpace(c) || c == '/':
			i++
			continue
		}
		for i++; i < len(src) && !endsAttrName[src[i]]; i++ {
		}
		if i = skipSpace(src, i); i < len(src) && src[i] == '=' {
			i = valueEnd(src, skipSpace(src, i+1))
		}
	}
	return len(src) + 1
}

// valueEnd is the offset behind an attribute value that begins at i.
func valueEnd(src []byte, i int) int {
	if i < len(src) && (src[i] == '"' || src[i] == '\'') {
		n := bytes.IndexByte(src[i+1:], src[i])
		if n < 0 {
			return len(src)
		}
		return i + 1 + n + 1
	}
	for i < len(src) && !isSpace(src[i]) && src[i] != '>' {
		i++
	}
	return i
}

func isRawElement(name []byte) bool {
	if len(name) < 3 || len(name) > 9 {
		return false
	}
	switch name[0] | 0x20 {
	case 's', 't', 'x', 'i', 'n', 'p':
	default:
		return false
	}
	for _, raw := range rawElements {
		if equalFold(name, raw) {
			return true
		}
	}
	return false
}

// attr is an attribute: its name, and source[start:end], its value without the
// quotes. quote is 0 if there are none; value tells "a=”" from "a".
type attr struct {
	name       []byte
	start, end int
	quote      byte
	value      bool
}

// quoting is how a value is escaped between the quotes of a.
func (a attr) quoting() escape {
	if a.quote == 0 {
		return escapeUnquoted
	}
	return escapeHTML
}

// nextAttr reads the attribute at or after i and returns the offset behind it.
// At the end of the tag ok is false and next lies behind the '>'; if the source
// ends before, next is greater than its length.
func nextAttr(src []byte, i int) (a attr, next int, ok bool) {
	for i < len(src) && (isSpace(src[i]) || src[i] == '/') {
		i++
	}
	if i >= len(src) {
		return attr{}, len(src) + 1, false
	}
	if src[i] == '>' {
		return attr{}, i + 1, false
	}
	name := i
	for i++; i < len(src) && !endsAttrName[src[i]]; i++ { // a leading '=' is part of the name
	}
	a.name = src[name:i]
	i = skipSpace(src, i)
	if i >= len(src) || src[i] != '=' {
		return a, i, true
	}
	return attrValue(src, skipSpace(src, i+1), a)
}

func attrValue(src []byte, i int, a attr) (attr, int, bool) {
	a.value, a.start = true, i
	if i < len(src) && (src[i] == '"' || src[i] == '\'') {
		a.quote, a.start = src[i], i+1
		n := bytes.IndexByte(src[i+1:], src[i])
		if n < 0 {
			return a, len(src) + 1, false
		}
		a.end = i + 1 + n
		return a, a.end + 1, true
	}
	for i < len(src) && !isSpace(src[i]) && src[i] != '>' {
		i++
	}
	a.end = i
	return a, i, true
}

// endsAttrName marks the bytes behind the name of an attribute.
var endsAttrName = [256]bool{' ': true, '\n': true, '\t': true, '\r': true, '\f': true, '/': true, '>': true, '=': true}

func skipSpace(src []byte, i int) int {
	for i < len(src) && isSpace(src[i]) {
		i++
	}
	return i
}

// commentEnd is the offset behind a comment whose text begins at i.
func commentEnd(src []byte, i int) int {
	rest := src[i:]
	switch {
	case bytes.HasPrefix(rest, []byte(">")):
		return i + 1
	case bytes.HasPrefix(rest, []byte("->")):
		return i + 2
	}
	for {
		n := bytes.Index(src[i:], []byte("--"))
		if n < 0 {
			return len(src)
		}
		i += n + 2
		for i < len(src) && src[i] == '-' {
			i++
		}
		switch {
		case bytes.HasPrefix(src[i:], []byte(">")):
			return i + 1
		case bytes.HasPrefix(src[i:], []byte("!>")):
			return i + 2
		}
	}
}

// after is the offset behind the first c at or after i, or the end.
func after(src []byte, i int, c byte) int {
	if i > len(src) {
		return len(src)
	}
	if n := bytes.IndexByte(src[i:], c); n >= 0 {
		return i + n + 1
	}
	return len(src)
}

// rawText reads the content of the open raw text element.
func (s *htmlScanner) rawText() {
	t := htmlToken{kind: htmlRaw, start: s.pos, name: s.raw}
	switch {
	case equalFold(s.raw, "plaintext"):
		t.end = len(s.src)
	case equalFold(s.raw, "script"):
		t.end = scriptEnd(s.src, s.pos)
	default:
		t.end = closingTag(s.src, s.pos, s.raw)
	}
	s.token, s.raw = t, nil
}

// closingTag is the offset of the first end tag of this name at or after i.
func closingTag(src []byte, i int, name []byte) int {
	for ; ; i++ {
		n := bytes.Index(src[min(i, len(src)):], []byte("</"))
		if n < 0 {
			return len(src)
		}
		i += n
		if isTagName(src[i+2:], name) {
			return i
		}
	}
}

// isTagName reports whether b begins with a tag name, and its end.
func isTagName(b, name []byte) bool {
	return len(b) > len(name) && bytes.EqualFold(b[:len(name)], name) &&
		(isSpace(b[len(name)]) || b[len(name)] == '/' || b[len(name)] == '>')
}

// scriptEnd is the offset of the end tag of a script. Inside "<!-- <script>" an
// end tag closes that inner script only (the double escaped state of the HTML
// standard).
func scriptEnd(src []byte, i int) int {
	script := []byte("script")
	escaped, double := false, false
	for ; i < len(src); i++ {
		rest := src[i:]
		switch {
		case !escaped && bytes.HasPrefix(rest, []byte("<!--")):
			escaped = true
			i++ // "<!-->" ends it at once
		case escaped && bytes.HasPrefix(rest, []byte("-->")):
			escaped, double = false, false
		case escaped && !double && rest[0] == '<' && isTagName(rest[1:], script):
			double = true
		case rest[0] == '<' && len(rest) > 1 && rest[1] == '/' && isTagName(rest[2:], script):
			if !double {
				return i
			}
			double = false
		}
	}
	return len(src)
}

// conditional returns the range of the markup inside a conditional comment such
// as <!--[if mso]> … <![endif]-->, which Outlook alone reads as HTML.
func conditional(src []byte, t htmlToken) (start, end int, ok bool) {
	body := src[t.start:t.end]
	if len(body) < 8 || !equalFold(body[:7], "<!--[if") {
		return 0, 0, false
	}
	open := bytes.IndexByte(body, '>')
	last := bytes.LastIndex(body, []byte("<!["))
	if open < 0 || last < open {
		return 0, 0, false
	}
	return t.start + open + 1, t.start + last, true
}

// equalFold compares ASCII without case; s is in lower case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// holdsMarker reports whether s holds a marker of a template language that is
// filled in later, so that it is not yet what it will be.
func holdsMarker(s string) bool {
	for _, marker := range [...]string{"{{", "{%", "<%", "*|", "%%", "[[", "${"} {
		if strings.Contains(s, marker) {
			return true
		}
	}
	return false
}
