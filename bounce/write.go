package bounce

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// WriteDSN writes a delivery status notification (RFC 3464) that says what r does:
// the inverse of [Parse]. Addresses and texts beyond ASCII make it one of RFC 6533,
// for which the transport needs SMTPUTF8.
//
// From, To, ReportingMTA and at least one recipient are required, and of each
// recipient Final, Fate and Status. Where ID, Date, Subject or Text are empty, a
// usual one is written, but for the ID, without which there is no Message-ID. What
// else is empty is left out. Original.Header is returned as text/rfc822-headers.
// The envelope's reverse-path must be null (RFC 3464, section 2).
//
// An error names every value that cannot be written, such as an address with a
// line break; then nothing is written.
func WriteDSN(w io.Writer, r *Report) error {
	c := composer{report: r}
	c.requireEnvelope()
	c.require(r.ReportingMTA != "", "ReportingMTA is empty")
	c.require(len(r.Recipients) > 0, "no recipients")
	utf8 := !c.ascii()
	c.header("delivery-status", dsnSubject(r))
	c.text(dsnText(r))
	c.part(global(utf8, "message/delivery-status", "message/global-delivery-status"), utf8)
	c.field("Reporting-MTA", typed("dns", r.ReportingMTA))
	c.field("Original-Envelope-Id", r.EnvelopeID)
	c.date("Arrival-Date", r.Arrival)
	for _, f := range r.Fields {
		c.field(f.Name, f.Value)
	}
	for i := range r.Recipients {
		c.recipient(&r.Recipients[i], i)
	}
	c.original()
	return c.flush(w)
}

// WriteFeedback writes a feedback report (RFC 5965; with AuthFailure, RFC 6591) that
// says what r does: the inverse of [Parse]. From, To, and Feedback with its Type and
// UserAgent are required; the rest is as with [WriteDSN].
func WriteFeedback(w io.Writer, r *Report) error {
	c := composer{report: r}
	f := r.Feedback
	if f == nil {
		return errors.New("bounce: write feedback: Feedback is nil")
	}
	c.requireEnvelope()
	c.require(f.Type != "", "Feedback.Type is empty")
	c.require(f.UserAgent != "", "Feedback.UserAgent is empty")
	c.header("feedback-report", "Email Feedback Report")
	c.text("This is an email " + f.Type + " report for an email message.\n")
	c.part("message/feedback-report", !c.ascii())
	c.field("Feedback-Type", f.Type)
	c.field("User-Agent", f.UserAgent)
	c.field("Version", "1")
	c.feedback(f)
	for _, x := range r.Fields {
		c.field(x.Name, x.Value)
	}
	c.original()
	return c.flush(w)
}

// composer collects a report, and the faults of what is to be written.
type composer struct {
	report   *Report
	out      bytes.Buffer
	boundary string
	faults   []error
}

func (c *composer) require(ok bool, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

func (c *composer) requireEnvelope() {
	c.require(c.report.From != "", "From is empty")
	c.require(len(c.report.To) > 0, "To is empty")
}

// flush ends the report and writes it, unless something was at fault.
func (c *composer) flush(w io.Writer) error {
	if len(c.faults) > 0 {
		return fmt.Errorf("bounce: write report: %w", errors.Join(c.faults...))
	}
	c.line("--" + c.boundary + "--")
	_, err := w.Write(c.out.Bytes())
	return err
}

// line writes one line as it is.
func (c *composer) line(s string) {
	c.out.WriteString(s)
	c.out.WriteString("\r\n")
}

// field writes a field, unless its value is empty. Only a line feed within a value
// is allowed: it folds.
func (c *composer) field(name, value string) {
	if value == "" {
		return
	}
	c.require(isFieldName(name), "field name %q", name)
	c.require(isText(value), "%s %q holds control characters or is not UTF-8", name, value)
	folded := strings.ReplaceAll(strings.TrimSpace(value), "\n", "\r\n ")
	for line := range strings.SplitSeq(folded, "\r\n") {
		// RFC 5322, section 2.1.1; and an empty line would end the fields.
		c.require(len(name)+len(line) < 990 && strings.TrimSpace(line) != "", "%s %q has a line that is empty or too long", name, value)
	}
	c.line(name + ": " + folded)
}

func (c *composer) date(name string, t time.Time) {
	if !t.IsZero() {
		c.field(name, t.Format(time.RFC1123Z))
	}
}

// header writes the header of the mail.
func (c *composer) header(reportType, subject string) {
	r := c.report
	if r.Subject != "" {
		subject = r.Subject
	}
	date := r.Date
	if date.IsZero() {
		date = time.Now()
	}
	c.boundary = c.newBoundary()
	c.require(isText(subject), "Subject %q holds control characters or is not UTF-8", subject)
	c.field("From", "<"+c.address("From", r.From)+">")
	c.field("To", c.addressList())
	c.field("Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", subject), "?= =?", "?=\n=?"))
	c.date("Date", date)
	if r.ID != "" {
		c.require(!strings.ContainsAny(r.ID, "<> \t\n"), "ID %q", r.ID)
		c.field("Message-ID", "<"+r.ID+">")
	}
	c.field("Auto-Submitted", "auto-replied") // RFC 3834, section 5
	c.field("MIME-Version", "1.0")
	c.field("Content-Type", "multipart/report; report-type="+reportType+";\nboundary=\""+c.boundary+"\"")
	c.line("")
}

// newBoundary is a delimiter that is in nothing that is written, and the same for
// the same report.
func (c *composer) newBoundary() string {
	h := fnv.New64a()
	for _, s := range [...]string{c.report.ID, c.report.From, c.report.Text, c.report.Original.Header} {
		_, _ = io.WriteString(h, s)
	}
	for sum := h.Sum64(); ; sum++ {
		b := "=_" + strconv.FormatUint(sum, 36)
		if !strings.Contains(c.report.Text, b) && !strings.Contains(c.report.Original.Header, b) {
			return b
		}
	}
}

func (c *composer) addressList() string {
	list := make([]string, len(c.report.To))
	for i, a := range c.report.To {
		list[i] = "<" + c.address("To", a) + ">"
	}
	return strings.Join(list, ",\n")
}

// address checks that a can stand in a field as it is.
func (c *composer) address(name, a string) string {
	f, ok := findAddress("<"+a+">", 0)
	c.require(ok && f.address == a && isText(a) && !strings.ContainsFunc(a, isWideSpace), "%s %q is no address", name, a)
	return a
}

// part begins a part.
func (c *composer) part(mediaType string, eightBit bool) {
	c.line("--" + c.boundary)
	c.field("Content-Type", mediaType)
	if eightBit {
		c.field("Content-Transfer-Encoding", "8bit")
	}
	c.line("")
}

// text writes the part for people.
func (c *composer) text(s string) {
	if c.report.Text != "" {
		s = c.report.Text
	}
	c.require(isText(strings.ReplaceAll(s, "\t", " ")), "Text holds control characters or is not UTF-8")
	c.part("text/plain; charset=utf-8", !isASCII(s))
	for line := range strings.Lines(s) {
		c.line(strings.TrimRight(line, "\n"))
	}
	c.line("")
}

// recipient writes the group of fields of one recipient.
func (c *composer) recipient(r *Recipient, i int) {
	c.require(r.Final != "", "recipient %d: Final is empty", i)
	c.require(r.Fate != FateUnknown && int(r.Fate) < len(fateNames), "recipient %s: Fate is %v", r.Final, r.Fate)
	c.require(r.Status[0] == 2 || r.Status[0] == 4 || r.Status[0] == 5, "recipient %s: Status is %q", r.Final, r.Status)
	c.line("")
	c.field("Original-Recipient", c.typedAddress(r.Original))
	c.field("Final-Recipient", c.typedAddress(r.Final))
	c.field("Action", r.Fate.String())
	c.field("Status", r.Status.String())
	c.field("Remote-MTA", typed("dns", r.RemoteMTA))
	c.field("Diagnostic-Code", diagnostic(&r.Reply))
	c.date("Last-Attempt-Date", r.LastAttempt)
	c.date("Will-Retry-Until", r.RetryUntil)
}

// typedAddress is the form of Final-Recipient (RFC 6533, section 3, if it is beyond
// ASCII).
func (c *composer) typedAddress(a string) string {
	switch {
	case a == "":
		return ""
	case isASCII(a):
		return "rfc822; " + c.address("recipient", a)
	}
	return "utf-8; " + strings.ReplaceAll(c.address("recipient", a), `\`, `\x{5C}`)
}

// diagnostic is the reply as a Diagnostic-Code.
func diagnostic(r *Reply) string {
	switch {
	case r.Code == 0 && r.Text == "":
		return ""
	case r.Code == 0:
		return "x-text; " + r.Text
	}
	s := "smtp; " + strconv.Itoa(r.Code)
	if r.Status != (Status{}) {
		s += " " + r.Status.String()
	}
	if r.Text != "" {
		s += " " + r.Text
	}
	return s
}

// feedback writes the fields of RFC 5965, section 3, and RFC 6591, section 3.
func (c *composer) feedback(f *Feedback) {
	if f.MailFrom != "" {
		c.field("Original-Mail-From", "<"+c.address("Feedback.MailFrom", f.MailFrom)+">")
	}
	for _, a := range f.RcptTo {
		c.field("Original-Rcpt-To", "<"+c.address("Feedback.RcptTo", a)+">")
	}
	c.date("Arrival-Date", c.report.Arrival)
	c.field("Reporting-MTA", typed("dns", c.report.ReportingMTA))
	c.field("Original-Envelope-Id", c.report.EnvelopeID)
	if f.SourceIP.IsValid() {
		c.field("Source-IP", f.SourceIP.String())
	}
	if f.Incidents > 1 {
		c.field("Incidents", strconv.Itoa(f.Incidents))
	}
	for _, list := range []struct {
		name   string
		values []string
	}{
		{"Authentication-Results", f.AuthenticationResults},
		{"Reported-Domain", f.ReportedDomain},
		{"Reported-URI", f.ReportedURI},
	} {
		for _, value := range list.values {
			c.field(list.name, value)
		}
	}
	c.field("Auth-Failure", f.AuthFailure)
	c.field("Delivery-Result", f.DeliveryResult)
	c.field("DKIM-Domain", f.DKIMDomain)
	c.field("DKIM-Identity", f.DKIMIdentity)
	c.field("DKIM-Selector", f.DKIMSelector)
	c.field("SPF-DNS", f.SPFDNS)
}

// original writes the header of the original as the last part.
func (c *composer) original() {
	c.line("")
	header := c.report.Original.Header
	if header == "" {
		return
	}
	eightBit := !isASCII(header)
	c.part(global(eightBit, "text/rfc822-headers", "message/global-headers"), eightBit)
	for line := range strings.Lines(header) {
		line = strings.TrimRight(line, "\r\n")
		c.require(strings.IndexByte(line, '\r') < 0, "Original.Header holds a bare CR")
		c.line(line)
	}
	c.line("")
}

// ascii says whether the report needs nothing of RFC 6533.
func (c *composer) ascii() bool {
	r := c.report
	for _, f := range r.Fields {
		if !isASCII(f.Value) {
			return false
		}
	}
	for i := range r.Recipients {
		one := &r.Recipients[i]
		if !isASCII(one.Final) || !isASCII(one.Original) || !isASCII(one.Reply.Text) {
			return false
		}
	}
	return r.Feedback == nil || isASCII(strings.Join(r.Feedback.RcptTo, "")+r.Feedback.MailFrom)
}

func global(utf8 bool, plain, global string) string {
	if utf8 {
		return global
	}
	return plain
}

// typed is a value with its type, empty if the value is.
func typed(kind, value string) string {
	if value == "" {
		return ""
	}
	return kind + "; " + value
}

func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// isWideSpace tells the spaces beyond ASCII, which readers trim.
func isWideSpace(r rune) bool { return r > 0x7f && unicode.IsSpace(r) }

// isText says whether s is UTF-8 without control characters but line feeds.
func isText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\n' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// dsnSubjects are the usual subjects of the kinds.
var dsnSubjects = map[Kind]string{
	KindBounce:  "Undelivered Mail Returned to Sender",
	KindDelay:   "Delayed Mail (still being retried)",
	KindSuccess: "Successful Mail Delivery Report",
}

func dsnSubject(r *Report) string { return dsnSubjects[kindOf(r.Recipients)] }

// dsnText says the same to people.
func dsnText(r *Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail system at %s.\n\n", r.ReportingMTA)
	for i := range r.Recipients {
		one := &r.Recipients[i]
		fmt.Fprintf(&b, "<%s>: %s (%s)\n", one.Final, one.Fate, one.Status)
	}
	return b.String()
}
