package bounce

import (
	"maps"
	"slices"
	"strings"
)

// said is what the prose tells of a recipient: the reply, the words before it, which
// name the server and the command, and the address that the sender wrote.
type said struct{ reply, ahead, original string }

// say gives a recipient the reply of the prose, if that tells more than its own
// fields.
func (p *parser) say(r *Recipient, s said) {
	if codeStart(s.reply) != 0 && r.Reply.Text != "" {
		return
	}
	r.Reply.Text = s.reply
	if r.RemoteMTA == "" {
		r.RemoteMTA = hostIn(s.ahead)
	}
	if r.Reply.Command == AnyCommand {
		r.Reply.Command = commandIn(s.ahead)
	}
}

// replies finds what the prose tells of each address: the reply in the text behind
// it, or in a line that names it, or else that text itself.
func (p *parser) replies(list []candidate) map[string]said {
	all := make(map[string]said, len(list))
	for _, c := range list {
		key := foldAddress(c.address)
		if have, known := all[key]; known && codeStart(have.reply) == 0 {
			continue // the first reply stands
		}
		s := p.saidOf(c)
		if s.original == "" {
			s.original = all[key].original
		}
		if all[key].reply == "" || s.reply != "" && (codeStart(s.reply) == 0 || deferral(s.reply)) {
			all[key] = s
		}
	}
	return all
}

// saidOf is what the prose tells where it names an address.
func (p *parser) saidOf(c candidate) said {
	if c.certainty == named {
		return p.replyOn(c.line)
	}
	text := p.prose[c.start:min(c.end, c.start+maxProseLine)]
	original := expandedFrom(text)
	if reply, ahead := findReply(text); reply != "" {
		return said{reply, ahead, original}
	}
	return said{reply: p.excerpt(c, text), original: original}
}

// expandedFrom is the address that the text behind another says to have led to it:
// "(generated from a@b)" of Exim, "(expanded from <a@b>)" of Postfix and Sendmail.
func expandedFrom(text string) string {
	text = text[:min(len(text), maxExcerpt)]
	for {
		_, rest, found := strings.Cut(text, "(")
		if !found {
			return ""
		}
		text = rest
		if hasPrefixFold(rest, "generated from") || hasPrefixFold(rest, "expanded from") {
			_, rest, _ = strings.Cut(rest, " from")
			if f, ok := findAddress(rest, 0); ok && strings.Trim(rest[:f.start], ": ") == "" {
				return f.address
			}
		}
	}
}

// replyOn is the reply on the line that begins at. In a transcript the line before
// it can hold what the other side really said.
func (p *parser) replyOn(at int) said {
	if before := strings.TrimRight(p.prose[:at], "\n"); len(before) >= at-1 {
		last := before[strings.LastIndexByte(before, '\n')+1:]
		if reply, found := strings.CutPrefix(last, "<<< "); found && codeStart(reply) == 0 && reply[0] > '3' {
			return said{reply: reply, ahead: before[max(0, len(before)-len(last)-maxExcerpt) : len(before)-len(last)]}
		}
	}
	reply, ahead := findReply(p.prose[at:min(len(p.prose), at+2048)])
	if strings.IndexByte(ahead, '\n') >= 0 {
		line, _, _ := strings.Cut(p.prose[at:], "\n")
		_, reply, _ = strings.Cut(line, "... ")
		return said{reply: reply}
	}
	return said{reply: reply, ahead: p.prose[max(0, at-maxExcerpt):at] + ahead}
}

const maxExcerpt = 512

// deferral says that a transcript tells why a server has not delivered yet.
func deferral(text string) bool { return containsFold(text[:min(len(text), 32)], "deferred:") }

// excerpt is the text behind an address, or with it if the reason stands before
// it.
func (p *parser) excerpt(c candidate, text string) string {
	text = strings.TrimLeft(text, " \t\n:;,.>)\"'*-")
	if i := strings.Index(text, "\n\n\n"); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimSpace(text[:min(len(text), maxExcerpt)])
	for _, end := range afterwords {
		if i := indexFold(text, end); i > 0 {
			text = strings.TrimSpace(text[:i])
		}
	}
	before := strings.TrimSpace(p.prose[c.line:c.start])
	switch alone := strings.Trim(before, "<>\":*- ") == c.address; {
	case alone && text == "":
		if text = p.shared(c); text == "" {
			text = strings.TrimSpace(p.prose[max(0, c.line-maxExcerpt):c.line])
		}
	case !alone && !failures.in(text):
		text = before + " " + text
	}
	return strings.ToValidUTF8(text, "")
}

// afterwords follow a reason, and say what the server will do now.
var afterwords = [...]string{"i'm not going to try", "warning: message still undelivered"}

// shared is the reason below a list of addresses; empty if there is none, or a reply,
// which is of one of them.
func (p *parser) shared(c candidate) string {
	rest := strings.TrimLeft(p.prose[c.listEnd:min(len(p.prose), c.listEnd+maxExcerpt)], " \t\n<>\",;:")
	reason, _, _ := strings.Cut(rest, "\n\n")
	if codeStart(reason) >= 0 || !failures.in(reason) {
		return ""
	}
	return strings.TrimSpace(reason)
}

// orAny is s if it is a reply, else the first reply of the prose, if it has one.
func (p *parser) orAny(s said) said {
	if codeStart(s.reply) == 0 {
		return s
	}
	if reply, ahead := findReply(p.prose); reply != "" {
		return said{reply, ahead, s.original}
	}
	return s
}

// settle reads the reply of a recipient, and classifies it.
func (p *parser) settle(r *Recipient) {
	text, command := p.complete(r.Reply.Text), r.Reply.Command
	inner := innermost(text)
	r.Reply = readReply(inner)
	if r.Reply.Status == (Status{}) && len(inner) < len(text) {
		r.Reply.Status = readReply(text).Status
	}
	if r.Reply.Command == AnyCommand {
		r.Reply.Command = command
	}
	switch {
	case len(r.Reply.Text) > 100:
	case containsFold(r.Reply.Text, "service unavailable"):
		r.Reply.Text = p.mailerSaid(text) + r.Reply.Text
	case len(p.report.Recipients) == 1 && containsFold(r.Reply.Text, "user unknown"): // QUIRK: KDDI says so of every failure
		r.Reply.Text = p.limitedAccount() + r.Reply.Text
	}
	r.Reply.MX = r.RemoteMTA
	// The reply is nearer to the truth than what the reporting server made of it.
	if said := r.Reply.Status; r.Status == (Status{}) || !unspecific(said) {
		if said != (Status{}) {
			r.Status = said
		}
	}
	asked := r.Reply
	if asked.Status == (Status{}) {
		asked.Status = r.Status
	}
	switch r.Fate {
	case FateDelivered, FateRelayed, FateExpanded:
		r.Classification = Classification{Reason: Delivered, Confidence: ByStatus}
	default:
		r.Classification = Classify(asked)
	}
}

// readReply reads a reply, or a text that has no reply code.
func readReply(text string) Reply {
	if i := codeStart(text); i >= 0 {
		return ParseReply(text[i:])
	}
	if codeAt(text, 0) != 0 {
		return ParseReply(text)
	}
	status, rest := cutStatus(text)
	if status == (Status{}) {
		status = findStatus(rest)
	}
	return Reply{Status: status, Text: rest}
}

// complete is the whole of a reply of which a field holds the first line, and of
// one that only says that it took too long what came before.
func (p *parser) complete(text string) string {
	if len(text) > 4 && text[3] == '-' && strings.IndexByte(text, '\n') < 0 {
		if i := strings.Index(p.lead(), text); i >= 0 {
			return replyLines(p.prose[i:])
		}
	}
	if i := codeStart(text); i >= 0 && strings.HasPrefix(text[min(len(text), i+5):], ".4.7") {
		rest := p.lead()[strings.Index(p.lead(), text)+1:]
		for range 4 {
			reply, ahead := findReply(rest)
			if reply == "" {
				break
			}
			if len(reply) > 9 && reply[0] == '4' && reply[5:9] != ".4.7" {
				return reply
			}
			rest = rest[len(ahead)+len(reply):]
		}
	}
	return text
}

// limitedAccount is the sentence in which KDDI tells the reason, before a reply that
// says the same of every failure.
func (p *parser) limitedAccount() string {
	const phrase = "the user(s) account is "
	i := indexFold(p.lead(), phrase)
	if i < 0 {
		return ""
	}
	line, _, _ := strings.Cut(p.prose[i:], "\n")
	return line[:min(len(line), maxExcerpt)] + "\n"
}

// lead is the part of the prose that is searched for each recipient.
func (p *parser) lead() string { return p.prose[:min(len(p.prose), 16<<10)] }

// mailerSaid is the line before a reply of the prose, if a mailer wrote it: Sendmail
// itself says of every failure of one that the service is unavailable.
func (p *parser) mailerSaid(reply string) string {
	i := strings.Index(p.lead(), reply)
	if i <= 0 || p.prose[i-1] != '\n' {
		return ""
	}
	before := strings.TrimRight(p.prose[:i], "\n")
	line := before[strings.LastIndexByte(before, '\n')+1:]
	if line == "" || strings.IndexByte("-<>. ", line[0]) >= 0 || len(line) > maxExcerpt {
		return ""
	}
	return line + "\n"
}

// innermost is the reply within a reply: gateways quote in their own answer what
// they were told: "554 4.4.7 Message expired <421 4.4.2 Connection timed out>".
func innermost(text string) string {
	for i := len(text) - 4; i > 0; i-- {
		if (text[i] != '4' && text[i] != '5') || codeAt(text, i) == 0 {
			continue
		}
		switch rest := text[i+3:]; {
		case text[i-1] == '<' && rest[0] == ' ' && statusLen(rest[1:]) > 0:
			return strings.TrimRight(text[i:], ">")
		case strings.HasPrefix(rest, "-'") && text[i-1] == ' ':
			return text[i:i+4] + rest[2:]
		case strings.HasSuffix(text[:i], "... "):
			return text[i:]
		case text[0] == '2' && text[i-1] == ' ' && codeAt(text, 0) != 0 && statusLen(rest[1:]) > 0:
			return text[i:]
		}
	}
	return text
}

// hostIn is the server that the words before a reply name.
func hostIn(ahead string) string {
	ahead = ahead[max(0, len(ahead)-512):]
	for end := len(ahead); end > 0; {
		lead, at := hostWords.last(ahead[:end])
		if at < 0 {
			break
		}
		name := ahead[at:]
		if j := strings.IndexAny(name, " \t\n[(<>,:"); j >= 0 {
			name = name[:j]
		}
		if name = strings.TrimRight(name, "."); strings.IndexByte(name, '.') > 0 {
			return name
		}
		end = at - len(lead)
	}
	return ""
}

// hostWords stand before the name of a server.
var hostWords = newWordlist("host ", "talking to ", "server <", "server ", "host: ", "connected to ")

// commandWords tell the command that a reply answers, in the words of the agents.
var commandWords = map[string]Command{
	"after rcpt to":                   Rcpt,
	"after mail from":                 Mail,
	"after end of data":               EndOfData,
	"end of data":                     EndOfData,
	"after initial connection":        Connect,
	"initial connection":              Connect,
	"after helo":                      Hello,
	"after ehlo":                      Hello,
	"after data":                      Data,
	"our rcpt to":                     Rcpt,
	"our mail from":                   Mail,
	"our final data":                  EndOfData,
	"our data":                        Data,
	"does not like recipient":         Rcpt,
	"sender was rejected":             Mail,
	"failed after i sent the message": EndOfData,
	"for text command":                EndOfData,
	"for rcpt command":                Rcpt,
	"for mail command":                Mail,
	"after rcpt command":              Rcpt,
	"following rcpt command":          Rcpt,
	"smtp:rcpt":                       Rcpt,
	">>> rcpt":                        Rcpt,
	">>> mail":                        Mail,
	">>> data":                        EndOfData,
	"sent <<< rcpt":                   Rcpt,
	"sent <<< mail":                   Mail,
}

var commandPhrases = newWordlist(slices.Sorted(maps.Keys(commandWords))...)

// commandIn is the command that the words before a reply name last.
func commandIn(ahead string) Command {
	ahead = ahead[max(0, len(ahead)-512):]
	if i := strings.LastIndexByte(ahead, '\n'); i > 0 {
		if i = strings.LastIndexByte(ahead[:i], '\n'); i > 0 {
			ahead = ahead[strings.LastIndexByte(ahead[:i], '\n')+1:]
		}
	}
	phrase, _ := commandPhrases.last(ahead)
	return commandWords[phrase]
}
