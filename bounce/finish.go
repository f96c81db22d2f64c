package bounce

import "strings"

// finish settles the recipients of the kind that was decided.
func (p *parser) finish() {
	r := p.report
	r.Text = cutText(p.prose)
	if r.Kind != NotReport && r.Original.MessageID == "" {
		r.Original.MessageID = p.head.inReplyTo
	}
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
