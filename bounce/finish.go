package bounce

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// add adds a recipient to the report.
func (p *parser) add() *Recipient {
	r := p.report
	if len(r.Recipients) >= maxRecipients {
		p.problems.add(0, "more than %d recipients", maxRecipients)
		return &Recipient{}
	}
	r.Recipients = append(r.Recipients, Recipient{})
	return &r.Recipients[len(r.Recipients)-1]
}

// finish settles the recipients of the kind that was decided.
func (p *parser) finish() {
	r := p.report
	r.Text = cutText(p.prose)
	switch r.Kind {
	case KindBounce, KindDelay, KindSuccess:
		p.finishDelivery()
	case KindComplaint:
		p.finishFeedback()
	case KindAutoReply:
		p.finishAutoReply(AutoReply)
	case KindChallenge:
		p.finishAutoReply(Challenge)
	case KindDisposition:
		p.finishDisposition()
	}
}

const maxReportText = 4 << 10

func cutText(s string) string {
	if len(s) <= maxReportText {
		return s
	}
	return strings.ToValidUTF8(s[:maxReportText], "")
}

// finishDelivery fills in what the fields leave open from the prose.
func (p *parser) finishDelivery() {
	r := p.report
	if containsFold(p.prose, "-recipient:") && len(r.Recipients) == 0 { // QUIRK: fields within the text
		p.readEmbeddedStatus()
	}
	p.dropNameless()
	if len(r.Recipients) == 0 && p.readNested() {
		return
	}
	switch {
	case len(r.Recipients) == 0:
		p.addFromProse(candidates(p.prose))
	case p.needsProse():
		p.enrich(candidates(p.prose))
	}
	for i := range r.Recipients {
		p.settle(&r.Recipients[i])
	}
}

// readNested takes over a report that is itself returned: lists and gateways pass
// reports on within their own.
func (p *parser) readNested() bool {
	if p.nesting >= maxNesting || !containsFold(p.returned[:min(len(p.returned), maxHeaderLine)], "delivery-status") {
		return false
	}
	inner := parser{report: &Report{}, nesting: p.nesting + 1}
	inner.parse(p.returned)
	r := p.report
	switch inner.report.Kind {
	case KindBounce, KindDelay, KindSuccess:
		if len(inner.report.Recipients) == 0 {
			return false
		}
		r.Kind, r.Recipients, r.Original = inner.report.Kind, inner.report.Recipients, inner.report.Original
		r.ReportingMTA, r.EnvelopeID, r.Arrival = inner.report.ReportingMTA, inner.report.EnvelopeID, inner.report.Arrival
		return true
	}
	return false
}

// readEmbeddedStatus reads the fields of a delivery status that stand in the text.
func (p *parser) readEmbeddedStatus() {
	at := len(p.prose)
	for _, name := range [...]string{"reporting-mta:", "final-recipient:", "original-recipient:", "action:"} {
		if i := indexFold(p.prose, name); i >= 0 && (i == 0 || p.prose[i-1] == '\n') {
			at = min(at, i)
		}
	}
	fields := p.prose[at:]
	p.prose = p.prose[:at]
	p.readStatus(fields)
}

// dropNameless removes recipients of the fields that have no address, unless the
// only one can be named.
func (p *parser) dropNameless() {
	r := p.report
	kept := r.Recipients[:0]
	for _, one := range r.Recipients {
		if strings.IndexByte(one.Final, '@') < 0 && strings.IndexByte(one.Original, '@') >= 0 {
			one.Final = one.Original
		}
		if one.Final == "" && len(r.Recipients) == 1 {
			one.Final = p.onlyRecipient()
		}
		if strings.EqualFold(one.Original, one.Final) {
			one.Original = ""
		}
		if one.Final != "" {
			kept = append(kept, one)
		}
	}
	if len(kept) < len(r.Recipients) {
		p.problems.add(0, "%d recipients without an address", len(r.Recipients)-len(kept))
	}
	r.Recipients = kept
}

func (p *parser) onlyRecipient() string {
	if len(p.failed) == 1 {
		return p.failed[0]
	}
	if list := p.best(candidates(p.prose)); len(list) == 1 {
		return list[0].address
	}
	return p.returnedRecipient()
}

// needsProse says whether a recipient's fields leave its reason open.
func (p *parser) needsProse() bool {
	for i := range p.report.Recipients {
		if vague(&p.report.Recipients[i]) {
			return true
		}
	}
	return false
}

// vague says that neither the status nor the diagnostic gives a reason.
func vague(r *Recipient) bool {
	return r.Fate != FateDelivered && r.Fate != FateRelayed && r.Fate != FateExpanded && codeStart(r.Reply.Text) < 0 &&
		(unspecific(r.Status) || strings.TrimSpace(r.Reply.Text) == "")
}

// unspecific says that a status tells no more than its class.
func unspecific(s Status) bool { return s[1] == 0 && s[2] == 0 }

// enrich gives vague recipients the reply that the prose tells of them.
func (p *parser) enrich(list []candidate) {
	said := p.replies(list)
	for i := range p.report.Recipients {
		r := &p.report.Recipients[i]
		if !vague(r) {
			continue
		}
		text, ok := said[foldAddress(r.Final)]
		if !ok && r.Original != "" {
			text = said[foldAddress(r.Original)]
		}
		if len(p.report.Recipients) == 1 {
			text = p.orAny(text)
		}
		if text.reply == "" && unspecific(r.Status) {
			text.reply = strings.TrimSpace(cutText(p.prose))
		}
		if text.reply != "" && (unspecific(r.Status) || codeStart(text.reply) == 0 || failures.in(text.reply) && len(text.reply) < maxExcerpt) {
			p.say(r, text)
		}
	}
}

// said is what the prose tells of a recipient: the reply, and the words before it,
// which name the server and the command.
type said struct{ reply, ahead string }

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

// best are the candidates that words name: by the more certain words, if there are
// any. The side that sent the original is no recipient, unless there is no other.
func (p *parser) best(list []candidate) []candidate {
	for _, certainty := range [...]int{listed, cued, named} {
		if kept := p.choose(list, certainty, false); len(kept) > 0 {
			return kept
		}
	}
	return p.choose(list, cued, true)
}

// choose takes the candidates of at least this certainty, each address once.
func (p *parser) choose(list []candidate, certainty int, senders bool) []candidate {
	var kept []candidate
	seen := make(map[string]bool, len(list))
	for _, c := range list {
		key := foldAddress(c.address)
		if c.certainty < certainty || seen[key] || !senders && c.certainty < listed && p.isSender(c.address) {
			continue
		}
		seen[key] = true
		kept = append(kept, c)
	}
	return kept
}

// isSender says whether an address is of the side that sent the original.
func (p *parser) isSender(address string) bool {
	o := &p.report.Original
	if strings.EqualFold(address, o.From) || strings.EqualFold(address, o.ReturnPath) || strings.EqualFold(address, p.report.From) {
		return true
	}
	for _, to := range p.report.To {
		if strings.EqualFold(address, to) {
			return true
		}
	}
	return false
}

func foldAddress(a string) string { return strings.ToLower(a) }

// addFromProse adds the recipients of a report that has no fields.
func (p *parser) addFromProse(list []candidate) {
	replies := p.replies(list)
	if len(p.failed) > 0 {
		for _, a := range p.failed {
			p.addSaid(a, replies)
		}
		return
	}
	for _, c := range p.best(list) {
		p.addSaid(c.address, replies)
	}
	if len(p.report.Recipients) == 0 {
		for _, a := range p.fallback() {
			p.addSaid(a, replies)
		}
	}
}

// fallback names the recipients where the prose has no address of one.
func (p *parser) fallback() []string {
	listed := names(p.prose)
	var all []string
	for _, to := range p.report.Original.To {
		local, _, _ := strings.Cut(to, "@")
		for _, name := range listed {
			if strings.EqualFold(name, local) {
				all = append(all, to)
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, a := range [...]string{p.returnedRecipient(), firstAddress(p.report.Subject)} {
		if a != "" {
			return []string{a}
		}
	}
	if a := p.verpRecipient(); a != "" && len(listed) == 0 {
		return []string{a}
	}
	_, host, _ := strings.Cut(p.report.From, "@")
	domain, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(host))
	if err != nil {
		return nil
	}
	for _, name := range listed {
		all = append(all, name+"@"+domain)
	}
	return all
}

// verpRecipient is the recipient that a variable envelope return path of the usual
// form holds: "list-bounces+ana=example.net@example.com".
func (p *parser) verpRecipient() string {
	for _, to := range p.report.To {
		local, _, _ := strings.Cut(to, "@")
		mark := strings.LastIndexAny(local, "+-")
		name, domain, found := strings.Cut(local[mark+1:], "=")
		if found && mark > 0 && name != "" && strings.IndexByte(domain, '.') > 0 {
			return name + "@" + domain
		}
	}
	return ""
}

// addSaid adds a recipient, and what the prose says of it.
func (p *parser) addSaid(address string, replies map[string]said) {
	r := p.add()
	r.Final = address
	switch {
	case p.report.Kind == KindDelay:
		r.Fate = FateDelayed
	case p.report.Kind == KindSuccess:
		r.Fate = FateDelivered
	default:
		r.Fate = FateFailed
	}
	text := replies[foldAddress(address)]
	if text.reply == "" || len(replies) < 2 {
		text = p.orAny(text)
	}
	if text.reply == "" { // then all of it has to tell the reason
		text.reply = strings.TrimSpace(cutText(p.prose))
	}
	r.Reply.Text = text.reply
	r.RemoteMTA = hostIn(text.ahead)
	r.Reply.Command = commandIn(text.ahead)
}

// replies finds what the prose tells of each address: the reply in the text behind
// it, or in a line that names it, or else that text itself.
func (p *parser) replies(list []candidate) map[string]said {
	all := make(map[string]said, len(list))
	for _, c := range list {
		key := foldAddress(c.address)
		if have, ok := all[key]; ok && codeStart(have.reply) == 0 {
			continue
		}
		var s said
		if c.certainty == named {
			s = p.replyOn(c.line)
		} else {
			text := p.prose[c.start:min(c.end, c.start+maxProseLine)]
			s.reply, s.ahead = findReply(text)
			if s.reply == "" {
				s.reply, s.ahead = p.excerpt(c, text), ""
			}
		}
		if have, ok := all[key]; ok && (s.reply == "" || have.reply != "" && codeStart(s.reply) != 0 && !deferral(s.reply)) {
			continue
		}
		all[key] = s
	}
	return all
}

// replyOn is the reply on the line that begins at. In a transcript the line before
// it can hold what the other side really said.
func (p *parser) replyOn(at int) said {
	if before := strings.TrimRight(p.prose[:at], "\n"); len(before) >= at-1 {
		last := before[strings.LastIndexByte(before, '\n')+1:]
		if reply, found := strings.CutPrefix(last, "<<< "); found && codeStart(reply) == 0 && reply[0] > '3' {
			return said{reply, before[max(0, len(before)-len(last)-maxExcerpt) : len(before)-len(last)]}
		}
	}
	reply, ahead := findReply(p.prose[at:min(len(p.prose), at+2048)])
	if strings.IndexByte(ahead, '\n') >= 0 {
		line, _, _ := strings.Cut(p.prose[at:], "\n")
		_, reply, _ = strings.Cut(line, "... ")
		return said{reply: reply}
	}
	return said{reply, p.prose[max(0, at-maxExcerpt):at] + ahead}
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
	if i := indexFold(text, "i'm not going to try"); i > 0 {
		text = strings.TrimSpace(text[:i])
	}
	before := strings.TrimSpace(p.prose[c.line:c.start])
	switch alone := strings.Trim(before, "<>\":*- ") == c.address; {
	case alone && text == "":
		text = strings.TrimSpace(p.prose[max(0, c.line-maxExcerpt):c.line])
	case !alone && !failures.in(text):
		text = before + " " + text
	}
	return strings.ToValidUTF8(text, "")
}

// orAny is s if it is a reply, else the first reply of the prose, if it has one.
func (p *parser) orAny(s said) said {
	if codeStart(s.reply) == 0 {
		return s
	}
	if reply, ahead := findReply(p.prose); reply != "" {
		return said{reply, ahead}
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

// finishAutoReply names the author of an automatic reply.
func (p *parser) finishAutoReply(reason Reason) {
	if p.report.From == "" {
		return
	}
	if reason == AutoReply && (gone.in(p.prose) || gone.in(p.report.Subject)) {
		p.addReasoned(p.report.From, MailboxDisabled)
		r := &p.report.Recipients[0]
		r.Verdict, r.Confidence = Soft, ByPhrase
		return
	}
	p.addReasoned(p.report.From, reason)
}

// gone are sentences by which an automatic reply says that a mailbox has no reader
// any more. It is evidence, but the mail was delivered.
var gone = newWordlist(
	"no longer in use", "no longer works", "no longer work", "no longer with", "no longer employed", "no longer monitored", "no longer active", "no longer valid", "no longer used", "no longer in service",
	"is not monitored", "has left the company", "have left the company", "left the organization", "mailbox is closed", "account is closed", "account has been closed", "will be discontinued",
	"ya no trabaja", "ya no está en uso", "ya no se utiliza", "dejó la empresa", "cuenta inactiva", "nicht mehr aktiv", "nicht mehr im unternehmen", "nicht mehr verwendet", "ne travaille plus", "n'est plus utilisée", "n'est plus active",
	"não trabalha mais", "non lavora più", "non è più attivo", "больше не работает", "больше не используется", "使われておりません", "退職",
)

// finishDisposition names the recipient of a delivered mail.
func (p *parser) finishDisposition() {
	address := p.mdnOriginal
	if address == "" {
		address = p.mdnFinal
	}
	if address == "" {
		address = p.report.From
	}
	if address == "" {
		return
	}
	reason := Delivered
	if containsFold(p.head.autoSubmitted, "rejected") {
		reason = RecipientRefused
	}
	p.addReasoned(address, reason)
	r := &p.report.Recipients[0]
	if p.mdnFinal != "" && p.mdnFinal != address {
		r.Final, r.Original = p.mdnFinal, address
	}
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
