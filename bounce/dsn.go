package bounce

import "strings"

// status collects the recipients of a delivery status (RFC 3464, section 2.1). It
// reads more than the grammar allows: empty lines between the fields of one
// recipient, none between two, and other lines among them.
type status struct {
	*parser
	current *Recipient
	// gap says that an empty line came since the last field.
	gap bool
	// diagnosed says that the last field was a Diagnostic-Code, which lost its
	// folds if other lines follow it.
	diagnosed bool
}

// readStatus reads the fields of a delivery status into the report.
func (p *parser) readStatus(body string) {
	s := status{parser: p}
	for rest := body; rest != ""; {
		if rest[0] == '\n' {
			s.gap, s.diagnosed = true, false
			rest = rest[1:]
			continue
		}
		line := rest
		var name, value string
		name, value, rest = nextField(rest)
		if name == "" {
			s.continueDiagnostic(line[:len(line)-len(rest)])
			continue
		}
		s.field(name, value)
	}
}

// field takes one field.
func (s *status) field(name, value string) {
	var buf [40]byte
	s.diagnosed = false
	switch key := lower(&buf, name); string(key) {
	case "reporting-mta", "x-reporting-mta":
		s.report.ReportingMTA = typedName(value)
	case "original-envelope-id":
		s.report.EnvelopeID = unfold(value)
	case "arrival-date":
		s.report.Arrival = parseDate(value)
	case "received-from-mta", "dsn-gateway":
	case "final-recipient":
		s.recipient(s.current != nil && s.current.Final != "").Final = typedAddress(value)
	case "original-recipient":
		s.recipient(s.current != nil && s.current.Original != "").Original = typedAddress(value)
	case "action":
		s.recipient(s.current != nil && s.current.Fate != FateUnknown).Fate = fateOf(value)
	case "status":
		r := s.recipient(s.current != nil && s.current.Status != Status{})
		r.Status, _ = ParseStatus(unfold(value))
	case "remote-mta":
		s.recipient(s.current != nil && s.current.RemoteMTA != "").RemoteMTA = typedName(value)
	case "diagnostic-code", "x-supplementary-info":
		s.diagnostic(value)
	case "last-attempt-date":
		s.recipient(s.current != nil && !s.current.LastAttempt.IsZero()).LastAttempt = parseDate(value)
	case "will-retry-until":
		s.recipient(s.current != nil && !s.current.RetryUntil.IsZero()).RetryUntil = parseDate(value)
	default:
		s.extension(name, value)
	}
	s.gap = false
}

// recipient is the one that the next field belongs to. taken says that the current
// one has such a field already.
func (s *status) recipient(taken bool) *Recipient {
	named := s.current != nil && (s.current.Final != "" || s.current.Original != "")
	if s.current == nil || taken || s.gap && named && s.complete() {
		s.current = s.add()
	}
	return s.current
}

// complete says whether the current recipient has what every recipient has, so
// that an empty line ends it.
func (s *status) complete() bool {
	return s.current.Fate != FateUnknown || s.current.Status != Status{}
}

func (s *status) diagnostic(value string) {
	r := s.recipient(false)
	text := typedText(value)
	if strings.Trim(text, "0123456789") == "" {
		text = "" // the exit code of a program
	}
	if r.Reply.Text == "" || hasPrefixFold(value, "smtp") {
		r.Reply.Text = text
	}
	s.diagnosed = true
}

// continueDiagnostic takes a line that is no field.
func (s *status) continueDiagnostic(line string) {
	if s.diagnosed && s.current != nil && len(s.current.Reply.Text) < maxText {
		s.current.Reply.Text += "\n" + strings.TrimSpace(line)
	}
}

func (s *status) extension(name, value string) {
	if hasPrefixFold(name, "X-") && len(s.report.Fields) < maxFields {
		s.report.Fields = append(s.report.Fields, Field{Name: name, Value: unfold(value)})
	}
}

// fateWords are the values of Action, and what is written instead of them.
var fateWords = []struct {
	prefix string
	fate   Fate
}{
	{"fail", FateFailed},
	{"expired", FateFailed},
	{"delay", FateDelayed},
	{"deliver", FateDelivered}, // "deliverable" answers a probe
	{"relay", FateRelayed},
	{"expand", FateExpanded},
}

func fateOf(value string) Fate {
	for _, w := range fateWords {
		if hasPrefixFold(value, w.prefix) {
			return w.fate
		}
	}
	return FateUnknown
}

// typedName is the value of "dns; mx.example.com".
func typedName(value string) string {
	kind, name, found := strings.Cut(value, ";")
	if !found {
		name = kind
	}
	name, _, _ = strings.Cut(strings.TrimSpace(unfold(name)), " ")
	return name
}

// typedText is the value of "smtp; 550 5.1.1 unknown user".
func typedText(value string) string {
	kind, text, found := strings.Cut(value, ";")
	// A kind is one word. QUIRK: it is left out, or says "smtp" without more.
	if found && !strings.ContainsAny(strings.TrimSpace(kind), " \t\n<") {
		value = text
	}
	return foldLines(value)
}

// foldLines trims every line of a folded value.
func foldLines(s string) string {
	s = strings.TrimSpace(s)
	if strings.IndexByte(s, '\n') < 0 {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.TrimSpace(line))
	}
	return b.String()
}
