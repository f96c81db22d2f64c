package tracking

import (
	"bytes"
	"fmt"
	"io"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	gomessage "github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"
	"golang.org/x/net/publicsuffix"
)

// Finding is something about a template that large receivers refuse or mark.
type Finding struct {
	// Rule is the stable name, such as "one-click-missing".
	Rule     string
	Severity Severity
	// Detail says what was found, and what to do.
	Detail string
}

func (f Finding) String() string { return f.Severity.String() + ": " + f.Rule + ": " + f.Detail }

// Severity is what happens to mail with a finding.
type Severity uint8

// The severities.
const (
	Marked  Severity = iota // filed as spam, clipped, or shown with a warning, by some
	Refused                 // not accepted by Gmail, Yahoo or Microsoft, in bulk
)

var severityNames = [...]string{"marked", "refused"}

// String is the stable name, such as "marked".
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity %d", s)
}

// Lint reports what the requirements of Gmail, Yahoo and Microsoft for senders
// and the habits of their filters have against mail of this template. It looks at
// a copy for a made-up recipient, as a receiver would; DNS records and signatures
// are not in it. Every stream but [Transactional] is bulk.
func (p *Template) Lint() []Finding {
	v, err := p.view()
	if err != nil {
		return []Finding{{"unreadable", Refused, err.Error()}}
	}
	var list []Finding
	for _, rule := range lintRules {
		if rule.bulk && p.stream == Transactional {
			continue
		}
		for _, detail := range rule.check(v) {
			list = append(list, Finding{rule.name, rule.severity, detail})
		}
	}
	return list
}

// lintView is a copy as a receiver reads it.
type lintView struct {
	p        *Template
	header   gomail.Header
	envelope Envelope
	from     *gomail.Address
	size     int
	html     []byte // of all HTML parts
	text     string // of all plain text parts
	hasText  bool
	images   []viewImage
}

type viewImage struct {
	name string
	size int
}

// view renders a copy and reads it.
func (p *Template) view() (*lintView, error) {
	r := Recipient{ID: ID{6: 0x70, 8: 0x80}, To: mail.Address{Address: "ana@example.com"}, Fields: map[string]string{}}
	for _, n := range p.needs {
		if n.escape == escapeURL || n.escape == escapeTarget {
			r.Fields[n.field] = "https://example.com/"
		} else if _, ok := r.Fields[n.field]; !ok {
			r.Fields[n.field] = "x"
		}
	}
	raw, envelope, err := p.Append(nil, &r)
	if err != nil {
		return nil, err
	}
	entity, err := gomessage.Read(bytes.NewReader(raw))
	if err != nil && !gomessage.IsUnknownCharset(err) {
		return nil, err
	}
	v := &lintView{p: p, header: gomail.Header{Header: entity.Header}, envelope: envelope, size: len(raw)}
	from, err := v.header.AddressList("From")
	if err != nil || len(from) == 0 {
		return nil, fmt.Errorf("field From: %w", err)
	}
	v.from = from[0]
	return v, entity.Walk(v.part)
}

func (v *lintView) part(_ []int, e *gomessage.Entity, err error) error {
	if err != nil && !gomessage.IsUnknownCharset(err) {
		return err
	}
	media, _, _ := e.Header.ContentType()
	disposition, params, _ := e.Header.ContentDisposition()
	kind, _, _ := strings.Cut(media, "/")
	if disposition == "attachment" || kind == "multipart" || kind != "text" && kind != "image" {
		return nil
	}
	body, err := io.ReadAll(e.Body)
	switch {
	case kind == "image":
		v.images = append(v.images, viewImage{params["filename"], len(body)})
	case media == "text/html":
		v.html = append(v.html, body...)
	case media == "text/plain":
		v.text, v.hasText = v.text+string(body), true
	}
	return err
}

// lintRule finds faults of one kind; each string it returns is one.
type lintRule struct {
	name     string
	severity Severity
	bulk     bool // for bulk mail only
	check    func(v *lintView) []string
}

// The limits of the rules, in bytes.
const (
	clippedAt    = 102 << 10 // where Gmail cuts HTML off
	largeImage   = 1 << 20
	largeMessage = 25 << 20 // what Gmail takes
	longSubject  = 150
)

var lintRules = []lintRule{
	{"one-click-missing", Refused, true, func(v *lintView) []string {
		return when(v.header.Get("List-Unsubscribe-Post") == "" || !strings.Contains(v.header.Get("List-Unsubscribe"), "<https://"),
			"bulk mail needs List-Unsubscribe with an https URL and List-Unsubscribe-Post (RFC 8058): give the tracker an https base URL, and Options.Sink or Options.Unsubscribe")
	}},
	{"unsubscribe-link-missing", Marked, true, func(v *lintView) []string {
		return when(len(v.html) > 0 && !v.showsUnsubscribe(), `bulk mail needs a link to unsubscribe in its HTML: <a href="{{unsubscribe}}">`)
	}},
	{"from-free-mail", Refused, false, func(v *lintView) []string {
		return when(slices.Contains(freeMail, v.fromDomain()), "the DMARC policy of %s lets no one else send its mail: use a domain of your own", v.fromDomain())
	}},
	{"from-name-address", Marked, false, func(v *lintView) []string {
		return when(strings.Contains(v.from.Name, "@") && !strings.EqualFold(v.from.Name, v.from.Address), "the name in From, %q, shows an address other than %s", v.from.Name, v.from.Address)
	}},
	{"from-name-missing", Marked, true, func(v *lintView) []string {
		return when(v.from.Name == "", "From has an address without a name")
	}},
	{"return-path-unaligned", Marked, true, func(v *lintView) []string {
		_, domain, _ := strings.Cut(v.envelope.ReturnPath, "@")
		return when(organization(domain) != organization(v.fromDomain()), "the reverse-path is at %s and From at %s: SPF cannot align, so that DMARC hangs on DKIM alone", domain, v.fromDomain())
	}},
	{"link-host-unaligned", Marked, true, func(v *lintView) []string {
		base, err := url.Parse(v.p.tracker.base)
		return when(err == nil && v.follows() && organization(base.Hostname()) != organization(v.fromDomain()), "links lead over %s, while From is at %s: use a host of the same domain", v.p.tracker.base, v.fromDomain())
	}},
	{"duplicate-field", Refused, false, func(v *lintView) []string {
		return eachOf(singleFields, func(name string) []string {
			return when(v.header.FieldsByKey(name).Len() > 1, "the field %s may stand in a message once (RFC 5322, section 3.6)", name)
		})
	}},
	{"subject-empty", Marked, false, func(v *lintView) []string {
		return when(strings.TrimSpace(v.header.Get("Subject")) == "", "the subject is empty")
	}},
	{"subject-long", Marked, false, func(v *lintView) []string {
		subject, _ := v.header.Subject()
		return when(len([]rune(subject)) > longSubject, "the subject has %d characters; clients show about 60", len([]rune(subject)))
	}},
	{"marker-left", Marked, false, func(v *lintView) []string {
		subject, _ := v.header.Subject()
		return eachOf([]string{subject, v.text, string(v.html)}, func(s string) []string {
			marker := leftMarker(s)
			return when(marker != "", "%q is no merge field, and will be sent as it is", marker)
		})
	}},
	{"not-utf8", Marked, false, func(v *lintView) []string {
		return when(!utf8.Valid(v.html) || !utf8.ValidString(v.text), "a text is not UTF-8, as its charset says")
	}},
	{"html-clipped", Marked, false, func(v *lintView) []string {
		return when(len(v.html) > clippedAt, "the HTML has %d KB; Gmail cuts off what is above %d", len(v.html)>>10, clippedAt>>10)
	}},
	{"text-missing", Marked, false, func(v *lintView) []string {
		return when(!v.hasText, "there is no plain text beside the HTML")
	}},
	{"text-empty", Marked, false, func(v *lintView) []string {
		return when(v.hasText && strings.TrimSpace(v.text) == "", "there is nothing to read but images")
	}},
	{"http-link", Marked, false, func(v *lintView) []string {
		return v.eachLink(func(l *Link) []string {
			return when(len(l.URL) > 7 && strings.EqualFold(l.URL[:7], "http://"), "%s is not https", l.URL)
		})
	}},
	{"link-shortener", Marked, false, func(v *lintView) []string {
		return v.eachLink(func(l *Link) []string {
			u, err := url.Parse(l.URL)
			return when(err == nil && slices.Contains(shorteners, strings.ToLower(u.Hostname())), "%s hides where it leads, as spam does", l.URL)
		})
	}},
	{"link-text-url", Marked, false, func(v *lintView) []string {
		return eachOf(linkTexts(v.html), func(text string) []string {
			return when(v.follows() && looksLikeURL(text), "the link shows %q but leads over the tracker, as phishing does: use words, or data-no-track", text)
		})
	}},
	{"active-content", Marked, false, func(v *lintView) []string {
		return eachOf(activeElements(v.html), func(element string) []string {
			return when(true, "<%s> is removed or blocked by mail clients", element)
		})
	}},
	{"image-large", Marked, false, func(v *lintView) []string {
		return eachOf(v.images, func(i viewImage) []string {
			return when(i.size > largeImage, "image %q has %d KB", i.name, i.size>>10)
		})
	}},
	{"message-large", Refused, false, func(v *lintView) []string {
		return when(v.size > largeMessage, "the message has %d MB; Gmail takes %d", v.size>>20, largeMessage>>20)
	}},
}

// freeMail are large providers whose DMARC policy is quarantine or reject.
var freeMail = []string{
	"gmail.com", "googlemail.com", "yahoo.com", "yahoo.es", "ymail.com", "aol.com", "outlook.com", "hotmail.com", "live.com", "msn.com",
	"icloud.com", "me.com", "mac.com", "gmx.com", "gmx.de", "web.de", "mail.ru", "yandex.ru", "proton.me", "protonmail.com", "zoho.com",
}

var shorteners = []string{"bit.ly", "t.co", "goo.gl", "tinyurl.com", "ow.ly", "is.gd", "buff.ly", "cutt.ly", "rb.gy", "shorturl.at", "tiny.cc"}

// singleFields may stand in a message once.
var singleFields = []string{"From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-Id", "Feedback-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}

// when returns the detail if it holds.
func when(holds bool, format string, args ...any) []string {
	if !holds {
		return nil
	}
	return []string{fmt.Sprintf(format, args...)}
}

// eachOf joins what check finds in each of list.
func eachOf[T any](list []T, check func(T) []string) []string {
	var found []string
	for _, v := range list {
		found = append(found, check(v)...)
	}
	return found
}

func (v *lintView) eachLink(check func(*Link) []string) []string {
	var found []string
	for i := range v.p.links {
		found = append(found, check(&v.p.links[i])...)
	}
	return found
}

func (v *lintView) fromDomain() string {
	return strings.ToLower(v.from.Address[strings.LastIndexByte(v.from.Address, '@')+1:])
}

// organization is the domain that was registered, by which DMARC aligns (RFC
// 7489, section 3.2).
func organization(domain string) string {
	domain = strings.ToLower(domain)
	if registered, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return registered
	}
	return domain
}

// follows reports whether any link leads over the tracker.
func (v *lintView) follows() bool {
	return v.p.policy.Clicks > Off && slices.ContainsFunc(v.p.links, func(l Link) bool { return l.Skipped == "" })
}

// showsUnsubscribe looks for a link to unsubscribe: ours, or one that says so.
func (v *lintView) showsUnsubscribe() bool {
	if bytes.Contains(v.html, []byte(v.p.tracker.base+pathUnsubscribe)) {
		return true
	}
	said := func(s string) bool {
		s = strings.ToLower(s)
		return slices.ContainsFunc([]string{"unsub", "opt-out", "optout", "darse de baja", "baja", "désabonn", "abmelden"}, func(word string) bool { return strings.Contains(s, word) })
	}
	return slices.ContainsFunc(v.p.links, func(l Link) bool { return said(l.URL) }) || slices.ContainsFunc(linkTexts(v.html), said)
}

// leftMarker finds a marker of a template language that nothing filled in.
func leftMarker(s string) string {
	for _, marker := range [...][2]string{{"{{", "}}"}, {"{%", "%}"}, {"<%", "%>"}, {"*|", "|*"}, {"[[", "]]"}} {
		_, rest, found := strings.Cut(s, marker[0])
		inner, _, closed := strings.Cut(rest, marker[1])
		if found && closed && len(inner) < 60 && !strings.ContainsAny(inner, "\r\n") {
			return marker[0] + inner + marker[1]
		}
	}
	return ""
}

// linkTexts are the texts of the links.
func linkTexts(html []byte) []string {
	var list []string
	var text strings.Builder
	open := false
	s := htmlScanner{src: html}
	for t, ok := s.next(); ok; t, ok = s.next() {
		link := len(t.name) == 1 && t.name[0]|0x20 == 'a'
		switch {
		case t.kind == htmlText && open:
			text.Write(html[t.start:t.end])
		case (t.kind == htmlStart || t.kind == htmlEnd) && link:
			if open {
				list = append(list, strings.TrimSpace(UnescapeAttr(text.String())))
			}
			text.Reset()
			open = t.kind == htmlStart
		}
	}
	return list
}

// looksLikeURL reports whether a text reads as a web address.
func looksLikeURL(s string) bool {
	s = strings.ToLower(s)
	return !strings.ContainsAny(s, " \n") && (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "www."))
}

// activeElements are the elements of html that mail clients do not run.
func activeElements(html []byte) []string {
	var list []string
	s := htmlScanner{src: html}
	for t, ok := s.next(); ok; t, ok = s.next() {
		name := strings.ToLower(string(t.name))
		if t.kind != htmlStart || slices.Contains(list, name) || !slices.Contains([]string{"script", "iframe", "object", "embed", "form", "applet"}, name) {
			continue
		}
		if name == "script" && bytes.Contains(html[t.start:t.end], []byte("ld+json")) {
			continue // data that Gmail reads
		}
		list = append(list, name)
	}
	return list
}
