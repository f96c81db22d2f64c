package bounce

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// The limits of [Parse]. What lies beyond them is noted in Problems.
const (
	maxHead       = 1 << 20  // bytes read from the start of a mail
	maxTail       = 1 << 20  // and from its end
	maxMail       = 64 << 20 // bytes after which reading stops
	maxParts      = 100      // MIME parts
	maxDepth      = 20       // MIME levels
	maxRecipients = 10_000
	maxHeaderLine = 64 << 10 // of one field, and of the header that is returned
	maxFields     = 100      // extension fields that are kept
	maxProblems   = 20
	maxNesting    = 3 // reports within reports
)

// Parse reads a returned mail: a delivery status notification (RFC 3464, RFC
// 6533), the text that servers without them send, a feedback report (RFC 5965,
// RFC 6591), an automatic reply (RFC 3834), a challenge, or a disposition
// notification (RFC 8098). Lines may end in CRLF, LF or CR.
//
// Parse takes any input. Mail that is none of these is a Report of kind
// [NotReport], and what is malformed is noted in Problems; the error is that of r
// alone. Reading stops at limits: of a mail of more than 2 MiB the middle is passed
// over, and at most 100 parts, 20 levels of them, 10,000 recipients and 64 KiB of a
// field are looked at. Time and memory are linear in what is read, and the same
// mail gives the same Report each time.
func Parse(r io.Reader) (*Report, error) {
	p := parser{report: &Report{}}
	text, err := p.read(r)
	if err != nil {
		return nil, fmt.Errorf("bounce: read mail: %w", err)
	}
	p.parse(text)
	p.report.Problems = p.problems.list
	p.report.detach()
	return p.report, nil
}

// parser holds what is known of one mail while it is read.
type parser struct {
	report                        *Report
	problems                      problems
	head                          envelope
	parts                         []part
	prose                         string   // what people read, without what was returned
	returned                      string   // the header of the original, and maybe its body
	failed                        []string // X-Failed-Recipients
	mdnFinal, mdnOriginal         string
	nesting                       int
	forwarded                     bool // by a person, with every line quoted
	status, disposition, feedback bool
}

// problems collects what was malformed, up to a limit.
type problems struct{ list []Problem }

func (p *problems) add(offset int, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, Problem{Offset: offset, Text: fmt.Sprintf(format, args...)})
	}
}

// read reads the head and the tail of a mail, with line feeds only.
func (p *parser) read(r io.Reader) (string, error) {
	size := 4 << 10
	if sized, ok := r.(interface{ Len() int }); ok {
		size = min(sized.Len(), maxHead+maxTail) + 1
	}
	buf := make([]byte, 0, size)
	for len(buf) < maxHead+maxTail {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), maxHead+maxTail)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return string(normalizeNewlines(buf)), nil
		}
		if err != nil {
			return "", err
		}
	}
	return p.readTail(r, buf)
}

// readTail reads on, and keeps the newest maxTail bytes behind the first maxHead.
func (p *parser) readTail(r io.Reader, buf []byte) (string, error) {
	tail := buf[maxHead:]
	next, total := 0, len(buf)
	block := make([]byte, 32<<10)
	for total < maxMail {
		n, err := r.Read(block)
		for part := block[:n]; len(part) > 0; {
			k := copy(tail[next:], part)
			next = (next + k) % len(tail)
			part = part[k:]
		}
		total += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if total == len(buf) {
		return string(normalizeNewlines(buf)), nil
	}
	p.problems.add(maxHead, "%d bytes were passed over", total-len(buf))
	whole := append(make([]byte, 0, len(buf)+1), buf[:maxHead]...)
	whole = append(append(append(whole, '\n'), tail[next:]...), tail[:next]...)
	return string(normalizeNewlines(whole)), nil
}

// parse fills in the report.
func (p *parser) parse(text string) {
	header, body := cutHeader(strings.TrimLeft(text, "\n"))
	p.readEnvelope(header)
	s := splitter{problems: &p.problems}
	s.split(header, body, len(text)-len(body), 0)
	p.parts = s.parts
	p.readParts()
	if p.readNotification() {
		return
	}
	p.readReturned()
	p.decide()
	p.finish()
}

// readParts sorts the parts: which are fields for machines, which the text for
// people, which the original.
func (p *parser) readParts() {
	var page string
	var prose []string
	for i := range p.parts {
		part := &p.parts[i]
		switch part.mediaType {
		case "message/delivery-status", "message/global-delivery-status", "message/delivery-notification":
			p.status = true
			p.readStatus(part.text())
		case "message/feedback-report":
			p.feedback = true
			p.readFeedback(part.text())
		case "message/disposition-notification", "message/global-disposition-notification":
			p.disposition = true
			p.readDisposition(part.text())
		case "message/rfc822", "message/global", "text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers",
			"message/global-headers", "message/partial":
			if p.returned == "" {
				p.returned = decodeTransfer(part.encoding, part.body)
			}
		case "text/html":
			if page == "" {
				page = part.text()
			}
		default:
			if strings.HasPrefix(part.mediaType, "text/") || part.mediaType == preambleType {
				prose = append(prose, p.readText(part))
			}
		}
	}
	p.prose = strings.TrimSpace(strings.Join(prose, "\n\n"))
	if page != "" && len(p.prose) < 16 {
		p.prose = p.splitReturned(stripHTML(page))
	}
}

// readText reads a part of text. It may hold what belongs into parts of their own.
func (p *parser) readText(part *part) string {
	text := part.text()
	if looksReturned(text) && len(p.parts) > 1 { // QUIRK: headers are attached as plain text
		if p.returned == "" {
			p.returned = text
		}
		return ""
	}
	return p.splitReturned(text)
}

// readNotification reads a notification of Amazon SES that SNS sent as mail, and not
// to a webhook: the text is the event.
func (p *parser) readNotification() bool {
	end := strings.LastIndexByte(p.prose, '}')
	if end < 0 || p.prose[0] != '{' || !strings.Contains(p.lead(), `"notificationType"`) {
		return false
	}
	events, err := ses.reports([]byte(strings.ReplaceAll(p.prose[:end+1], "\n", ""))) // lines are wrapped
	if err != nil || len(events) == 0 {
		return false
	}
	r, event := p.report, events[0]
	r.Kind, r.Agent, r.Recipients, r.Original, r.Feedback = event.Kind, event.Agent, event.Recipients, event.Original, event.Feedback
	r.ReportingMTA, r.EnvelopeID, r.Arrival, r.Fields = event.ReportingMTA, event.EnvelopeID, event.Arrival, event.Fields
	r.Text = cutText(p.prose)
	return true
}
