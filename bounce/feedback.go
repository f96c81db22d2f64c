package bounce

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// readFeedback reads the fields of a feedback report (RFC 5965, section 3; RFC
// 6591, section 3).
func (p *parser) readFeedback(body string) {
	f := &Feedback{Incidents: 1}
	p.report.Feedback = f
	var buf [40]byte
	for name, value := range fields(strings.TrimLeft(body, "\n")) {
		value = unfold(value)
		switch string(lower(&buf, name)) {
		case "feedback-type":
			f.Type = strings.ToLower(value)
		case "user-agent":
			f.UserAgent = value
		case "version":
		case "incidents":
			if n, err := strconv.Atoi(value); err == nil && n > 0 {
				f.Incidents = n
			}
		case "original-mail-from":
			f.MailFrom = firstAddress(value)
		case "original-rcpt-to", "removal-recipient", "original-recipient":
			f.RcptTo = addresses(f.RcptTo, value)
		case "arrival-date", "received-date":
			p.report.Arrival = parseDate(value)
		case "reporting-mta":
			p.report.ReportingMTA = typedName(value)
		case "original-envelope-id":
			p.report.EnvelopeID = value
		case "source-ip":
			f.SourceIP, _ = netip.ParseAddr(strings.Trim(value, "[] "))
		case "reported-domain":
			f.ReportedDomain = appendNew(f.ReportedDomain, value)
		case "reported-uri":
			f.ReportedURI = appendNew(f.ReportedURI, value)
		case "authentication-results":
			f.AuthenticationResults = appendNew(f.AuthenticationResults, value)
		case "auth-failure":
			f.AuthFailure = strings.ToLower(value)
		case "delivery-result":
			f.DeliveryResult = strings.ToLower(value)
		case "dkim-domain":
			f.DKIMDomain = value
		case "dkim-identity":
			f.DKIMIdentity = value
		case "dkim-selector":
			f.DKIMSelector = value
		case "spf-dns":
			f.SPFDNS = value
		default:
			if len(p.report.Fields) < maxFields {
				p.report.Fields = append(p.report.Fields, Field{Name: name, Value: value})
			}
		}
	}
}

// feedbackReasons are the reasons of the types of feedback; others are complaints.
var feedbackReasons = map[string]Reason{
	"auth-failure": AuthReport,
	"dmarc":        AuthReport,
	"opt-out":      OptOut,
	"opt-out-list": OptOut,
	"virus":        Virus,
	"not-spam":     Undetermined,
}

// finishFeedback names the recipients of a complaint. Most are redacted (RFC
// 6590): then the original may tell, and what Candidates yields.
func (p *parser) finishFeedback() {
	r := p.report
	if r.Feedback == nil {
		r.Feedback = &Feedback{Type: "abuse", Incidents: 1}
	}
	f := r.Feedback
	reason, known := feedbackReasons[f.Type]
	if !known {
		reason = Complaint
	}
	for _, a := range slices.Concat(f.RcptTo, p.failed) {
		p.addReasoned(a, reason)
	}
	if len(r.Recipients) == 0 {
		if a := p.returnedRecipient(); a != "" {
			p.addReasoned(a, reason)
		}
	}
	if f.Type == "" {
		p.problems.add(0, "a feedback report without Feedback-Type")
		f.Type = "abuse"
	}
}

// addReasoned adds a recipient whose reason the kind of the report tells.
func (p *parser) addReasoned(address string, reason Reason) {
	r := p.add()
	r.Final = address
	r.Classification = Classification{Reason: reason, Verdict: reason.verdict(false), Action: reason.action(Unknown, false), Confidence: ByTag}
}

// readDisposition reads a disposition notification (RFC 8098, section 3).
func (p *parser) readDisposition(body string) {
	var buf [40]byte
	r := p.report
	for name, value := range fields(strings.TrimLeft(body, "\n")) {
		switch string(lower(&buf, name)) {
		case "disposition":
			r.Disposition = unfold(value)
		case "final-recipient":
			p.mdnFinal = typedAddress(value)
		case "original-recipient":
			p.mdnOriginal = typedAddress(value)
		case "original-message-id":
			r.Original.MessageID = messageID(value)
		case "reporting-ua", "mdn-gateway":
			r.ReportingMTA = typedName(value)
		default:
			if len(r.Fields) < maxFields {
				r.Fields = append(r.Fields, Field{Name: name, Value: unfold(value)})
			}
		}
	}
}
