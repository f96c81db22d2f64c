package smtp

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The limits of RFC 5321, section 4.5.3.1, in octets. maxInput bounds what is
// looked at before a Unicode domain has become A-labels.
const (
	maxLocal   = 64
	maxDomain  = 253
	maxLabel   = 63
	maxAddress = 254
	maxInput   = 4 * maxAddress
)

// ParseAddress splits an addr-spec, such as ana@example.com, at its last at sign.
//
// It takes what an envelope takes (RFC 5321, section 4.1.2, with RFC 6531) and no
// more: no display name, comment, route, encoded word or white space. local is
// what the quotes of a quoted local part mean. domain is in lower case, in
// A-labels when it was in Unicode, or an address literal in brackets. An error
// wraps [ErrBadAddress] and names s.
func ParseAddress(s string) (local, domain string, err error) {
	if len(s) > maxInput {
		return "", "", badAddress(s[:maxLocal]+"…", "longer than 254 octets")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", "", badAddress(s, "no at sign")
	}
	local, fault := parseLocal(s[:at])
	if fault != "" {
		return "", "", badAddress(s, fault)
	}
	domain, fault = parseDomain(s[at+1:])
	if fault != "" {
		return "", "", badAddress(s, fault)
	}
	if len(formatLocal(local))+1+len(domain) > maxAddress {
		return "", "", badAddress(s, "longer than 254 octets")
	}
	return local, domain, nil
}

func badAddress(s, fault string) error {
	return fmt.Errorf("smtp: %w %q: %s", ErrBadAddress, s, fault)
}

// formatLocal is the local part as it goes on the wire: quoted where it must be.
func formatLocal(local string) string {
	if isDotString(local) {
		return local
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(local) {
		if local[i] == '"' || local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

func parseLocal(s string) (local, fault string) {
	switch {
	case s == "":
		return "", "empty local part"
	case len(s) > maxLocal:
		return "", "local part longer than 64 octets"
	case !utf8.ValidString(s):
		return "", "not UTF-8"
	case s[0] == '"':
		return unquoteLocal(s)
	case !isDotString(s):
		return "", "character or dot that a local part may hold only in quotes"
	}
	return s, ""
}

// isDotString reports whether s is dot-separated atoms (RFC 5321, section 4.1.2;
// RFC 6531, section 3.3).
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		if r != '.' && !isAtext(r) {
			return false
		}
	}
	return true
}

func isAtext(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	case r < utf8.RuneSelf:
		return strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
	}
	return isPlainUnicode(r)
}

// isPlainUnicode keeps out what is not ASCII and could end a line, hide, or turn
// the direction of text.
func isPlainUnicode(r rune) bool {
	return r != utf8.RuneError && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs)
}

func unquoteLocal(s string) (local, fault string) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", "quote that does not end"
	}
	var b strings.Builder
	escaped := false
	for _, r := range s[1 : len(s)-1] {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '"':
			return "", "quote inside the local part"
		case r < ' ' || r == 0x7f || r >= utf8.RuneSelf && !isPlainUnicode(r):
			return "", "control character"
		}
		escaped = false
		b.WriteRune(r)
	}
	if escaped {
		return "", "quote that does not end"
	}
	return b.String(), ""
}

func parseDomain(s string) (domain, fault string) {
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	if !isASCII(s) {
		var err error
		if s, err = idna.Lookup.ToASCII(s); err != nil {
			return "", "domain is not a valid internationalized name"
		}
	}
	s = strings.ToLower(s)
	if fault := checkHost(s); fault != "" {
		return "", fault
	}
	if strings.Contains(s, "_") {
		return "", "underscore in the domain"
	}
	return s, ""
}

// checkHost says what is wrong with a host name in lower case: labels of letters,
// digits, hyphens and underscores, of which the last is no number. Package idna
// does not promise any of it.
func checkHost(s string) (fault string) {
	if len(s) > maxDomain {
		return "domain longer than 253 octets"
	}
	label := ""
	for label = range strings.SplitSeq(s, ".") {
		if fault := checkLabel(label); fault != "" {
			return fault
		}
	}
	if isNumber(label) {
		return "domain that is an IP address without brackets, or ends in a number"
	}
	return ""
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func checkLabel(label string) (fault string) {
	switch {
	case label == "":
		return "empty label in the domain"
	case len(label) > maxLabel:
		return "label longer than 63 octets in the domain"
	case label[0] == '-' || label[len(label)-1] == '-':
		return "label that starts or ends with a hyphen in the domain"
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "character that a domain cannot hold"
		}
	}
	return ""
}

// parseLiteral takes an address literal (RFC 5321, section 4.1.3).
func parseLiteral(s string) (domain, fault string) {
	inner, closed := strings.CutSuffix(s[1:], "]")
	inner6, tagged := strings.CutPrefix(inner, "IPv6:")
	addr, err := netip.ParseAddr(inner6)
	if !closed || err != nil || addr.Zone() != "" || addr.Is6() != tagged {
		return "", "address literal that is neither [192.0.2.1] nor [IPv6:2001:db8::1]"
	}
	return literal(addr), ""
}

// literal is the address literal of an address (RFC 5321, section 4.1.3).
func literal(addr netip.Addr) string {
	if addr.Is4() {
		return "[" + addr.String() + "]"
	}
	return "[IPv6:" + addr.String() + "]"
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
