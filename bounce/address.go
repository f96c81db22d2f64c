package bounce

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mention is an address in a text, at [start, end) with its brackets or quotes.
type mention struct {
	address    string
	start, end int
}

// maxAddresses bounds lists such as To, which are searched one by one.
const maxAddresses = 64

// maxAddress bounds how far an address can reach from its at sign (RFC 5321,
// section 4.5.3.1, allows 64 + 255).
const maxAddress = 320

// findAddress finds the first address in s at or after from. Its time is linear:
// no byte is looked at more than twice.
func findAddress(s string, from int) (mention, bool) {
	floor := from
	for i := from; i < len(s); i++ {
		j := strings.IndexByte(s[i:], '@')
		if j < 0 {
			return mention{}, false
		}
		i += j
		if f, ok := addressAt(s, floor, i); ok {
			return f, true
		}
		floor = i + 1
	}
	return mention{}, false
}

// addressAt reads the address whose at sign is at i, looking back to floor at
// most.
func addressAt(s string, floor, i int) (mention, bool) {
	start := i
	floor = max(floor, i-maxAddress)
	if start > floor && s[start-1] == '"' { // a quoted local part
		q := strings.LastIndexByte(s[floor:start-1], '"')
		if q < 0 {
			return mention{}, false
		}
		start = floor + q
	} else {
		for start > floor && isLocal(s[start-1]) {
			start--
		}
		start += pastMarks(s[start:i])
		for start < i && strings.IndexByte(".'`*=", s[start]) >= 0 { // bullets and quotes
			start++
		}
	}
	end := i + 1
	limit := min(len(s), i+1+maxAddress)
	if end < limit && s[end] == '[' {
		if j := strings.IndexByte(s[end:limit], ']'); j > 0 {
			end += j + 1
		}
	} else {
		bracketed := start > 0 && s[start-1] == '<'
		for end < limit && (isDomain(s[end]) || bracketed && s[end] >= 0x80) {
			end++
		}
		for end > i+1 && strings.IndexByte(".-_", s[end-1]) >= 0 {
			end--
		}
	}
	if start == i || end == i+1 {
		return mention{}, false
	}
	f := mention{address: s[start:end], start: start, end: end}
	if start > 0 && end < len(s) && (s[start-1] == '<' && s[end] == '>' || s[start-1] == '"' && s[end] == '"') {
		f.start, f.end = start-1, end+1
	}
	return f, true
}

// pastMarks is where the last punctuation of s ends that is not ASCII, such as a wide
// colon: it stands before an address, and is no part of it.
func pastMarks(s string) int {
	at := strings.LastIndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf && (unicode.IsPunct(r) || unicode.IsSpace(r)) })
	if at < 0 {
		return 0
	}
	_, n := utf8.DecodeRuneInString(s[at:])
	return at + n
}

// isLocal says whether c may stand in an unquoted local part. Bytes of UTF-8 may,
// as RFC 6532 allows.
func isLocal(c byte) bool {
	return isAlnum(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func isDomain(c byte) bool { return isAlnum(c) || c == '-' || c == '.' || c == '_' }

func isAlnum(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c) }

// addresses appends every address in the value of a field such as To to dst, each
// once.
func addresses(dst []string, value string) []string {
	for at := 0; len(dst) < maxAddresses; {
		f, ok := findAddress(value, at)
		if !ok {
			break
		}
		at = f.end
		// "a@b.example" <c@d.example>: the first is a name.
		if strings.HasPrefix(strings.TrimLeft(value[at:], " \t\n\"')"), "<") {
			continue
		}
		dst = appendNew(dst, f.address)
	}
	return dst
}

func appendNew(dst []string, s string) []string {
	if s == "" || len(dst) == maxAddresses {
		return dst
	}
	for _, have := range dst {
		if strings.EqualFold(have, s) {
			return dst
		}
	}
	return append(dst, s)
}

// firstAddress is the first address of a field; empty if there is none.
func firstAddress(value string) string {
	for at := 0; ; {
		f, ok := findAddress(value, at)
		if !ok {
			return ""
		}
		at = f.end
		if !strings.HasPrefix(strings.TrimLeft(value[at:], " \t\n\"')"), "<") {
			return f.address
		}
	}
}

// typedAddress reads "rfc822; a@b", the form of Final-Recipient and ORCPT, in
// which many other forms are written.
func typedAddress(value string) string {
	value = unfold(value)
	kind, address, found := strings.Cut(value, ";")
	if !found || strings.ContainsAny(kind, "@<\" ") && !strings.HasSuffix(strings.TrimRight(kind, " "), "822") {
		kind, address = "", value
	}
	address = strings.TrimSpace(address)
	if strings.EqualFold(strings.TrimSpace(kind), "utf-8") {
		return decodeUTF8Address(address)
	}
	// QUIRK: pipes, comments and brackets stand around the address.
	if strings.ContainsAny(address, "<>|() ") {
		if f, ok := findAddress(address, 0); ok {
			return f.address
		}
	}
	if decoded, ok := decodeXtext(address); ok {
		address = decoded
	}
	return strings.Trim(address, "<> ")
}

// decodeUTF8Address undoes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533,
// section 3): \x{7528} stands for a character.
func decodeUTF8Address(s string) string {
	if !strings.Contains(s, `\x{`) {
		return s
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		digits, rest, closed := strings.Cut(after, "}")
		r, ok := hexRune(digits)
		if !closed || !ok {
			b.WriteString(`\x{`)
			s = after
			continue
		}
		b.WriteRune(r)
		s = rest
	}
}

func hexRune(digits string) (rune, bool) {
	if len(digits) == 0 || len(digits) > 6 {
		return 0, false
	}
	var r rune
	for i := range len(digits) {
		d := unhex(digits[i])
		if d == 16 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, r >= 0x20 && r <= 0x10ffff
}

// decodeXtext undoes xtext (RFC 3461, section 4): "+2B" stands for a plus sign. An
// address with a plus sign that escapes nothing printable is none.
func decodeXtext(s string) (string, bool) {
	if strings.IndexByte(s, '+') < 0 {
		return s, false
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		// Only what must be escaped counts. Else "ana+ab@example.com", which few
		// servers escape, would be damaged.
		if i+2 >= len(s) || s[i+1:i+3] != "2B" && s[i+1:i+3] != "3D" {
			return s, false
		}
		b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		i += 2
	}
	return b.String(), true
}
