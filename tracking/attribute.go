package tracking

import (
	"html"
	"strings"
	"unicode/utf8"
)

// UnescapeAttr decodes the character references of an HTML attribute value by
// the rule of the HTML standard for attributes, which is not that for text: a
// reference without a semicolon counts only if no letter, digit or equals sign
// follows, so that "?a=1&sectionid=2" keeps its "&sect".
func UnescapeAttr(s string) string {
	amp := strings.IndexByte(s, '&')
	if amp < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for amp >= 0 {
		b.WriteString(s[:amp])
		n := referenceLen(s[amp:])
		b.WriteString(decodeReference(s[amp:amp+n], s[amp+n:]))
		s = s[amp+n:]
		amp = strings.IndexByte(s, '&')
	}
	b.WriteString(s)
	return b.String()
}

// referenceLen is the length of what looks like a character reference at the
// start of s, which begins with an ampersand.
func referenceLen(s string) int {
	i := 1
	digit := isAlnum
	if strings.HasPrefix(s, "&#x") || strings.HasPrefix(s, "&#X") {
		i, digit = 3, isHex
	} else if strings.HasPrefix(s, "&#") {
		i, digit = 2, isDigit
	}
	for i < len(s) && digit(s[i]) {
		i++
	}
	if i < len(s) && s[i] == ';' {
		i++
	}
	return i
}

// decodeReference decodes one candidate; rest is what follows it.
func decodeReference(ref, rest string) string {
	switch {
	case ref == "&amp;":
		return "&"
	case strings.TrimRight(ref, "xX;") == "&#": // no digits
		return ref
	case strings.HasPrefix(ref, "&#"):
		return html.UnescapeString(strings.TrimSuffix(ref, ";") + ";")
	case ref[len(ref)-1] != ';' && strings.HasPrefix(rest, "="):
		return ref
	}
	text := html.UnescapeString(ref)
	if ref[len(ref)-1] == ';' {
		if len(text) > 1 && text[len(text)-1] == ';' {
			return ref // only a prefix of the name is known
		}
		return text
	}
	if utf8.RuneCountInString(text) != 1 {
		return ref
	}
	return text
}

// appendAttr escapes s for an attribute value; a bare one has no quotes.
func appendAttr(dst []byte, s string, bare bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '"':
			dst = append(dst, "&#34;"...)
		case c == '\'':
			dst = append(dst, "&#39;"...)
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case bare && (c <= ' ' || c == '=' || c == '`'):
			dst = append(dst, "&#"...)
			if c >= 10 {
				dst = append(dst, '0'+c/10)
			}
			dst = append(dst, '0'+c%10, ';')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isSpace is HTML's ASCII whitespace.
func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f'
}
