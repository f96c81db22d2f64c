package tracking

import (
	"bytes"
	"fmt"
	"strings"
)

// A merge field is {{name}}: a name of letters, digits, underscores, dots and
// hyphens that begins with a letter or an underscore, with blanks around it or
// not. Anything else in double braces is text.

// fieldUnsubscribe and fieldPreferences are filled by the tracker.
const (
	fieldUnsubscribe = "unsubscribe"
	fieldPreferences = "tracking_preferences"
)

// fieldAt is a merge field at text[start:end].
type fieldAt struct {
	start, end int
	name       string
}

// nextField finds the first merge field at or after i.
func nextField(text []byte, i int) (fieldAt, bool) {
	for {
		n := bytes.Index(text[i:], []byte("{{"))
		if n < 0 {
			return fieldAt{}, false
		}
		start := i + n
		if end, name := fieldEnd(text, start); end > 0 {
			return fieldAt{start, end, name}, true
		}
		for i = start; i < len(text) && text[i] == '{'; i++ {
		}
	}
}

// fieldEnd returns the end of the field whose braces open at start; 0 if there is
// none.
func fieldEnd(text []byte, start int) (int, string) {
	i := skipBlanks(text, start+2)
	from := i
	for i < len(text) && isNameByte(text[i], i == from) {
		i++
	}
	name := text[from:i]
	i = skipBlanks(text, i)
	if len(name) == 0 || !bytes.HasPrefix(text[i:], []byte("}}")) {
		return 0, ""
	}
	return i + 2, string(name)
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && text[i] == ' ' {
		i++
	}
	return i
}

func isNameByte(c byte, first bool) bool {
	return isLetter(c) || c == '_' || !first && (isDigit(c) || c == '.' || c == '-')
}

// fieldsIn returns the merge fields of text, in order.
func fieldsIn(text []byte) []fieldAt {
	var list []fieldAt
	for f, ok := nextField(text, 0); ok; f, ok = nextField(text, f.end) {
		list = append(list, f)
	}
	return list
}

// escape says how the value of a field is written where it stands.
type escape uint8

const (
	escapeNone      escape = iota // plain text
	escapeLine                    // a header field: one line
	escapeHTML                    // text or a quoted attribute
	escapeUnquoted                // an attribute without quotes
	escapeURL                     // the start of a URL in an attribute
	escapeTarget                  // the start of the destination of a link
	escapeComponent               // a later part of a URL
	escapeScript                  // a string in a script, or JSON
	escapeStyle                   // a style sheet or a style attribute
	escapes
)

// check returns what is wrong with a value in this place.
func (e escape) check(value string) error {
	switch {
	case e == escapeLine && unfit(value):
		return fmt.Errorf("%q has a control character or a line end, or is not UTF-8, which no header field can carry", value)
	case (e == escapeURL || e == escapeTarget) && !isSafeURL(value):
		return fmt.Errorf("%q is no http, https, mailto or tel URL", value)
	}
	return nil
}

// isSafeURL reports whether a value may be the start of a URL: it names a scheme
// that runs no code, or none.
func isSafeURL(s string) bool {
	s = cleanURL(s)
	scheme, _, found := strings.Cut(s, ":")
	if !found || strings.ContainsAny(scheme, "/?#") {
		return true
	}
	for _, ok := range [...]string{"http", "https", "mailto", "tel", "sms", "cid"} {
		if strings.EqualFold(scheme, ok) {
			return true
		}
	}
	return false
}

// append writes value as it must stand in this place.
func (e escape) append(dst []byte, value string) []byte {
	switch e {
	case escapeHTML:
		return appendAttr(dst, value)
	case escapeUnquoted:
		return appendBareAttr(dst, value)
	case escapeURL:
		return appendURL(dst, value, "&amp;")
	case escapeTarget:
		return appendURL(dst, value, "&")
	case escapeComponent:
		return appendComponent(dst, value)
	case escapeScript:
		return appendScript(dst, value)
	case escapeStyle:
		return appendStyle(dst, value)
	}
	return append(dst, value...)
}

// appendURL appends a URL, with what none can hold percent-encoded, and with its
// ampersands in the given form.
func appendURL(dst []byte, s, ampersand string) []byte {
	s = cleanURL(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '&':
			dst = append(dst, ampersand...)
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"'<>`\\^{}|", c) >= 0:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendComponent percent-encodes all but the unreserved characters of RFC 3986,
// section 2.3.
func appendComponent(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// appendScript appends the inside of a string in JSON or JavaScript.
func appendScript(dst []byte, s string) []byte {
	for _, r := range s {
		if r < ' ' || r == 0x7f || strings.ContainsRune("\"'\\<>&=`\u2028\u2029", r) {
			dst = fmt.Appendf(dst, `\u%04x`, r)
		} else {
			dst = append(dst, string(r)...)
		}
	}
	return dst
}

// appendStyle appends a CSS value: all that could end it becomes an escape.
func appendStyle(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if isAlnum(c) || c >= 0x80 || strings.IndexByte(" #%,.-_", c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', '0', '0', '0', '0', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// Places of HTML where fields stand.

// urlAttributes hold URLs.
var urlAttributes = []string{"href", "src", "background", "action", "formaction", "poster", "cite", "longdesc", "data", "xlink:href", "srcset"}

// eachField calls visit for every merge field of the HTML and how its value is to
// be escaped there. It returns an error for a field where none can be.
func eachField(html []byte, visit func(fieldAt, escape)) error {
	if !bytes.Contains(html, []byte("{{")) {
		return nil
	}
	return eachFieldIn(html, 0, len(html), visit)
}

func eachFieldIn(html []byte, start, end int, visit func(fieldAt, escape)) error {
	s := htmlScanner{src: html[:end], pos: start}
	for t, ok := s.next(); ok; t, ok = s.next() {
		var err error
		switch t.kind {
		case htmlText:
			visitFields(html, t.start, t.end, escapeHTML, visit)
		case htmlRaw:
			visitFields(html, t.start, t.end, rawEscape(t.name), visit)
		case htmlStart:
			err = tagFields(html, t, visit)
		case htmlComment:
			err = commentFields(html, t, visit)
		default:
			err = noFields(html, t.start, t.end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func visitFields(html []byte, start, end int, e escape, visit func(fieldAt, escape)) int {
	n := 0
	for f, ok := nextField(html[:end], start); ok; f, ok = nextField(html[:end], f.end) {
		visit(f, e)
		n++
	}
	return n
}

func rawEscape(element []byte) escape {
	switch {
	case equalFold(element, "script"):
		return escapeScript
	case equalFold(element, "style"):
		return escapeStyle
	}
	return escapeHTML
}

func noFields(html []byte, start, end int) error {
	f, ok := nextField(html[:end], start)
	if !ok {
		return nil
	}
	line := 1 + bytes.Count(html[:f.start], []byte("\n"))
	return fmt.Errorf("field %q on line %d stands where no value can be escaped: use it in text or in a quoted attribute", f.name, line)
}

func tagFields(html []byte, t htmlToken, visit func(fieldAt, escape)) error {
	if !bytes.Contains(html[t.start:t.end], []byte("{{")) {
		return nil
	}
	done := t.start
	for a, i, ok := nextAttr(html, t.attrs); ok; a, i, ok = nextAttr(html, i) {
		if !a.value {
			continue
		}
		if err := noFields(html, done, a.start); err != nil {
			return err
		}
		if err := valueFields(html, a, visit); err != nil {
			return err
		}
		done = a.end
	}
	return noFields(html, done, t.end)
}

func valueFields(html []byte, a attr, visit func(fieldAt, escape)) error {
	switch {
	case len(a.name) > 2 && equalFold(a.name[:2], "on"), equalFold(a.name, "srcdoc"):
		return noFields(html, a.start, a.end)
	case equalFold(a.name, "style"):
		visitFields(html, a.start, a.end, escapeStyle, visit)
	case isURLAttribute(a.name):
		first := skipSpace(html, a.start)
		visitFields(html, a.start, a.end, escapeComponent, func(f fieldAt, e escape) {
			if f.start == first {
				e = escapeURL
			}
			visit(f, e)
		})
	case a.quote == 0:
		visitFields(html, a.start, a.end, escapeUnquoted, visit)
	default:
		visitFields(html, a.start, a.end, escapeHTML, visit)
	}
	return nil
}

func isURLAttribute(name []byte) bool {
	for _, s := range urlAttributes {
		if equalFold(name, s) {
			return true
		}
	}
	return false
}

func commentFields(html []byte, t htmlToken, visit func(fieldAt, escape)) error {
	from, to, ok := conditional(html, t)
	if !ok {
		visitFields(html, t.start, t.end, escapeHTML, visit)
		return nil
	}
	if err := noFields(html, t.start, from); err != nil {
		return err
	}
	return eachFieldIn(html, from, to, visit)
}
