package bounce

import "strings"

// separators are words of the line after which a text bounce returns the
// original.
var separators = newWordlist(
	"original message", "original mail", "copy of the message", "copy of your message", "copy of this message", "message follows",
	"headers follow", "header follows", "unsent message", "undelivered message", "returned message", "message text follows",
	"message header", "message contents follow", "mail header", "header of the original", "lines of your", "lines of the original",
	"text of message", "text of your message", "message was:", "following is the message", "attached message",
	"mensaje original", "copia del mensaje", "message d'origine", "copie du message", "kopie der nachricht", "messaggio originale",
	"mensagem original", "copia da mensagem", "begin returned", "begin message", "your message reads", "starts here", "message log",
)

// splitReturned cuts what was returned off the end of a text, keeps it if it is the
// first, and returns what comes before it.
func (p *parser) splitReturned(text string) string {
	if whole := unquoteForward(text); len(whole) < len(text) {
		text, p.forwarded = whole, true
	}
	gap := true
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := unquote(text[at:end])
		switch {
		case line == "":
			gap = true
		case isSeparator(line) && followedByField(text[end:]):
			return p.cutReturned(text, at, end)
		case gap && looksReturned(text[at:]):
			return p.cutReturned(text, at, at)
		default:
			gap = strings.HasPrefix(line, "--") || strings.HasPrefix(line, "==") || strings.HasPrefix(line, "**")
		}
		at = end
	}
	return text
}

func (p *parser) cutReturned(text string, before, after int) string {
	if p.returned == "" {
		p.returned = strings.TrimLeft(text[after:], "\n")
		if c := strings.TrimLeft(p.returned, "\n")[:min(1, len(p.returned))]; c == ">" || c == " " || c == "\t" {
			p.returned = unquoteAll(p.returned)
		}
	}
	return text[:before]
}

// unquote trims the marks that forwarding puts before a line.
func unquote(line string) string { return strings.Trim(line, " \t\n>|") }

// unquoteForward drops the marks of a report that somebody forwarded by hand, and
// the lines of that person.
func unquoteForward(text string) string {
	i := strings.Index(text, "\n> ")
	if i < 0 || strings.Count(text, "\n>")*2 < strings.Count(text, "\n") || failing.in(text[:i]) {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text[i+1:]) {
		line = strings.TrimPrefix(line, ">")
		b.WriteString(strings.TrimPrefix(line, " "))
	}
	header, body := cutHeader(b.String())
	if header == "" { // only a part is quoted, as in a question about it
		return text
	}
	return body
}

func unquoteAll(text string) string {
	prefix := text[:len(text)-len(strings.TrimLeft(text, " \t>"))]
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimPrefix(line, prefix))
	}
	return b.String()
}

func isSeparator(line string) bool {
	if len(line) < 10 || len(line) > 160 {
		return false
	}
	if before, _, found := strings.Cut(line, ":>"); found { // QUIRK: the quote begins on the same line
		line = before + ":"
	}
	marked := strings.IndexByte("-=*_+#|", line[0]) >= 0
	closed := strings.IndexByte(":.-=*_+#>", line[len(line)-1]) >= 0 || strings.HasSuffix(line, "follow") || strings.HasSuffix(line, "follows")
	if !marked && !closed {
		return false
	}
	return separators.in(line)
}

// followedByField says whether one of the next lines that are not empty is a field,
// or nothing comes any more.
func followedByField(s string) bool {
	n := 0
	for line := range strings.Lines(s) {
		if line = unquote(line); strings.Trim(line, "-=*_ ") == "" {
			continue
		}
		name, _, found := strings.Cut(line, ":")
		if found && (rank(strings.TrimRight(name, " ")) > 0 || strings.HasPrefix(name, "X-")) || strings.HasPrefix(line, "From ") {
			return true
		}
		if n++; n == 4 {
			return false
		}
	}
	return n == 0
}

// looksReturned says whether s begins with the header of a mail: at least three of
// its usual fields, one of which people do not write into a text.
func looksReturned(s string) bool {
	if s == "" {
		return false
	}
	known, technical := 0, false
	need := 2
	if strings.IndexByte(" \t", s[0]) >= 0 {
		need = 3 // some reports quote a few fields
	}
	for line := range strings.Lines(s[:min(len(s), 8<<10)]) {
		if strings.HasPrefix(line, "From ") || strings.HasPrefix(line, ">From ") {
			continue
		}
		text := unquote(line)
		if text == "" {
			break
		}
		name, _, found := strings.Cut(text, ":")
		level := rank(strings.TrimRight(name, " "))
		switch {
		case found && level > 0:
			known++
			technical = technical || level >= need
		case known == 0 && !(found && hasPrefixFold(name, "X-")):
			return false
		}
		if known >= 3 && technical {
			return true
		}
	}
	return known >= 2 && technical
}

// rank says how surely a name is that of a field of mail: 3 if it is of the trace, 2 if people do not write
// it into a text, 1 if they do, 0 if it is none.
func rank(name string) int {
	var buf [40]byte
	switch string(lower(&buf, name)) {
	case "received", "return-path":
		return 3
	case "message-id", "mime-version", "dkim-signature", "delivered-to", "content-transfer-encoding",
		"x-mailer", "x-originating-ip", "authentication-results", "arc-seal", "domainkey-signature", "x-received",
		"x-google-dkim-signature", "x-envelope-from", "x-envelope-to", "x-apparently-to", "received-spf", "list-unsubscribe",
		"x-original-to", "x-sender", "x-priority", "x-msmail-priority", "user-agent", "resent-from", "resent-message-id":
		return 2
	case "from", "to", "subject", "date", "cc", "reply-to", "sender", "content-type", "references", "in-reply-to", "x-hmxmroriginalrecipient",
		"errors-to", "precedence", "organization", "importance", "list-id", "content-disposition", "content-language", "thread-topic":
		return 1
	}
	return 0
}

// readReturned reads the header of the original.
func (p *parser) readReturned() {
	header := p.returned
	if strings.TrimSpace(header) == "" {
		return
	}
	header = strings.TrimLeft(header, "\n")
	if h, _ := cutHeader(header); h != "" {
		header = h
	}
	if len(header) > maxHeaderLine {
		header = header[:maxHeaderLine]
	}
	o := &p.report.Original
	o.Header = header
	var buf [40]byte
	for name, value := range fields(header) {
		switch string(lower(&buf, name)) {
		case "message-id":
			o.MessageID = messageID(value)
		case "date":
			o.Date = parseDate(value)
		case "subject":
			o.Subject = decodeWords(value)
		case "from":
			o.From = firstAddress(value)
		case "return-path", "x-envelope-from":
			if o.ReturnPath == "" {
				o.ReturnPath = firstAddress(value)
			}
		case "to", "cc", "apparently-to":
			o.To = addresses(o.To, value)
		case "list-id":
			o.ListID = strings.Trim(value[strings.LastIndexByte(value, '<')+1:], "<> ")
		case "feedback-id":
			o.FeedbackID = unfold(value)
		case "cfbl-feedback-id":
			o.CFBLFeedbackID = unfold(value)
		}
	}
}

// returnedRecipient is the recipient that the original names where the report
// names nobody: of its trace fields, or the only one of To.
func (p *parser) returnedRecipient() string {
	var buf [40]byte
	for name, value := range p.report.Original.Fields() {
		switch string(lower(&buf, name)) {
		case "x-hmxmroriginalrecipient", "x-envelope-to", "x-rcpt-to", "x-original-to", "envelope-to":
			if a := firstAddress(value); a != "" {
				return a
			}
		}
	}
	if to := p.report.Original.To; len(to) == 1 {
		return to[0]
	}
	for name, value := range p.report.Original.Fields() {
		if !strings.EqualFold(name, "Received") {
			continue
		}
		if _, after, found := strings.Cut(value, " for "); found {
			if f, ok := findAddress(after, 0); ok && f.start <= 1 {
				return f.address
			}
		}
	}
	return ""
}
