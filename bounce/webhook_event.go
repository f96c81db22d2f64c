package bounce

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// service says how the events of a provider read: three tables.
type service struct {
	name string
	// event and detail are the fields that tell what happened.
	event, detail []string
	kinds         []eventKind
	words         []eventWord
	fields        []eventField
}

// eventKind is a kind of event. An empty detail is any.
type eventKind struct {
	event, detail string
	kind          Kind
	reason        Reason // of complaints and the like
}

// eventWord is a word with which a provider classifies a failure. It counts where
// the words of the receiving server say less.
type eventWord struct {
	field, value string
	reason       Reason
}

// eventField is where a field of an event goes. A "*" in its path is the index of
// a list, one recipient each.
type eventField struct {
	path string
	to   target
}

// target is a place in a Report.
type target uint8

const (
	toNowhere      target = iota // known, and of no use
	toRecipient                  // Recipient.Final, if it is an address
	toFate                       // Recipient.Fate
	toStatus                     // Recipient.Status
	toReply                      // Recipient.Reply, from a diagnostic text
	toCode                       // Recipient.Reply.Code
	toRemoteMTA                  // Recipient.RemoteMTA
	toRetryUntil                 // Recipient.RetryUntil
	toReportingMTA               // Report.ReportingMTA
	toEnvelopeID                 // Report.EnvelopeID: an ID that the sender gave
	toArrival                    // Report.Arrival
	toID                         // Report.ID
	toDate                       // Report.Date
	toText                       // Report.Text
	toMessageID                  // Original.MessageID
	toSubject                    // Original.Subject
	toFrom                       // Original.From
	toReturnPath                 // Original.ReturnPath
	toOriginalTo                 // Original.To
	toHeaderName                 // Original.Header: a name, and
	toHeaderValue                // its value
	toFeedbackType               // Feedback.Type
	toUserAgent                  // Feedback.UserAgent
)

// leaf is one value of an event.
type leaf struct {
	path, value string
	index       int // in the list nearest to it
}

// maxEvents bounds the events of one request, and maxLeaves the values of one.
const (
	maxEvents = 10_000
	maxLeaves = 4_000
)

// reports translates the events of one request: an object, or a list of them.
func (s *service) reports(events []byte) ([]*Report, error) {
	var list []map[string]any
	d := json.NewDecoder(strings.NewReader(string(events)))
	d.UseNumber()
	if strings.HasPrefix(strings.TrimLeft(string(events), " \t\r\n"), "[") {
		if err := d.Decode(&list); err != nil {
			return nil, fmt.Errorf("events are not a list of JSON objects: %w", err)
		}
	} else {
		list = make([]map[string]any, 1)
		if err := d.Decode(&list[0]); err != nil {
			return nil, fmt.Errorf("event is not a JSON object: %w", err)
		}
	}
	if len(list) > maxEvents {
		return nil, fmt.Errorf("more than %d events", maxEvents)
	}
	var reports []*Report
	for _, event := range list {
		leaves, err := flatten(event)
		if err != nil {
			return nil, err
		}
		if r := s.report(leaves); r != nil {
			reports = append(reports, r)
		}
	}
	return reports, nil
}

// flatten lists the values of an event, in a settled order.
func flatten(event map[string]any) (leaves []leaf, err error) {
	var walk func(path string, index int, value any)
	walk = func(path string, index int, value any) {
		switch v := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				walk(strings.TrimPrefix(path+"."+name, "."), index, v[name])
			}
		case []any:
			for i, one := range v {
				walk(path+".*", i, one)
			}
		default:
			if len(leaves) == maxLeaves {
				err = fmt.Errorf("event has more than %d values", maxLeaves)
				return
			}
			if v != nil {
				leaves = append(leaves, leaf{path, fmt.Sprint(v), index})
			}
		}
	}
	walk("", 0, event)
	return leaves, err
}

// report translates one event; nil if it is no report.
func (s *service) report(leaves []leaf) *Report {
	what, ok := s.kind(leaves)
	if !ok {
		return nil
	}
	b := eventReader{service: s, report: &Report{Kind: what.kind, Agent: s.name}}
	if what.kind == KindComplaint {
		b.report.Feedback = &Feedback{Incidents: 1}
		if what.reason == OptOut {
			b.report.Feedback.Type = "opt-out"
		}
	}
	for _, l := range leaves {
		b.read(l)
	}
	b.finish(what)
	return b.report
}

// kind finds what happened.
func (s *service) kind(leaves []leaf) (eventKind, bool) {
	event, detail := first(leaves, s.event), first(leaves, s.detail)
	for _, k := range s.kinds {
		if strings.EqualFold(k.event, event) && (k.detail == "" || strings.EqualFold(k.detail, detail)) {
			return k, true
		}
	}
	return eventKind{}, false
}

func first(leaves []leaf, paths []string) string {
	for _, path := range paths {
		for _, l := range leaves {
			if l.path == path {
				return l.value
			}
		}
	}
	return ""
}

// eventReader builds the report of an event.
type eventReader struct {
	service *service
	report  *Report
	reason  Reason // by the provider's word
	header  string // the name of a field of the original's header
}

// read puts a value in its place.
func (b *eventReader) read(l leaf) {
	for _, w := range b.service.words {
		if b.reason == Undetermined && w.field == l.path && strings.EqualFold(w.value, l.value) {
			b.reason = w.reason
		}
	}
	i := slices.IndexFunc(b.service.fields, func(f eventField) bool { return f.path == l.path })
	if i < 0 {
		b.report.Fields = append(b.report.Fields, Field{l.path, l.value})
		return
	}
	to := b.service.fields[i].to
	if toRecipient <= to && to <= toRetryUntil {
		b.readRecipient(to, l)
		return
	}
	if err := b.readReport(to, l.value); err != nil {
		b.report.Problems = append(b.report.Problems, Problem{Text: fmt.Sprintf("%s: %v", l.path, err)})
	}
}

// recipient is the recipient of an index, which comes in order.
func (b *eventReader) recipient(index int) *Recipient {
	for len(b.report.Recipients) <= index {
		b.report.Recipients = append(b.report.Recipients, Recipient{})
	}
	return &b.report.Recipients[index]
}

func (b *eventReader) readRecipient(to target, l leaf) {
	r := b.recipient(l.index)
	switch to {
	case toRecipient:
		r.Final = bareAddress(l.value)
	case toFate:
		r.Fate, _ = ParseFate(strings.ToLower(l.value))
	case toStatus:
		r.Status, _ = ParseStatus(l.value)
	case toReply:
		b.readReply(r, l.value)
	case toCode:
		if code, err := strconv.Atoi(l.value); err == nil && 200 <= code && code < 600 {
			r.Reply.Code = code
		}
	case toRemoteMTA:
		r.RemoteMTA = l.value
	case toRetryUntil:
		r.RetryUntil, _ = parseTime(l.value)
	}
}

// readReply keeps the longest of the texts that tell of the answer.
func (b *eventReader) readReply(r *Recipient, text string) {
	if len(text) <= len(r.Reply.Text) || len(text) > maxText {
		return
	}
	code := r.Reply.Code
	r.Reply = ParseReply(text)
	if r.Reply.Code == 0 {
		r.Reply.Code = code
	}
}

func (b *eventReader) readReport(to target, value string) (err error) {
	r, o := b.report, &b.report.Original
	switch to {
	case toReportingMTA:
		r.ReportingMTA = trimType(value)
	case toEnvelopeID:
		r.EnvelopeID = value
	case toArrival:
		r.Arrival, err = parseTime(value)
	case toID:
		r.ID = value
	case toDate:
		r.Date, err = parseTime(value)
	case toText:
		r.Text = cutText(value)
	case toMessageID:
		o.MessageID = strings.Trim(value, "<> ")
	case toSubject:
		o.Subject = value
	case toFrom:
		o.From = bareAddress(value)
	case toReturnPath:
		o.ReturnPath = bareAddress(value)
	case toOriginalTo:
		o.To = appendNew(o.To, bareAddress(value))
	case toHeaderName:
		b.header = value
	case toHeaderValue:
		b.addHeader(value)
	case toFeedbackType:
		if r.Feedback != nil && r.Feedback.Type == "" {
			r.Feedback.Type = strings.ToLower(value)
		}
	case toUserAgent:
		if r.Feedback != nil {
			r.Feedback.UserAgent = value
		}
	}
	return err
}

// maxEventHeader bounds Original.Header.
const maxEventHeader = 64 << 10

// addHeader writes a field of the original's header as it stood there.
func (b *eventReader) addHeader(value string) {
	o := &b.report.Original
	if strings.ContainsAny(b.header+value, "\r\n") || len(o.Header)+len(b.header)+len(value) > maxEventHeader {
		return
	}
	o.Header += b.header + ": " + value + "\r\n"
}

// finish says what the event means for each recipient.
func (b *eventReader) finish(what eventKind) {
	r := b.report
	if r.Feedback != nil && r.Feedback.Type == "" {
		r.Feedback.Type = "abuse"
	}
	if len(r.Recipients) == 0 {
		for _, to := range r.Original.To {
			r.Recipients = append(r.Recipients, Recipient{Final: to})
		}
	}
	r.Recipients = slices.DeleteFunc(r.Recipients, func(one Recipient) bool { return one.Final == "" })
	for i := range r.Recipients {
		b.settle(&r.Recipients[i], what)
	}
	if r.ID == "" {
		r.ID = strings.Trim(r.Original.MessageID+":"+r.Kind.String(), ":")
	}
}

var fates = map[Kind]Fate{KindBounce: FateFailed, KindDelay: FateDelayed, KindSuccess: FateDelivered}

func (b *eventReader) settle(one *Recipient, what eventKind) {
	if one.Fate == FateUnknown {
		one.Fate = fates[what.kind]
	}
	if one.Status == (Status{}) {
		one.Status = one.Reply.Status
	}
	one.Reply.MX = one.RemoteMTA
	switch what.kind {
	case KindSuccess:
		one.Classification = Classification{Reason: Delivered, Confidence: ByTag}
		return
	case KindBounce, KindDelay:
		asked := one.Reply
		if asked.Status == (Status{}) {
			asked.Status = one.Status
		}
		one.Classification = Classify(asked)
		if what.reason == Undetermined {
			what.reason = b.reason
		}
		if what.reason == Undetermined || one.Confidence >= ByStatus && what.reason != Suppressed {
			break
		}
		fallthrough
	default:
		one.Temporary = what.kind == KindDelay
		one.obey(&rule{Rule: Rule{Name: b.service.name, Reason: what.reason}, confidence: ByTag})
	}
	if what.kind == KindDelay && one.Verdict == Hard { // they go on trying
		one.Temporary = true
		one.Verdict, one.Action = Soft, one.Reason.action(Soft, true)
	}
}

// bareAddress is the address in "Name <address>".
func bareAddress(s string) string {
	if m, ok := findAddress(s, 0); ok {
		return m.address
	}
	return strings.TrimSpace(s)
}

// parseTime reads seconds since 1970, or a date.
func parseTime(s string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && 0 < seconds && seconds < 1e11 {
		return time.UnixMilli(int64(seconds * 1000)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t := parseDate(s); !t.IsZero() {
		return t, nil
	}
	return time.Time{}, errors.New("no date that can be read")
}
