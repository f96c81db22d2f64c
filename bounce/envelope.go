package bounce

import "strings"

// envelope is what the header of a report tells of its kind.
type envelope struct {
	nullPath      bool // Return-Path: <>
	daemon        bool // the author is a mail system
	autoSubmitted string
	autoReply     bool // a field that only automatic replies have
	list          bool // a list or a newsletter
	reported      bool // the field of Outlook.com's feedback
	answers       bool // In-Reply-To or References
	inReplyTo     string
	precedence    string
	multipart     bool   // multipart/report
	reportType    string // its report-type
	mailer        string // X-Mailer and the like, to tell the agent
	returnPath    string
}

// readEnvelope reads the header of the mail itself.
func (p *parser) readEnvelope(header string) {
	r := p.report
	var buf [40]byte
	var to string
	for name, value := range fields(header) {
		switch key := lower(&buf, name); string(key) {
		case "from":
			p.readFrom(value)
		case "to", "apparently-to":
			to = value
		case "delivered-to", "x-original-to", "original-recipient", "x-envelope-to", "envelope-to":
			r.To = addresses(r.To, value)
		case "subject":
			r.Subject = decodeWords(value)
		case "date":
			r.Date = parseDate(value)
		case "message-id":
			r.ID = messageID(value)
		case "return-path":
			p.head.nullPath = strings.Trim(value, " \t<>") == ""
			p.head.returnPath = value
		case "auto-submitted":
			p.head.autoSubmitted = value
		case "precedence", "x-precedence":
			p.head.precedence = value
		case "list-id", "list-unsubscribe", "list-post":
			p.head.list = true
		case "in-reply-to":
			p.head.inReplyTo = messageID(value)
			p.head.answers = true
		case "references":
			p.head.answers = true
		case "content-type":
			p.head.multipart = mediaType(value) == "multipart/report"
			p.head.reportType = param(value, "report-type")
		case "x-failed-recipients":
			p.readFailed(value)
		case "x-mailer", "user-agent", "x-mlserver", "x-mailserver", "x-mimeole":
			p.head.mailer = value
		case "x-autoreply", "x-autorespond", "x-autoresponder", "x-autoresponse", "x-autoreply-from", "x-mail-autoreply",
			"x-away-message", "x-ms-exchange-inbox-rules-loop", "x-ms-exchange-generated-message-source", "x-vacation":
			p.head.autoReply = true
		case "x-hmxmroriginalrecipient":
			p.head.reported = true
			p.failed = addresses(p.failed, value)
		}
	}
	r.To = addresses(r.To, to)
	p.head.daemon = p.head.daemon || r.From == "" // people have names
}

// readFrom reads the author. Daemons sign in few words.
func (p *parser) readFrom(value string) {
	value = decodeWords(value)
	p.report.From = firstAddress(value)
	if p.report.From == "" {
		p.report.From = strings.Trim(value, "<> ")
	}
	p.head.daemon = daemons.in(value)
}

// daemons are words by which the author of a report is told.
var daemons = newWordlist(
	"mailer-daemon", "mailerdaemon", "mailer_daemon", "maildaemon", "postmaster", "post_master", "mail delivery", "mail deliver", "mail.delivery",
	"delivery subsystem", "system administrator", "mail administrator", "mail admin", "mmsc", "mdaemon", "ndr", "bounce",
	"undeliver", "mail system", "internet mail", "daemon", "no-reply@sns.amazonaws.com",
)

func (p *parser) readFailed(value string) {
	for address := range strings.SplitSeq(unfold(value), ",") {
		if address = strings.Trim(address, " <>\t"); address != "" && len(p.failed) < maxRecipients {
			p.failed = append(p.failed, address)
		}
	}
}
