package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of one reply. RFC 5321, section 4.5.3.1.5, asks for lines of 512
// octets; some servers write longer ones.
const (
	maxReplyLine  = 2 << 10
	maxReplyLines = 128
	maxReplySize  = 64 << 10
)

// errProtocol is wrapped by every complaint about what a server says.
var errProtocol = errors.New("server breaks the protocol")

// rawReply is a reply as it was read. text holds its lines without their codes,
// joined by newlines, and is valid until the next one is read.
type rawReply struct {
	code int
	text []byte
}

func (r rawReply) positive() bool { return r.code/100 == 2 }

// replyReader reads replies within their limits.
type replyReader struct {
	*bufio.Reader
	joined []byte
}

func newReplyReader(r *bufio.Reader) *replyReader { return &replyReader{Reader: r} }

// next reads one reply (RFC 5321, section 4.2.1).
func (r *replyReader) next() (rawReply, error) {
	code, text, last, err := r.line()
	if err != nil || last {
		return rawReply{code, text}, err
	}
	r.joined = append(r.joined[:0], text...)
	for n := 1; !last; n++ {
		var c int
		if c, text, last, err = r.line(); err != nil {
			return rawReply{}, err
		}
		switch {
		case c != code:
			return rawReply{}, fmt.Errorf("%w: reply with both %d and %d", errProtocol, code, c)
		case n >= maxReplyLines, len(r.joined)+len(text) >= maxReplySize:
			return rawReply{}, fmt.Errorf("%w: reply longer than %d lines or %d octets", errProtocol, maxReplyLines, maxReplySize)
		}
		r.joined = append(append(r.joined, '\n'), text...)
	}
	return rawReply{code, r.joined}, nil
}

func (r *replyReader) line() (code int, text []byte, last bool, err error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxReplyLine {
		return 0, nil, false, fmt.Errorf("%w: reply line longer than %d octets", errProtocol, maxReplyLine)
	}
	if err != nil {
		return 0, nil, false, err
	}
	line = bytes.TrimRight(line, "\r\n")
	code, ok := replyCode(line)
	if !ok {
		return 0, nil, false, fmt.Errorf("%w: not a reply: %.60q", errProtocol, line)
	}
	if len(line) == 3 {
		return code, nil, true, nil
	}
	return code, line[4:], line[3] == ' ', nil
}

func replyCode(line []byte) (code int, ok bool) {
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false
		}
		code = code*10 + int(c-'0')
	}
	return code, 200 <= code && code <= 599
}

// reply makes the lasting form.
func (r rawReply) reply() Reply {
	reply := Reply{Code: r.code}
	text := plainText(r.text)
	reply.Enhanced, text = cutEnhanced(text)
	if !strings.Contains(text, "\n") {
		if text != "" {
			reply.Lines = []string{text}
		}
		return reply
	}
	reply.Lines = strings.Split(text, "\n")
	for i, line := range reply.Lines[1:] {
		// The code is repeated on every line (RFC 2034, section 4).
		if e, rest := cutEnhanced(line); e == reply.Enhanced && e != (EnhancedCode{}) {
			reply.Lines[i+1] = rest
		}
	}
	return reply
}

// plainText removes what could break a line of a log, colour a terminal or turn
// the direction of text.
func plainText(b []byte) string {
	if isPrintable(b) {
		return string(b)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == utf8.RuneError:
			return r
		case r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
}

func isPrintable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\n' {
			return false
		}
	}
	return true
}

// cutEnhanced takes the status code of RFC 3463 from the start of a reply's text.
func cutEnhanced(text string) (EnhancedCode, string) {
	var code EnhancedCode
	rest := text
	for i := range code {
		n := 0
		for n < len(rest) && n < 3 && '0' <= rest[n] && rest[n] <= '9' {
			code[i] = code[i]*10 + int(rest[n]-'0')
			n++
		}
		end := byte('.')
		if i == 2 {
			end = ' '
		}
		atEnd := i == 2 && (n == len(rest) || rest[n] == '\n')
		if n == 0 || !atEnd && (n == len(rest) || rest[n] != end) {
			return EnhancedCode{}, text
		}
		if atEnd {
			rest = rest[n:]
		} else {
			rest = rest[n+1:]
		}
	}
	if code[0] != 2 && code[0] != 4 && code[0] != 5 {
		return EnhancedCode{}, text
	}
	return code, rest
}

// queueID finds the server's name for the message in the text of its final reply.
func queueID(r Reply) string {
	for _, line := range r.Lines {
		for _, mark := range queueMarks {
			if _, after, ok := strings.Cut(line, mark); ok {
				return firstWord(after)
			}
		}
		// QUIRK: Sendmail and OpenSMTPD put it first.
		if before, _, ok := strings.Cut(line, " Message accepted for delivery"); ok {
			return firstWord(before)
		}
		// QUIRK: Gmail says "OK <seconds> <id> - gsmtp".
		if before, ok := strings.CutSuffix(line, " - gsmtp"); ok {
			return before[strings.LastIndexByte(before, ' ')+1:]
		}
		// QUIRK: Amazon SES says "Ok <id>".
		if after, ok := strings.CutPrefix(line, "Ok "); ok && !strings.Contains(after, " ") {
			return after
		}
	}
	return ""
}

// queueMarks precede the name in the replies of Postfix and many others, Exim,
// Exchange, qmail and Haraka.
var queueMarks = [...]string{"queued as ", " id=", "InternalId=", " qp ", "Message Queued ("}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " ,;)]>"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimRight(s, ".")
}
