package tracking

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Header fields are written here rather than by go-message, since those with
// merge fields are encoded for each recipient, without allocating, and all are
// folded at 76 columns, long encoded words too.

// appendText appends the value of an unstructured field, folded, and as encoded
// words (RFC 2047) if it is not plain ASCII.
func appendText[T string | []byte](dst []byte, s T) []byte {
	if needsEncoding(s) {
		return appendEncodedWords(dst, s)
	}
	return appendFolded(dst, s)
}

func needsEncoding[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '?' && i > 0 && s[i-1] == '=' {
			return true
		}
	}
	return false
}

// appendFolded appends ASCII text, with line ends before blanks where a line
// would be too long. Unfolding gives s again.
func appendFolded[T string | []byte](dst []byte, s T) []byte {
	col := column(dst)
	for len(s) > 0 {
		n := wordEnd(s)
		if col+n > maxLine && s[0] == ' ' && s[n-1] != ' ' {
			dst, col = append(dst, "\r\n"...), 0
		}
		dst = append(dst, s[:n]...)
		col += n
		s = s[n:]
	}
	return dst
}

// wordEnd is the end of the first word of s, with the blanks before it.
func wordEnd[T string | []byte](s T) int {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	for i < len(s) && s[i] != ' ' {
		i++
	}
	return i
}

const (
	wordOpen  = "=?utf-8?q?"
	wordClose = "?="
	maxWord   = 75 // RFC 2047, section 2
)

// appendEncodedWords appends s as encoded words, none of which splits a
// character. Bytes that are no UTF-8 are kept.
func appendEncodedWords[T string | []byte](dst []byte, s T) []byte {
	room := 0 // columns left for the text of the open word
	for i := 0; i < len(s); {
		end, width := character(s, i)
		if room < width {
			dst, room = appendWordOpen(dst, i > 0)
		}
		room -= width
		for ; i < end; i++ {
			if c := s[i]; wordBytes[c] != 0 {
				dst = append(dst, wordBytes[c])
			} else {
				dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
			}
		}
	}
	return append(dst, wordClose...)
}

// character returns the end of the character at s[i:], and how wide it is when
// encoded.
func character[T string | []byte](s T, i int) (end, width int) {
	if wordBytes[s[i]] != 0 {
		return i + 1, 1
	}
	end = i + 1
	for s[i] >= utf8.RuneSelf && end < len(s) && end < i+utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end++
	}
	return end, 3 * (end - i)
}

// wordBytes gives, for the bytes that need no encoding in any encoded word (RFC
// 2047, section 5, rule 3), what stands for them.
var wordBytes = func() (table [256]byte) {
	for c := range table {
		if isAlnum(byte(c)) || strings.IndexByte("!*+-/", byte(c)) >= 0 {
			table[c] = byte(c)
		}
	}
	table[' '] = '_'
	return table
}()

// appendWordOpen begins a word, on a new line if another is open or there is
// little room, and returns the columns that are left for its text.
func appendWordOpen(dst []byte, open bool) ([]byte, int) {
	if open {
		dst = append(dst, wordClose...)
	}
	if open || maxLine-column(dst) < len(wordOpen)+12+len(wordClose) {
		dst = append(dst, "\r\n "...)
	}
	room := min(maxWord, maxLine-column(dst)) - len(wordOpen) - len(wordClose)
	return append(dst, wordOpen...), room
}

// appendAddress appends an address with its name.
func appendAddress(dst []byte, a mail.Address) []byte {
	if a.Name == "" {
		return appendAddrSpec(dst, a.Address)
	}
	dst = appendPhrase(dst, a.Name)
	if column(dst)+len(" <>")+len(a.Address) > maxLine {
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, " <"...)
	dst = appendAddrSpec(dst, a.Address)
	return append(dst, '>')
}

// appendAddresses appends a list of addresses, one a line.
func appendAddresses(dst []byte, list []mail.Address) []byte {
	for i, a := range list {
		if i > 0 {
			dst = append(dst, ",\r\n "...)
		}
		dst = appendAddress(dst, a)
	}
	return dst
}

// appendPhrase appends a display name (RFC 5322, section 3.2.5).
func appendPhrase(dst []byte, name string) []byte {
	switch {
	case needsEncoding(name):
		return appendEncodedWords(dst, name)
	case isAtoms(name):
		return appendFolded(dst, name)
	case len(name) > maxWord-len("Reply-To: "): // a quoted string is not folded
		return appendEncodedWords(dst, name)
	}
	dst = append(dst, '"')
	for i := range len(name) {
		if name[i] == '"' || name[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, name[i])
	}
	return append(dst, '"')
}

// isAtoms reports whether name is made of atoms with single spaces between.
func isAtoms(name string) bool {
	blank := true
	for i := range len(name) {
		if name[i] == ' ' && blank || name[i] != ' ' && !isAtext(name[i]) {
			return false
		}
		blank = name[i] == ' '
	}
	return !blank
}

func isAtext(c byte) bool {
	return isAlnum(c) || c >= utf8.RuneSelf || c > ' ' && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// appendAddrSpec appends an address that checkAddress accepted, its domain as
// A-labels.
func appendAddrSpec(dst []byte, addr string) []byte {
	at := strings.LastIndexByte(addr, '@')
	dst = append(dst, addr[:at+1]...)
	if isASCII(addr[at+1:]) {
		return append(dst, addr[at+1:]...)
	}
	domain, _ := idna.Lookup.ToASCII(addr[at+1:])
	return append(dst, domain...)
}

// checkAddress checks an addr-spec: a local part that is a dot-atom or a quoted
// string, UTF-8 allowed (RFC 6531, section 3.3), and a domain or an address
// literal. The error tells what is wrong with it.
func checkAddress(addr string) error {
	at := strings.LastIndexByte(addr, '@')
	switch {
	case at < 0:
		return fmt.Errorf("address %q has no @", addr)
	case !utf8.ValidString(addr):
		return fmt.Errorf("address %q is not UTF-8", addr)
	case at > 64 || !isLocalPart(addr[:at]): // RFC 5321, section 4.5.3.1.1
		return fmt.Errorf("address %q: what stands before the @ is malformed", addr)
	case !isMailDomain(addr[at+1:]):
		return fmt.Errorf("address %q: what follows the @ is no domain", addr)
	}
	return nil
}

func isLocalPart(s string) bool {
	if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return isQuoted(s[1 : len(s)-1])
	}
	dot := true
	for i := range len(s) {
		if s[i] == '.' && dot || s[i] != '.' && !isAtext(s[i]) {
			return false
		}
		dot = s[i] == '.'
	}
	return !dot
}

// isQuoted checks what stands between the quotes of a quoted string.
func isQuoted(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == '"' {
			return false
		}
		if i >= len(s) || s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func isMailDomain(s string) bool {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return strings.Trim(s[1:len(s)-1], "0123456789abcdefABCDEFIPv:.") == ""
	}
	if isASCII(s) {
		return isDomain(s)
	}
	domain, err := idna.Lookup.ToASCII(s)
	return err == nil && isDomain(domain)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// needsUTF8 reports whether an address can only travel by SMTPUTF8 (RFC 6531).
func needsUTF8(addr string) bool {
	return !isASCII(addr[:strings.LastIndexByte(addr, '@')+1])
}

// unfit reports whether no header field can carry s: it holds a control character,
// or is not UTF-8 (RFC 6532, section 3.2).
func unfit(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
