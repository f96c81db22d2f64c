package bounce

import "strings"

// What servers write to people has no grammar, but it has a way of speaking: a
// sentence opens a list of addresses, an address begins a line and its reason
// follows it, a reply stands in front of the address it is about. The tables below
// are the words by which each is told.

// openers announce failed recipients, on the same line or on the next ones.
var openers = newWordlist(
	"following address", "following recipient", "following destination", "following user", "following mailbox", "following email",
	"following e-mail", "following person", "following people", "recipient(s)", "recipients were affected", "these recipients", "these addresses", "this address",
	"these users", "addresses had", "address had", "recipients had", "failed addresses", "addresses follow", "failed recipient", "addresses failed", "delivered to:",
	"deliver to:", "not be delivered to", "was not delivered to", "not delivered to the", "undeliverable to", "cannot be delivered to", "could not deliver",
	"unable to deliver", "not reach", "failed to deliver", "delivery to", "delivery failed", "deliver your message to", "deliver mail to", "deliver the mail to",
	"delivering your mail", "the following error", "not be sent to", "could not send", "undelivered to", "recipient address", "recipients:", "error(s)",
	"invalid address", "addresses which", "address to which", "non-delivered", "undelivered recipients", "delivery error", "has failed:", "list of recipients",
	"destinatario", "destinatários", "direcciones", "dirección", "no se pudo entregar", "no pudo ser entregad", "endereço",
	"destinataire", "adresse suivante", "adresses suivantes", "empfänger", "folgende", "adresse(n)", "nicht zugestellt", "destinatari", "indirizz",
	"адрес", "получател", "odbiorc", "adres", "mottagare", "modtager", "宛先", "宛て", "収件", "收件", "送信先", "以下の",
)

// closers end such a list: after them addresses are of those who can help, or of
// the sender.
var closers = newWordlist(
	"for further", "contact", "please", "if you", "assistance", "transcript", "session follows", "reply to", "reporting-mta", "sincerely", "regards",
	"administrator", "help", "support", "information", "questions",
)

// to and from are words before an address that say whose it is. The last before it
// decides.
var toWords = newWordlist(
	"rcpt to:", "recipient", "delivered to", "deliver to", "deliver your message to", "message to", "mail to", "undeliverable to", "sent to", "addressed to",
	"address:", "address", "user", "mailbox", "account", "failed:", "failed for", "to:", "delivering", "delivery to", "delivery failed", "attempts", "not reach",
	"size:", "rcpt:", "destinatario", "empfänger", "destinataire", "for ", "unknown", "undeliverable", "userid", "no such", "user:", "reach", "invalid",
	"getting to", "send to", "email to", "rcpt=[", "failure:", "failure to", "email", "bounced", "duplicated message-id in",
	"получател", "odbiorc", "收件", "宛先", "送信先", "수신자",
)

var fromWords = newWordlist(
	"from", "sender", "contact", "reply", "help", "support", "return-path", "originator", "mailto", "questions", "envelope-from", "generated from",
	"please", "postmaster", "visit", "remitente", "absender", "de:", "helo", "program at", "your address", "mail from", "notify", "message-id", "id=", "x-", "forward",
	"report", "cc:", "subject",
	"отправител", "nadawc", "发件", "寄件", "送信元", "발신자",
)

// helps are words before "to" and an address that one may write to.
var helps = newWordlist(
	"reply", "write", "question", "contact", "report", "please", "complain", "forward", "back", "according", "returned", "respond", "refer",
)

// failures are words that, on the line of an address, say that it failed.
var failures = newWordlist(
	"unknown", "not found", "no such", "does not exist", "doesn't exist", "doesn't have", "not exist", "not listed", "not known", "invalid", "disabled", "rejected", "refused", "over quota", "quota",
	"full", "failed", "undeliver", "unable", "not deliver", "could not", "couldn't", "cannot", "can't", "not accept", "not reach", "bad address", "deactivated", "inactive", "suspended", "exceed",
	"unreachable", "illegal", "error", "desconocid", "no existe", "lleno", "inconnu", "unbekannt", "bounced", "denied", "expired", "timed out", "timeout", "not a valid", "no longer", "blocked", "unrouteable", "not recognized", "no valid", "not our customer", "is not a", "has moved", "nicht zugestellt", "no se pudo", "no pudo", "n'a pas pu", "non è stato", "não pôde",
	"não existe", "cheia", "non esiste", "sconosciut", "piena", "nie istnieje", "bestaat niet", "не существует", "не найден", "переполнен", "不存在", "已满", "見つかりません", "存在しません", "いっぱい", "존재하지", "없는",
)

// Degrees of certainty that an address is a failed recipient.
const (
	named  = 1 + iota // in a reply, or in a To line
	cued              // words say so
	listed            // in a list, or at the start of a line with its reason
)

// candidate is an address of the prose, and where what is said about it stands.
type candidate struct {
	address    string
	certainty  int
	start, end int // of the text behind the address, up to the next candidate
	line       int // where its line begins
	listEnd    int // of the addresses that follow it with nothing between them
}

// reader reads the prose line by line.
type reader struct {
	text       string
	section    bool // within a list
	transcript bool // the text holds commands, too
	found      []candidate
}

// candidates are the addresses of a text that may be failed recipients.
func candidates(text string) []candidate {
	r := reader{text: text, transcript: strings.Contains(text, ">>> ")}
	for at := 0; at < len(text) && len(r.found) < 2*maxRecipients; {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		r.line(at, min(end, at+maxProseLine))
		at = end
	}
	least := cued
	for i := range r.found {
		least = max(least, r.found[i].certainty)
	}
	end, next := len(text), ""
	for i := len(r.found) - 1; i >= 0; i-- {
		c := &r.found[i]
		c.listEnd = c.start
		if i+1 < len(r.found) && strings.Trim(text[c.start:r.found[i+1].line], " \t\n<>\",;:") == "" {
			c.listEnd = r.found[i+1].listEnd
		}
		if c.end = end; strings.EqualFold(c.address, next) {
			c.end = len(text)
		}
		if c.certainty >= least {
			end, next = c.line, c.address
		}
	}
	return r.found
}

// maxProseLine bounds how much of a line is looked at.
const maxProseLine = 4 << 10

func (r *reader) line(start, end int) {
	line := r.text[start:end]
	body := strings.TrimLeft(line, " \t>|*-•·+#")
	if strings.TrimSpace(body) == "" {
		return
	}
	indent := len(line) - len(body)
	f, ok := findAddress(body, 0)
	opens := openers.in(body)
	if !ok {
		r.section = opens || r.section && !closers.in(body)
		return
	}
	certainty := r.certainty(body, f, 0)
	for certainty == 0 || r.isNameOf(body, f) {
		next, more := findAddress(body, f.end)
		if !more {
			break
		}
		certainty = max(certainty, r.certainty(body, next, f.end))
		f = next
	}
	if certainty > 0 {
		r.found = append(r.found, candidate{address: f.address, certainty: certainty, start: start + indent + f.end, line: start})
		r.more(body, f, start, indent, certainty)
	}
	if opens {
		r.section = true
	} else if certainty < listed && closers.in(body) {
		r.section = false
	}
}

// more takes further addresses of a list within one line.
func (r *reader) more(body string, f mention, start, indent, certainty int) {
	for certainty >= cued && len(r.found) < maxRecipients {
		next, ok := findAddress(body, f.end)
		if !ok || strings.Trim(body[f.end:next.start], " ,;<\"\t") != "" {
			return
		}
		r.found = append(r.found, candidate{address: next.address, certainty: certainty, start: start + indent + next.end, line: start + indent + f.end})
		f = next
	}
}

// isNameOf says whether the address is only the display name of the next one.
func (r *reader) isNameOf(body string, f mention) bool {
	rest := strings.TrimLeft(body[f.end:], " \t\"')")
	return strings.HasPrefix(rest, "<") && strings.IndexByte(rest[:min(len(rest), maxAddress)], '@') > 0
}

// certainty is that of an address in its line, by the words since the address
// before it, which ends at floor.
func (r *reader) certainty(body string, f mention, floor int) int {
	before, after := body[:f.start], strings.TrimSpace(body[f.end:])
	lead := strings.Trim(before, "\"'<(` \t")
	if lead == "" {
		return r.atStart(before, after)
	}
	mine := whose(before[floor:])
	switch replied := codeStart(before) >= 0; {
	case mine < 0:
		return 0
	case replied: // who is named in a reply need not be the one it answers
		return named
	case mine > 0:
		return r.told(before)
	case r.section && len(lead) < 8 && strings.IndexByte(lead, ' ') < 0: // "[SMTP:a@b]"
		return r.atStart(before, after)
	case strings.HasPrefix(after, "..."), failures.in(body):
		return named
	}
	return 0
}

// told is the certainty of an address before which words say that it is a
// recipient's.
func (r *reader) told(before string) int {
	switch {
	case r.transcript && strings.HasPrefix(before, "RCPT"):
		return named // a transcript names also those that were accepted
	case len(before) < 6 && strings.HasSuffix(strings.TrimRight(before, " <\""), ":"): // "To: a@b"
		return named
	}
	return cued
}

// atStart is the certainty of an address that begins its line.
func (r *reader) atStart(before, after string) int {
	switch {
	case r.section && !strings.HasPrefix(before, "("):
		return listed
	case after == "":
		return cued
	case strings.IndexByte(":.,;[(-", after[0]) >= 0:
		return listed
	case codeStart(after) >= 0 || failures.in(after):
		return cued
	}
	return 0
}

// whose says by the words before an address whether it is a recipient's (1), not
// (-1), or cannot be told (0).
func whose(before string) int {
	before = before[max(0, len(before)-80):]
	if lead := strings.TrimRight(before, " \"'<["); len(lead) > 3 && equalFold(lead[len(lead)-3:], " to") {
		if helps.in(lead[max(0, len(lead)-24):]) {
			return -1
		}
		return 1
	}
	_, to := toWords.last(before)
	_, from := fromWords.last(before)
	switch {
	case from > to:
		return -1
	case to > from:
		return 1
	}
	return 0
}

// names are the words that begin the lines of a list of recipients without an
// address: some servers name their own users so.
func names(text string) []string {
	var all []string
	section := false
	for line := range strings.Lines(text) {
		body := strings.TrimSpace(line)
		if body == "" {
			continue
		}
		if openers.in(body) || strings.HasSuffix(body, ":") {
			section = true
			continue
		}
		end := 0
		for end < len(body) && (isAlnum(body[end]) || strings.IndexByte("._-", body[end]) >= 0) {
			end++
		}
		rest := body[end:]
		if section && line[0] <= ' ' && end > 1 && (rest == "" || strings.HasPrefix(rest, " (") || strings.HasPrefix(rest, "  ") || rest[0] == ':' || rest[0] == '\t') {
			all = appendNew(all, body[:end])
			continue
		}
		section = false
	}
	return all
}

// codeStart is where a reply code stands in a line, -1 if none does. A number is
// one at the start of a line, after what introduces a reply, or before an enhanced
// status code.
func codeStart(line string) int {
	for i := 0; i+3 <= len(line); i++ {
		if line[i] != '4' && line[i] != '5' || i > 0 && within(line[:i]) || !endsCode(line, i) {
			continue
		}
		if (introduced(line[:i]) || statusLen(line[skipSpace(line, i+3):]) > 0) && !countables.begins(line[i+3:]) {
			return i
		}
	}
	return -1
}

// within says that what follows is part of a word or a number.
func within(before string) bool {
	n := len(before) - 1
	c := before[n]
	return isAlnum(c) || c == '.' || c == '-' && n > 0 && isAlnum(before[n-1])
}

// endsCode says whether three digits end behind i: "<550>" is a code, too.
func endsCode(line string, i int) bool {
	return codeAt(line, i) != 0 || i+3 < len(line) && line[i+3] == '>' && isDigits(line[i:i+3])
}

// introducers are what stands before a reply.
var introducers = newWordlist(
	":", "<", "(", "=", "'", "\"", "[", ">", "said", "error", "code", "responsecode", "returned", "reply", "response", "status", "message", "with", "server", "reason", "because of", "#", "smtp", "was", "refused", "fault", "...", "<--", "<-", "says", "reports", "],",
)

func introduced(before string) bool {
	before = strings.TrimRight(before, " \t")
	if before == "" || strings.HasSuffix(before, "\n") {
		return true
	}
	before = before[max(0, len(before)-16):]
	for i := range len(before) {
		if len(introducers.at(before[i:])) == len(before)-i {
			return true
		}
	}
	return false
}

// countables are words after a number that is a count, not a code.
var countables = newWordlist(
	" second", " minute", " hour", " day", " byte", " kb", " mb", " k ", " recipients", " attempt", " times", " kilobyte", " character",
)

// findReply finds the first reply in a text, and returns it with the lines that
// belong to it; empty if there is none. ahead is what comes before it.
func findReply(text string) (reply, ahead string) {
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := text[at:min(end, at+maxProseLine)]
		if i := codeStart(line); i >= 0 && !strings.HasPrefix(strings.TrimLeft(line, " \t"), ">>>") {
			return replyLines(text[at+i:]), text[:at+i]
		}
		at = end
	}
	return "", text
}

// enders begin a line that no longer belongs to a reply.
var enders = newWordlist(
	"---", "===", "***", "giving up", "i'm not going", ">>>", "<<<", "...", "[rcpt", "[mail", "[data", "[helo", "original message", "this has been", "--", "reporting-mta", "final-recipient", "please ", "this message", "recipient:", "step:", "sent", "last error",
)

// replyLines are the lines of a reply: as far as they are indented or repeat the
// code, or until an empty line.
func replyLines(s string) string {
	end := 0
	for n := 0; end < len(s) && n < 12 && end < 1024; n++ {
		next := len(s)
		if i := strings.IndexByte(s[end:], '\n'); i >= 0 {
			next = end + i + 1
		}
		line := strings.TrimSpace(s[end:next])
		if n > 0 && (line == "" || end > 5 && endsReply(line, s[:3])) {
			break
		}
		end = next
	}
	return strings.TrimSpace(s[:min(end, 2048)])
}

func endsReply(line, code string) bool {
	if enders.begins(line) {
		return true
	}
	if f, ok := findAddress(line, 0); ok && f.start == 0 && !strings.HasPrefix(line, code) {
		return true
	}
	return len(line) > 3 && isDigit(line[0]) && codeAt(line, 0) != 0 && !strings.HasPrefix(line, code)
}
