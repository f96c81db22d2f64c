package bounce

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseReply reads a reply as it stands in a log, a Diagnostic-Code field or the
// text of a returned mail: "550-5.1.1 a\r\n550 5.1.1 b", "smtp; 550 5.1.1 a",
// "host mx.example.com[192.0.2.1] said: 550 5.1.1 a (in reply to RCPT TO
// command)". It reads any text: what it does not find stays zero. The MX is not
// in it; the caller sets that.
func ParseReply(line string) Reply {
	line = strings.TrimSpace(line)
	line, command := cutCommand(line)
	start, code := findCode(line)
	r := Reply{Code: code, Command: command}
	if code == 0 {
		r.Status, r.Text = cutStatus(trimType(line))
	} else {
		r.Status, r.Text = joinLines(line[start:], strconv.Itoa(code))
	}
	if r.Status == (Status{}) {
		r.Status = findStatus(r.Text)
	}
	return r
}

// temporary reports whether the server's own word is to try again.
func (r Reply) temporary() bool {
	if r.Code != 0 {
		return r.Code/100 == 4
	}
	return r.Status[0] == 4
}

// trimType drops the type that a Diagnostic-Code begins with: "smtp; ".
func trimType(s string) string {
	kind, rest, ok := strings.Cut(s, ";")
	if ok && !strings.EqualFold(kind, "x-unix") && // an exit code follows
		len(kind) <= 16 && !strings.ContainsAny(strings.TrimSpace(kind), " \t.:<") {
		return strings.TrimSpace(rest)
	}
	return s
}

// cutCommand takes the remark of Postfix about the command off the end.
func cutCommand(s string) (string, Command) {
	i := strings.LastIndex(s, "(in reply to ")
	if i < 0 {
		if strings.Contains(s, "refused to talk to me") {
			return s, Connect
		}
		return s, AnyCommand
	}
	what := s[i+len("(in reply to "):]
	for _, c := range replyTo {
		if strings.HasPrefix(what, c.text) {
			return strings.TrimSpace(s[:i]), c.command
		}
	}
	return s, AnyCommand
}

var replyTo = []struct {
	text    string
	command Command
}{
	{"MAIL", Mail},
	{"RCPT", Rcpt},
	{"end of DATA", EndOfData},
	{"DATA", Data},
	{"BDAT", EndOfData},
	{"HELO", Hello},
	{"EHLO", Hello},
	{"LHLO", Hello},
	{"STARTTLS", StartTLS},
	{"AUTH", Auth},
	{"initial server greeting", Connect},
}

// findCode finds the reply code and where it stands: at the start, or after the
// last words with which an MTA introduces what the other side said.
func findCode(s string) (start, code int) {
	start = len(s) - len(strings.TrimLeft(trimType(s), " \t\r\n:#\"'<"))
	if quoted := afterSaid(s); quoted > start {
		if c := codeAt(s, quoted); c != 0 {
			return quoted, c
		}
	}
	first := codeAt(s, start)
	if first >= 300 {
		return start, first
	}
	for i := start + 1; i+3 <= len(s); i++ {
		if i > 0 && !strings.ContainsRune(" \t\n:;<(\"#", rune(s[i-1])) {
			continue
		}
		if c := codeAt(s, i); c != 0 && (statusLen(s[skipSpace(s, i+3):]) > 0 || afterColon(s, i)) {
			return i, c
		}
	}
	return start, first
}

// afterSaid is where the reply begins that "said: " or the like introduces.
func afterSaid(s string) int {
	for _, intro := range []string{" said: ", " said:\n", "Unknown address error ", "responded: ", "response was: ", "responded with: ", "SMTP; ", "smtp; ", "SMTP;", "smtp;"} {
		if i := strings.LastIndex(s, intro); i >= 0 {
			return skipSpace(s, i+len(intro))
		}
	}
	return 0
}

func afterColon(s string, i int) bool {
	return strings.HasSuffix(strings.TrimRight(s[:i], " \t\n"), ":") ||
		strings.HasSuffix(s[:i], "#") || i > 0 && s[i-1] == '\n'
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '-' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// codeAt is the reply code that stands at s[i:], and 0 if none does.
func codeAt(s string, i int) int {
	if i+3 > len(s) || s[i] < '2' || s[i] > '5' || !isDigit(s[i+1]) || !isDigit(s[i+2]) {
		return 0
	}
	if i+3 < len(s) && !strings.ContainsRune(" \t-\r\n:;,\"", rune(s[i+3])) {
		return 0
	}
	return int(s[i]-'0')*100 + int(s[i+1]-'0')*10 + int(s[i+2]-'0')
}

// joinLines drops the code and the status before each line.
func joinLines(s, code string) (status Status, text string) {
	if !strings.ContainsAny(s, "\r\n") {
		return cutStatus(trimCode(trimCode(s, code), code))
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		st, line := cutStatus(trimCode(strings.TrimSpace(line), code))
		if status == (Status{}) {
			status = st
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return status, b.String()
}

func trimCode(s, code string) string {
	rest, ok := strings.CutPrefix(s, code)
	if !ok || rest != "" && isDigit(rest[0]) {
		return s
	}
	return strings.TrimLeft(rest, " \t-:")
}

// String is the form of RFC 3463, such as "5.1.1"; empty for the zero value.
func (s Status) String() string {
	if s == (Status{}) {
		return ""
	}
	b := strconv.AppendUint(nil, uint64(s[0]), 10)
	for _, n := range s[1:] {
		b = strconv.AppendUint(append(b, '.'), uint64(n), 10)
	}
	return string(b)
}

// MarshalText writes the form of String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the form of String.
func (s *Status) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Status{}
		return nil
	}
	if statusLen(string(text)) != len(text) {
		return fmt.Errorf("bounce: status %q is not of the form 5.1.1", text)
	}
	*s = parseStatus(string(text))
	return nil
}

// ParseStatus reads the enhanced status code that s begins with, as a Status field
// does; what follows it, such as a comment, is ignored.
func ParseStatus(s string) (Status, bool) {
	s = strings.TrimSpace(s)
	n := statusLen(s)
	if n == 0 {
		return Status{}, false
	}
	return parseStatus(s[:n]), true
}

// statusLen is the length of the enhanced status code that s begins with.
func statusLen(s string) int {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return 0
	}
	i := 1
	for range 2 {
		if i >= len(s) || s[i] != '.' {
			return 0
		}
		i++
		start := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		if i == start || i > start+3 {
			return 0
		}
	}
	if i < len(s) && (s[i] == '.' && i+1 < len(s) && isDigit(s[i+1]) || isLetter(s[i])) {
		return 0 // an IP address or a version
	}
	return i
}

func parseStatus(s string) (status Status) {
	i := 0
	for _, c := range []byte(s) {
		if c == '.' {
			i++
			continue
		}
		status[i] = status[i]*10 + uint16(c-'0')
	}
	return status
}

// cutStatus takes the enhanced status code off the start, "#5.1.1" and "(#5.1.1)"
// included.
func cutStatus(s string) (Status, string) {
	t := strings.TrimLeft(s, " \t(#'")
	n := statusLen(t)
	if n == 0 {
		return Status{}, strings.TrimSpace(s)
	}
	return parseStatus(t[:n]), strings.TrimLeft(t[n:], " \t):-,")
}

// findStatus finds an enhanced status code within a text. Part of an IP address,
// a version or a URL is none.
func findStatus(s string) Status {
	for i := range len(s) {
		if i > 0 && !strings.ContainsRune(" \t\n(#[<:;", rune(s[i-1])) {
			continue
		}
		if n := statusLen(s[i:]); n > 0 {
			return parseStatus(s[i : i+n])
		}
	}
	return Status{}
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

var commandNames = [...]string{"any", "connect", "hello", "starttls", "auth", "mail", "rcpt", "data", "end-of-data"}

// String is the stable name, such as "rcpt"; "any" for [AnyCommand].
func (c Command) String() string { return name(commandNames[:], int(c), "command") }

// ParseCommand reads the form of String.
func ParseCommand(s string) (Command, error) {
	i, err := index(commandNames[:], s, "command")
	return Command(i), err
}

// MarshalText writes the form of String.
func (c Command) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the form of String.
func (c *Command) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCommand(string(text))
	return err
}

var confidenceNames = [...]string{"nothing", "code", "status", "phrase", "tag"}

// String is "nothing", "code", "status", "phrase" or "tag".
func (c Confidence) String() string { return name(confidenceNames[:], int(c), "confidence") }

// MarshalText writes the form of String.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the form of String.
func (c *Confidence) UnmarshalText(text []byte) error {
	i, err := index(confidenceNames[:], string(text), "confidence")
	*c = Confidence(i)
	return err
}
