package bounce

import "strings"

// decide says what kind of mail it is. A notification's own form wins over how it
// speaks, and what it says of delivery over how it was sent: many servers mark
// their bounces as automatic replies.
func (p *parser) decide() {
	r := p.report
	r.Agent = p.agent()
	switch {
	case p.feedback, p.isComplaint():
		r.Kind = KindComplaint
	case p.status && len(r.Recipients) > 0:
		r.Kind = kindOf(r.Recipients)
	case p.disposition:
		r.Kind = KindDisposition
	case p.isChallenge():
		r.Kind = KindChallenge
	case p.isBounce():
		r.Kind = KindBounce
		if delays.in(p.lead()) || delays.in(r.Subject) {
			r.Kind = KindDelay
		}
	case p.isAutoReply():
		r.Kind = KindAutoReply
	}
}

// kindOf is the gravest of the recipients' fates.
func kindOf(recipients []Recipient) Kind {
	kind := KindSuccess
	for i := range recipients {
		switch recipients[i].Fate {
		case FateFailed, FateUnknown:
			return KindBounce
		case FateDelayed:
			kind = KindDelay
		}
	}
	return kind
}

// delays say that a server goes on trying.
var delays = newWordlist(
	"warning message only", "this is a warning", "has been delayed", "will be retried", "still being retried", "not yet been delivered", "will keep trying", "will continue to try",
	"delivery attempts will continue", "delayed mail", "notification (delay", "delivery delayed", "delayed:", "temporarily delayed", "could not send message for past", "warning: could not send", "no need to resend", "do not need to resend",
	"retrasado", "se seguirá intentando", "todavía no ha podido", "aún no se ha", "verzögert", "bisher nicht zugestellt", "weiterhin versucht", "retardé", "n'a pas encore", "atrasada", "ainda não foi entregue",
	"in ritardo", "ritardata", "non è stato ancora", "ещё не доставлен", "еще не доставлен", "задерж", "延迟", "延遲", "遅延", "遅れて",
)

// headings are subjects of returned mail.
var headings = newWordlist(
	"undeliver", "returned mail", "return mail", "failure notice", "delivery status", "delivery failure", "delivery failed", "delivery has failed", "mail delivery", "delivery notification", "delivery report", "non-deliver", "nondeliver",
	"not deliver", "non deliver", "returning message", "returned to sender", "return to sender", "could not be delivered", "couldn't be delivered", "cannot be delivered", "failure delivery", "mail failure", "mail failed", "delivery error", "delivery problem", "message delivery",
	"error sending your mail", "mail system error", "undeliv", "unzustellbar", "zustellung", "entrega", "entregado", "entregar", "devuelto", "non remis", "non délivré", "échec", "mancata consegna", "mancato recapito", "rejected", "delayed", "loop alert", "notification message",
	"failed mail", "message status", "bounced", "bounce", "warning: could not", "user unknown", "problem delivering", "delivery", "errors from", "メールエラー", "配信", "не доставлено", "недоставл", "retrasado", "verzögert", "nie dostarczono", "niedostarczon", "niet bezorgd", "niet afgeleverd", "kunde inte levereras", "kunne ikke leveres", "teslim edilemedi", "nedoručen", "退信", "投递失败", "传递失败", "系统退信",
)

// failing are sentences of returned mail, beyond those of the agents.
var failing = newWordlist(
	"could not be delivered", "couldn't be delivered", "not be delivered", "was not delivered", "cannot be delivered", "can't be delivered", "wasn't delivered", "undeliverable", "unable to deliver", "delivery failed", "delivery has failed", "delivery to the following", "did not reach", "not reach the following",
	"permanent error", "permanent fatal error", "fatal errors", "failed permanently", "user unknown", "unknown user", "no such user", "delivery problems", "delivery error", "error delivering", "trouble delivering", "deliver the mail", "rejected recipient", "mailbox is full", "exceeds allowed size", "over quota", "was rejected", "transcript of session",
	"delivery failure", "could not deliver", "couldn't deliver", "failed to deliver", "undelivered", "account is disabled", "attempts:", "final delivery userid", "no se pudo entregar", "no pudo ser entregad", "no ha podido", "no existe", "nicht zugestellt", "n'a pas pu", "non è stato possibile", "nie mogła zostać dostarczona", "nie może zostać dostarczona", "kon niet worden", "kan niet worden", "kunde inte levereras", "kunne ikke leveres", "teslim edilemedi", "nelze doručit", "е может быть доставлен", "е удалось доставить", "não pôde ser", "nao pode ser", "配信できませ", "送信できませ", "無法", "无法",
	"not accepting mail", "delivery to this address", "delivery of email", "duplicated message-id", "has been delayed", "not yet been delivered", "returned to you", "unknown recipient", "no valid recipients", "mail delivery",
)

// isBounce weighs the signs of a bounce without fields that say so. What it says
// must be among them.
func (p *parser) isBounce() bool {
	r := p.report
	if p.status || len(p.failed) > 0 || p.head.multipart && !strings.EqualFold(p.head.reportType, "disposition-notification") {
		return true
	}
	said := count(failing.in(p.lead()) || p.head.daemon && p.head.nullPath && p.quotesReply(), headings.in(r.Subject), r.Agent != "", containsFold(p.lead(), "final-recipient:"))
	automatic := p.head.autoSubmitted != "" && !hasPrefixFold(p.head.autoSubmitted, "no")
	other := count(p.head.daemon, p.head.nullPath, automatic, p.returned != "")
	switch {
	case said == 0, p.head.list && r.Agent == "":
		return false
	case p.forwarded && r.Agent != "":
		return true
	case !p.head.daemon && !p.head.nullPath && strings.Contains(p.prose, "\n>"): // people quote
		return false
	case p.head.answers && !p.head.daemon:
		return said > 2 && r.Agent != "" && !strings.Contains(p.prose, "\n>")
	case p.head.daemon:
		return said+other > 1
	case p.head.autoReply, automatic && hasPrefixFold(p.head.autoSubmitted, "auto-replied") && r.Agent == "":
		return said > 1
	case said > 1 && other > 0 && r.Agent != "":
		return true
	}
	// Shops and couriers, too, fail to deliver: but not to an address.
	return said+other > 2 && len(p.best(candidates(p.prose))) > 0
}

// quotesReply says that the text holds a server's refusal, whatever the language
// around it.
func (p *parser) quotesReply() bool {
	reply, _ := findReply(p.lead())
	return reply != ""
}

func count(signs ...bool) int {
	n := 0
	for _, sign := range signs {
		n += b2i(sign)
	}
	return n
}

// isComplaint tells the feedback that has no part of its own.
func (p *parser) isComplaint() bool {
	r := p.report
	return containsFold(r.Subject, "complaint about message from") && p.returned != "" ||
		p.head.reported || containsFold(r.Original.Header, "x-hmxmroriginalrecipient:") ||
		p.head.multipart && strings.EqualFold(p.head.reportType, "feedback-report")
}

// challenges are sentences by which mail asks its sender to prove being human.
var challenges = newWordlist(
	"confirm that you are a human", "confirm you are human", "prove that you are human", "prove you are human", "sender verification", "verify that you are a", "requires verification of", "challenge-response", "challenge/response", "confirm your message",
	"confirm that you sent", "your message is waiting", "awaiting confirmation", "message is being held until", "will be delivered once you", "click the link below to have your message", "verify your email to deliver", "spamarrest", "spam arrest", "boxbe", "to release your message",
	"approved sender", "antispam uol", "confirme que usted", "para confirmar su mensaje",
)

func (p *parser) isChallenge() bool {
	if p.head.daemon && len(p.failed) > 0 {
		return false
	}
	return (p.head.answers || p.head.autoSubmitted != "" || p.head.nullPath || containsFold(p.report.Subject, "re:") || containsFold(p.report.Subject, "confirm")) &&
		p.head.precedence == "" && challenges.in(p.lead())
}

// absences are subjects of automatic replies.
var absences = newWordlist(
	"out of office", "out of the office", "automatic reply", "auto reply", "autoreply", "auto-reply", "auto response", "autoresponse", "auto-response", "automatic response", "autoresponder", "away from", "away until", "vacation", "on leave", "holiday",
	"respuesta automática", "respuesta automatica", "fuera de la oficina", "ausencia", "vacaciones", "abwesend", "abwesenheit", "automatische antwort", "nicht im büro", "urlaub", "réponse automatique", "absence", "absent", "congés", "risposta automatica", "fuori sede", "fuori ufficio", "assente", "ferie",
	"resposta automática", "ausência", "férias", "automatisch antwoord", "afwezig", "autosvar", "automatiskt svar", "automatisch", "автоответ", "автоматический ответ", "отпуск", "自動応答", "自動返信", "不在", "自动回复", "自動回覆", "외출", "자동", "atvalin", "autoodpowiedź", "nieobecn",
)

// isAutoReply tells automatic replies (RFC 3834, section 2).
func (p *parser) isAutoReply() bool {
	h := &p.head
	switch {
	case hasPrefixFold(h.autoSubmitted, "auto-replied"), h.autoReply:
		return true
	case hasPrefixFold(h.precedence, "auto_reply"), hasPrefixFold(h.precedence, "auto-reply"):
		return true
	}
	return absences.in(p.report.Subject) &&
		(h.autoSubmitted != "" || h.nullPath || h.answers || h.precedence != "" || hasPrefixFold(p.report.Subject, "auto"))
}

// agents are told by sentences that only they write, in the order of this table.
var agents = []struct{ name, phrase string }{
	{"postfix", "this is the postfix"},
	{"postfix", "this is the mail system at host"},
	{"qmail", "this is the qmail-send program"},
	{"indimail", "indimail-mta"},
	{"exim", "created automatically by mail delivery software"},
	{"opensmtpd", "this is the mailer-daemon, please do not reply"},
	{"dragonfly", "this is the dragonfly mail agent"},
	{"sendmail", "the original message was received at"},
	{"exchange", "did not reach the following recipient(s)"},
	{"exchange", "generating server:"},
	{"exchange", "microsoft exchange"},
	{"domino", "domino directory"},
	{"gmail", "technical details of permanent failure"},
	{"gmail", "technical details of temporary failure"},
	{"gmail", "delivery to the following recipient failed permanently"},
	{"gmail", "delivery to the following recipient has been delayed"},
	{"yahoo", "sorry, we were unable to deliver your message to the following address"},
	{"courier", "this is a delivery status notification from"},
	{"james", "error message below:"},
	{"zoho", "error_code :"},
	{"mailfoundry", "this has been a permanent failure"},
	{"interscan", "interscan messaging security"},
	{"mailmarshal", "the following recipients were affected"},
	{"groupwise", "the message that you sent was undeliverable to the following"},
	{"messaging-server", "your message cannot be delivered to the following recipients"},
	{"sendmail", "----- transcript of session follows -----"},
	{"imail", "invalid final delivery userid"},
	{"imail", "user mailbox exceeds allowed size"},
	{"amazon-ses", "an error occurred while trying to deliver the mail to the following"},
	{"fml", "duplicated message-id in <"},
}

// agent names the software that wrote the report; empty if it is not known.
func (p *parser) agent() string {
	head := p.prose[:min(len(p.prose), 8<<10)]
	for _, a := range agents {
		if containsFold(head, a.phrase) {
			return a.name
		}
	}
	return ""
}
