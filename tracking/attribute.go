package tracking

import (
	"html"
	"strconv"
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
	case strings.HasPrefix(ref, "&#"):
		return decodeNumber(ref)
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

func decodeNumber(ref string) string {
	digits := strings.TrimRight(strings.TrimLeft(ref, "&#xX"), ";")
	switch {
	case digits == "":
		return ref
	case len(strings.TrimLeft(digits, "0")) > len("1114111"): // beyond Unicode, and maybe beyond an int32
		return "\ufffd"
	}
	return html.UnescapeString(strings.TrimSuffix(ref, ";") + ";")
}

// appendAttr escapes s for an attribute value in quotes, and appendBareAttr for
// one without.
func appendAttr(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func appendBareAttr(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c > ' ' && c != '=' && c != '`' {
			dst = appendAttr(dst, s[i:i+1])
			continue
		}
		dst = append(dst, "&#"...)
		dst = strconv.AppendUint(dst, uint64(c), 10)
		dst = append(dst, ';')
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
