package tracking

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"net/mail"
	"net/textproto"
	"path"
	"slices"
	"strings"
)

// Message is what all recipients of one mailing get. Its texts are UTF-8 and may
// hold merge fields, written {{name}}, which [Recipient.Fields] fills: in Subject,
// HTML, Text and AMP, and in the values of Header. Each value is escaped for the
// place where it stands. {{unsubscribe}} and {{tracking_preferences}} are filled
// with the URLs of the tracker's pages.
type Message struct {
	// From is the author. Its domain is also that of the Message-ID.
	From mail.Address
	// Sender is who sends the message on the author's behalf; nil if that is the
	// author.
	Sender *mail.Address
	// ReplyTo is where answers go; empty means to From.
	ReplyTo []mail.Address
	// To and Cc are shown to every recipient instead of their own address. Empty To
	// shows each recipient's.
	To, Cc []mail.Address

	Subject string
	// HTML is kept byte for byte, but for the links, the pixel and the fields. Links
	// with the attribute data-no-track are left alone.
	HTML string
	// Text is the plain text. If it is empty, it is made from HTML.
	Text string
	// TextLinks follows the links in the plain text, too, which makes them long.
	TextLinks bool
	// AMP is an AMP version of HTML, which needs that and Text beside it.
	AMP string
	// Calendar is an iCalendar object (RFC 5545) with a METHOD, shown as an
	// invitation.
	Calendar string
	// Parts are attachments and inline images.
	Parts []Part

	// Header holds further fields. Those that the template writes itself, such as
	// Subject, Date or Content-Type, are refused.
	Header textproto.MIMEHeader
	// ListID is the identifier of the List-Id field (RFC 2919): "news.example.com".
	ListID string
	// UnsubscribeMail is an address that takes unsubscribe requests by mail.
	UnsubscribeMail string

	// Campaign, Stream and Tenant label events and statistics, and are the parts of
	// the Feedback-ID. Mail of the stream [Transactional] gets no List-Unsubscribe.
	Campaign, Stream, Tenant string
	// Tags and Meta come back in every event.
	Tags []string
	Meta map[string]string

	// UTM are parameters to add to the query of every web link, "utm_source" and
	// the like. A link that has the parameter keeps its own.
	UTM []Param
	// Policy restricts what is kept of opens and clicks.
	Policy Policy
}

// Transactional is the stream of mail that a person's own action caused.
const Transactional = "transactional"

// Param is a name and its value.
type Param struct{ Name, Value string }

// Part is an attachment, or with a ContentID an image in the HTML.
type Part struct {
	// Name is the file name.
	Name string
	// Type is the media type. Empty means by the extension of Name, or else by the
	// content.
	Type string
	// ContentID is the name by which HTML shows the part: src="cid:<ContentID>".
	ContentID string
	// Open opens the content. It is called once by each Compile, which closes what
	// it returns.
	Open func() (io.ReadCloser, error)
}

// BytesPart is an attachment in memory.
func BytesPart(name string, content []byte) Part {
	return ReaderPart(name, bytes.NewReader(content))
}

// ReaderPart is an attachment that is read from r. A reader that can seek is read
// from its start each time; any other serves one Compile.
func ReaderPart(name string, r io.Reader) Part {
	return Part{Name: name, Open: func() (io.ReadCloser, error) {
		if s, ok := r.(io.Seeker); ok {
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
		}
		return io.NopCloser(r), nil
	}}
}

// FilePart is an attachment from a file system, named by the last element of its
// path.
func FilePart(fsys fs.FS, name string) Part {
	return Part{Name: path.Base(name), Open: func() (io.ReadCloser, error) { return fsys.Open(name) }}
}

// Inline returns p as an image that HTML shows by src="cid:<id>".
func (p Part) Inline(id string) Part {
	p.ContentID = id
	return p
}

// loadedPart is a part with its content.
type loadedPart struct {
	Part
	content []byte
}

func (p Part) load() (loadedPart, error) {
	if p.Open == nil {
		return loadedPart{}, fmt.Errorf("part %q: Open is nil: use BytesPart, ReaderPart or FilePart", p.Name)
	}
	r, err := p.Open()
	if err != nil {
		return loadedPart{}, fmt.Errorf("part %q: %w", p.Name, err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return loadedPart{}, fmt.Errorf("part %q: %w", p.Name, err)
	}
	if p.Type == "" {
		p.Type = mime.TypeByExtension(path.Ext(p.Name))
	}
	if p.Type == "" {
		p.Type = http.DetectContentType(content)
	}
	return loadedPart{p, content}, p.check()
}

// check refuses what would break the header of the part.
func (p Part) check() error {
	media, _, err := mime.ParseMediaType(p.Type)
	switch {
	case err != nil || !strings.Contains(media, "/"):
		return fmt.Errorf("part %q: type %q is not a media type", p.Name, p.Type)
	case strings.HasPrefix(media, "multipart/"), media == "message/rfc822":
		return fmt.Errorf("part %q: type %q must not be encoded in base64 (RFC 2046, section 5.2.1)", p.Name, p.Type)
	case unfit(p.Name):
		return fmt.Errorf("part %q: the name has control characters or is not UTF-8", p.Name)
	case strings.ContainsFunc(p.ContentID, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>()\\", r) }):
		return fmt.Errorf("part %q: content ID %q has characters other than printable ASCII", p.Name, p.ContentID)
	}
	return nil
}

// ownFields are written by the template.
var ownFields = []string{
	"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Date", "Message-Id", "List-Id", "List-Unsubscribe",
	"List-Unsubscribe-Post", "Feedback-Id", "Mime-Version", "Content-Type", "Content-Transfer-Encoding",
	"Content-Disposition", "Return-Path", "Dkim-Signature", "Received",
}

// check returns an error that joins all faults of m but those of its parts.
func (m *Message) check() error {
	var faults []error
	for _, group := range []struct {
		field string
		list  []mail.Address
	}{{"From", []mail.Address{m.From}}, {"Reply-To", m.ReplyTo}, {"To", m.To}, {"Cc", m.Cc}, {"Sender", m.sender()}} {
		for _, a := range group.list {
			if err := checkMailbox(a); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", group.field, err))
			}
		}
	}
	if m.HTML == "" && m.Text == "" {
		faults = append(faults, errors.New("the message has neither HTML nor Text"))
	}
	if m.AMP != "" && m.HTML == "" {
		faults = append(faults, errors.New("AMP needs HTML beside it, for clients that do not show AMP"))
	}
	for _, f := range []struct{ field, value string }{
		{"Subject", m.Subject}, {"Campaign", m.Campaign}, {"Stream", m.Stream}, {"Tenant", m.Tenant},
	} {
		if unfit(f.value) {
			faults = append(faults, fmt.Errorf("%s %q has a control character or a line end, or is not UTF-8", f.field, f.value))
		}
	}
	faults = append(faults, m.checkHeader(), m.checkList(), m.Policy.check())
	return errors.Join(faults...)
}

func (m *Message) sender() []mail.Address {
	if m.Sender == nil {
		return nil
	}
	return []mail.Address{*m.Sender}
}

// checkMailbox checks an address and its name.
func checkMailbox(a mail.Address) error {
	if unfit(a.Name) {
		return fmt.Errorf("name %q of %q has a control character or is not UTF-8", a.Name, a.Address)
	}
	return checkAddress(a.Address)
}

func (m *Message) checkHeader() error {
	var faults []error
	for name, values := range m.Header {
		switch {
		case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) || name == "":
			faults = append(faults, fmt.Errorf("header field name %q must be printable ASCII without a colon", name))
		case slices.Contains(ownFields, textproto.CanonicalMIMEHeaderKey(name)):
			faults = append(faults, fmt.Errorf("header field %s is written by the template: use the fields of Message", name))
		}
		for _, v := range values {
			if unfit(v) {
				faults = append(faults, fmt.Errorf("header field %s: %q has a control character or a line end, or is not UTF-8", name, v))
			}
			if slices.ContainsFunc(strings.Fields(v), func(word string) bool { return len(word) > 900 }) {
				faults = append(faults, fmt.Errorf("header field %s: a word is longer than the 998 octets of a line", name))
			}
		}
	}
	return errors.Join(faults...)
}

func (m *Message) checkList() error {
	var faults []error
	if m.ListID != "" && !isDomain(m.ListID) {
		faults = append(faults, fmt.Errorf("ListID %q is not of the form of a domain name (RFC 2919, section 3)", m.ListID))
	}
	if m.UnsubscribeMail != "" {
		if err := checkAddress(m.UnsubscribeMail); err != nil {
			faults = append(faults, fmt.Errorf("UnsubscribeMail: %w", err))
		}
	}
	for _, p := range m.UTM {
		if p.Name == "" {
			faults = append(faults, fmt.Errorf("UTM parameter with the value %q has no name", p.Value))
		}
	}
	return errors.Join(faults...)
}

// hash names the content of m, so that equal messages make equal templates.
func (m *Message) hash(parts []loadedPart) [sha256.Size]byte {
	h := contentHash{sha256.New()}
	for _, list := range [][]mail.Address{{m.From}, m.sender(), m.ReplyTo, m.To, m.Cc} {
		h.count(len(list))
		for _, a := range list {
			h.strings(a.Name, a.Address)
		}
	}
	h.strings(m.Subject, m.HTML, m.Text, m.AMP, m.Calendar, m.ListID, m.UnsubscribeMail, m.Campaign, m.Stream, m.Tenant)
	h.count(len(parts))
	for _, p := range parts {
		h.strings(p.Name, p.Type, p.ContentID, string(p.content))
	}
	h.count(len(m.Header))
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		h.strings(name)
		h.list(m.Header[name])
	}
	h.list(m.Tags)
	h.count(len(m.Meta))
	for _, name := range slices.Sorted(maps.Keys(m.Meta)) {
		h.strings(name, m.Meta[name])
	}
	h.count(len(m.UTM))
	for _, p := range m.UTM {
		h.strings(p.Name, p.Value)
	}
	h.strings(fmt.Sprint(m.Policy, m.TextLinks))
	return [sha256.Size]byte(h.Sum(nil))
}

// contentHash hashes values so that no two lists of them read the same.
type contentHash struct{ hash.Hash }

func (h contentHash) count(n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h contentHash) strings(list ...string) {
	for _, s := range list {
		h.count(len(s))
		io.WriteString(h, s)
	}
}

func (h contentHash) list(list []string) {
	h.count(len(list))
	h.strings(list...)
}
