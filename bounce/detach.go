package bounce

import "strings"

// detach copies the strings of a report out of the mail that they are parts of, so
// that a small report does not keep a large mail in memory. They go into one block.
func (r *Report) detach() {
	n := 0
	r.strings(func(s *string) { n += len(*s) })
	var block strings.Builder
	block.Grow(n)
	r.strings(func(s *string) {
		start := block.Len()
		block.WriteString(*s)
		*s = block.String()[start:]
	})
}

// strings calls f for each string of the report that can be a part of the mail.
func (r *Report) strings(f func(*string)) {
	o := &r.Original
	for _, s := range [...]*string{
		&r.Disposition, &r.ReportingMTA, &r.EnvelopeID, &r.ID, &r.From, &r.Subject, &r.Text,
		&o.MessageID, &o.Subject, &o.From, &o.ReturnPath, &o.ListID, &o.FeedbackID, &o.CFBLFeedbackID, &o.Header,
	} {
		f(s)
	}
	for i := range r.Recipients {
		one := &r.Recipients[i]
		for _, s := range [...]*string{&one.Final, &one.Original, &one.RemoteMTA, &one.Reply.Text, &one.Reply.MX} {
			f(s)
		}
	}
	for i := range r.Fields {
		f(&r.Fields[i].Name)
		f(&r.Fields[i].Value)
	}
	each(r.To, f)
	each(o.To, f)
	if b := r.Feedback; b != nil {
		for _, s := range [...]*string{&b.Type, &b.UserAgent, &b.MailFrom, &b.AuthFailure, &b.DeliveryResult, &b.DKIMDomain, &b.DKIMIdentity, &b.DKIMSelector, &b.SPFDNS} {
			f(s)
		}
		each(b.RcptTo, f)
		each(b.ReportedDomain, f)
		each(b.ReportedURI, f)
		each(b.AuthenticationResults, f)
	}
}

func each(list []string, f func(*string)) {
	for i := range list {
		f(&list[i])
	}
}
