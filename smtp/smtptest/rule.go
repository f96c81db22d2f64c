package smtptest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/internal/glob"
)

// Command is a step of the conversation that a [Rule] can answer.
type Command string

// The steps, in the order in which they occur. The last three may come at any time.
const (
	Connect  Command = "CONNECT"  // the greeting
	Hello    Command = "EHLO"     // also HELO and LHLO
	StartTLS Command = "STARTTLS" // before the handshake
	Auth     Command = "AUTH"
	Mail     Command = "MAIL"
	Rcpt     Command = "RCPT"
	Data     Command = "DATA" // the answer to the command, not sent for BDAT
	Body     Command = "BODY" // while the message arrives; Hang and Drop only
	End      Command = "END"  // the answer after the last octet of the message, also for BDAT
	Noop     Command = "NOOP"
	Reset    Command = "RSET"
	Quit     Command = "QUIT"
)

// Action is what a [Rule] does.
type Action string

const (
	// Answer sends the rule's reply, or the ordinary one if it has none.
	Answer Action = ""
	// Hang never answers. The connection stays open, unread, until one side
	// closes it.
	Hang Action = "hang"
	// Drop closes the connection instead of answering.
	Drop Action = "drop"
	// Garble sends octets that are no reply: the rule's Reply as it stands, or
	// noise if it has none.
	Garble Action = "garble"
)

// Rule is one scripted answer. It holds for the step On, and where From or To
// are given only for envelopes that match. The first rule that matches answers;
// where none does, the server behaves.
//
// A message counts as accepted, and is recorded, if the reply to its end is
// positive, whether or not that reply is ever sent: {On: End, Do: Drop} is a
// server that stores a message and dies before it says so.
type Rule struct {
	// On is the step. Empty means Rcpt.
	On Command
	// From and To are patterns of the reverse-path and of the recipient, in which
	// "*" stands for any run of characters and "?" for one. Case does not count.
	// Empty matches any. From goes with the steps from Mail to End, To with Rcpt and
	// End; at End it matches a message if one of its recipients matches, and with
	// LMTP answers for that recipient alone.
	From, To string
	// Times is how often the rule answers: for each recipient if On is Rcpt or
	// End, and else in all. Then the next rules have their turn. Zero is without
	// end. A server that greylists is Rule{Times: 1, Reply: "451 4.7.1 Later"}.
	Times int
	// Delay is the time before the answer.
	Delay time.Duration
	// Reply is code, enhanced status code if any, and text; a newline in the text
	// makes a reply of several lines. A reply of class 4 or 5 refuses the command.
	// After a reply with code 421 the server closes the connection.
	Reply string
	// Do is what happens. The zero value answers.
	Do Action
}

// reply is a parsed Rule.Reply.
type reply struct {
	code     int
	enhanced gosmtp.EnhancedCode
	text     string // without the enhanced code
	wire     []byte // as sent
}

func parseReply(s string) (reply, error) {
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 200 || n > 599 || len(code) != 3 {
		return reply{}, fmt.Errorf("reply %q does not begin with a code from 200 to 599", s)
	}
	if strings.Contains(text, "\r") {
		return reply{}, fmt.Errorf("reply %q holds a CR: separate lines by \\n alone", s)
	}
	r := reply{code: n, enhanced: gosmtp.NoEnhancedCode, text: text}
	if first, rest, _ := strings.Cut(text, " "); isEnhanced(first) {
		fmt.Sscanf(first, "%d.%d.%d", &r.enhanced[0], &r.enhanced[1], &r.enhanced[2])
		r.text = rest
	}
	r.wire = replyLines(code, strings.Split(text, "\n"))
	return r, nil
}

// replyLines is a reply as sent (RFC 5321, section 4.2.1).
func replyLines(code string, lines []string) []byte {
	var wire []byte
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		wire = append(wire, code+separator+line+"\r\n"...)
	}
	return wire
}

func isEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 16); err != nil {
			return false
		}
	}
	return len(parts) == 3
}

// error is the reply as go-smtp wants it.
func (r reply) error() error {
	return &gosmtp.SMTPError{Code: r.code, EnhancedCode: r.enhanced, Message: r.text}
}

// smtpReply is the reply as the client's package has it.
func (r reply) smtpReply() smtp.Reply {
	s := smtp.Reply{Code: r.code, Lines: strings.Split(r.text, "\n")}
	if r.enhanced != gosmtp.NoEnhancedCode {
		s.Enhanced = smtp.EnhancedCode(r.enhanced)
	}
	return s
}

// script is the rules of a server and how often each has answered. The server's
// mutex guards it.
type script struct {
	rules   []Rule
	replies []reply
	counts  []map[string]int
}

func newScript(rules []Rule) (*script, error) {
	s := &script{
		rules:   make([]Rule, len(rules)),
		replies: make([]reply, len(rules)),
		counts:  make([]map[string]int, len(rules)),
	}
	var errs []error
	for i, rule := range rules {
		if rule.On == "" {
			rule.On = Rcpt
		}
		var err error
		if s.replies[i], err = rule.check(); err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", i, err))
		}
		s.rules[i], s.counts[i] = rule, map[string]int{}
	}
	return s, errors.Join(errs...)
}

// commands are the steps, and whether a rule for them may look at the sender and
// at a recipient.
var commands = map[Command]struct{ from, to bool }{
	Connect: {}, Hello: {}, StartTLS: {}, Auth: {}, Noop: {}, Reset: {}, Quit: {},
	Mail: {from: true}, Data: {from: true}, Body: {from: true},
	Rcpt: {from: true, to: true}, End: {from: true, to: true},
}

func (r Rule) check() (reply, error) {
	may, known := commands[r.On]
	switch {
	case !known:
		return reply{}, fmt.Errorf("unknown command %q", r.On)
	case r.From != "" && !may.from:
		return reply{}, fmt.Errorf("From %q has no meaning on %s", r.From, r.On)
	case r.To != "" && !may.to:
		return reply{}, fmt.Errorf("To %q has no meaning on %s: it goes with Rcpt or End", r.To, r.On)
	case r.Times < 0 || r.Delay < 0:
		return reply{}, fmt.Errorf("negative Times %d or Delay %s", r.Times, r.Delay)
	case !slices.Contains([]Action{Answer, Hang, Drop, Garble}, r.Do):
		return reply{}, fmt.Errorf("unknown action %q", r.Do)
	case r.On == Body && r.Do != Hang && r.Do != Drop:
		return reply{}, errors.New("on Body the server can only hang or drop: to answer, use End")
	case r.Reply == "" || r.Do == Garble:
		return reply{}, nil
	}
	return parseReply(r.Reply)
}

// answer is what a rule said to one command.
type answer struct {
	Rule
	reply
}

// refuses reports whether the reply is negative, sent or not.
func (a *answer) refuses() bool { return a != nil && a.code >= 400 }

// skips reports whether the command has no effect.
func (a *answer) skips() bool { return a != nil && (a.code >= 400 || a.Do != Answer) }

// match finds the rule for a command and counts it as used.
func (s *script) match(on Command, from string, to ...string) *answer {
	for i, rule := range s.rules {
		if rule.On != on || rule.From != "" && !glob.Match(rule.From, from) {
			continue
		}
		if key, ok := s.due(i, to); ok {
			if rule.Times > 0 {
				s.counts[i][key]++
			}
			return &answer{rule, s.replies[i]}
		}
	}
	return nil
}

// due says whether rule i has something left to say to any of the recipients,
// and to which.
func (s *script) due(i int, to []string) (key string, ok bool) {
	rule := s.rules[i]
	if len(to) == 0 {
		return "", rule.To == "" && s.left(i, "")
	}
	for _, addr := range to {
		if (rule.To == "" || glob.Match(rule.To, addr)) && s.left(i, strings.ToLower(addr)) {
			return strings.ToLower(addr), true
		}
	}
	return "", false
}

func (s *script) left(i int, key string) bool {
	return s.rules[i].Times == 0 || s.counts[i][key] < s.rules[i].Times
}
