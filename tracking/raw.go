package tracking

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"

	gomessage "github.com/emersion/go-message"
	gomail "github.com/emersion/go-message/mail"
	gotextproto "github.com/emersion/go-message/textproto"
)

// ErrSigned is wrapped by the errors of [Tracker.CompileRaw] for a message whose
// bytes must not change.
var ErrSigned = errors.New("signed or encrypted: track the message before it is signed")

// CompileRaw makes a template of a finished message (RFC 5322), as other libraries
// build it. Its HTML parts are followed as those of [Tracker.Compile] are, and
// written in quoted-printable; every other byte is copied, but for the fields Bcc
// and Return-Path, which are dropped. Date, To, Message-ID and the fields for
// one-click unsubscribing are added where they are missing. Merge fields are not
// filled. Line ends become CRLF. msg is not kept.
//
// A message that is signed or encrypted is refused with [ErrSigned].
func (t *Tracker) CompileRaw(msg []byte) (*Template, error) {
	if bytes.HasPrefix(msg, []byte("From ")) { // QUIRK: mbox files begin so
		msg = msg[after(msg, 0, '\n'):]
	}
	b := builder{t: t, m: &Message{}, raw: true}
	if err := b.finished(withCRLF(msg)); err != nil {
		return nil, fmt.Errorf("tracking: compile: %w", err)
	}
	return b.template(), nil
}

// withCRLF returns msg with CRLF for every line end.
func withCRLF(msg []byte) []byte {
	if bytes.Count(msg, []byte("\n")) == bytes.Count(msg, []byte("\r\n")) {
		return msg
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

func (b *builder) finished(msg []byte) error {
	hash := sha256.Sum256(msg)
	b.mailing = mailing(hash[:mailingSize])
	b.policy = b.t.opts.Policy
	raw, body := splitEntity(msg)
	header, err := parseHeader(raw)
	if err != nil {
		return err
	}
	if header.Has("Dkim-Signature") {
		return fmt.Errorf("field DKIM-Signature: %w", ErrSigned)
	}
	if err := b.origin(header); err != nil {
		return err
	}
	b.utf8 = !isASCII(string(raw))
	err = b.rawEntity(rawEntity{raw, header, body, []string{"bcc", "return-path"}, func() { b.missingFields(header) }}, 0)
	if column(b.text) > 0 {
		b.add("\r\n")
	}
	return errors.Join(append(b.faults, err)...)
}

// origin reads who a finished message is from.
func (b *builder) origin(header gomessage.Header) error {
	h := gomail.Header{Header: header}
	from, err := h.AddressList("From")
	if err != nil || len(from) == 0 {
		return fmt.Errorf("the field From is missing or malformed: %q", header.Get("From"))
	}
	author := from[0]
	if sender, err := h.AddressList("Sender"); err == nil && len(sender) > 0 {
		author = sender[0]
	}
	for _, a := range []*gomail.Address{from[0], author} {
		if err := checkMailbox(mail.Address{Name: a.Name, Address: a.Address}); err != nil {
			return err
		}
	}
	b.from = author.Address
	b.domain = from[0].Address[strings.LastIndexByte(from[0].Address, '@')+1:]
	b.messageID, _ = h.MessageID()
	return nil
}

// missingFields adds the fields that a finished message lacks.
func (b *builder) missingFields(header gomessage.Header) {
	if !header.Has("Date") {
		b.dateField()
	}
	if !header.Has("To") && !header.Has("Cc") {
		b.toField()
	}
	if !header.Has("Message-Id") {
		b.messageIDField()
	}
	if !header.Has("List-Unsubscribe") && !header.Has("List-Unsubscribe-Post") {
		b.unsubscribeFields()
	}
}

// splitEntity separates the fields of an entity from its body. The blank line
// between goes with neither.
func splitEntity(entity []byte) (header, body []byte) {
	if rest, ok := bytes.CutPrefix(entity, []byte("\r\n")); ok {
		return nil, rest
	}
	if i := bytes.Index(entity, []byte("\r\n\r\n")); i >= 0 {
		return entity[:i+2], entity[i+4:]
	}
	return entity, nil
}

func parseHeader(raw []byte) (gomessage.Header, error) {
	text := append(slices.Clone(raw), "\r\n"...)
	h, err := gotextproto.ReadHeader(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		return gomessage.Header{}, fmt.Errorf("malformed header: %w", err)
	}
	return gomessage.Header{Header: h}, nil
}

// appendWithout appends a header without the fields of these names, which are in
// lower case.
func appendWithout(dst, header []byte, names ...string) []byte {
	dropping := false
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			dropping = slices.ContainsFunc(names, func(s string) bool { return equalFold(bytes.TrimSpace(name), s) })
		}
		if !dropping {
			dst = append(dst, line...)
		}
	}
	if len(dst) > 0 && dst[len(dst)-1] != '\n' {
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// rawEntity is a part of a finished message, or the message itself.
type rawEntity struct {
	raw    []byte // the fields as they are written
	header gomessage.Header
	body   []byte
	drop   []string // fields to leave out, in lower case
	extra  func()   // adds fields
}

// maxDepth bounds how deep parts are nested.
const maxDepth = 32

func (b *builder) rawEntity(e rawEntity, depth int) error {
	media, params, _ := e.header.ContentType()
	switch {
	case depth > maxDepth:
		return fmt.Errorf("parts are nested deeper than %d", maxDepth)
	case media == "multipart/signed", media == "multipart/encrypted", media == "application/pkcs7-mime", media == "application/x-pkcs7-mime":
		return fmt.Errorf("%s: %w", media, ErrSigned)
	case media == "text/html" && !isAttachment(e.header):
		return b.rawHTML(e, params["charset"])
	}
	b.rawHeader(e)
	b.add("\r\n")
	if strings.HasPrefix(media, "multipart/") && params["boundary"] != "" {
		return b.rawParts(e.body, "--"+params["boundary"], depth+1)
	}
	b.text = append(b.text, e.body...)
	return nil
}

func (b *builder) rawHeader(e rawEntity) {
	b.text = appendWithout(b.text, e.raw, e.drop...)
	if e.extra != nil {
		e.extra()
	}
}

func isAttachment(h gomessage.Header) bool {
	disposition, _, _ := h.ContentDisposition()
	return disposition == "attachment"
}

// rawParts adds the body of a multipart, whose parts are between lines that begin
// with delimiter.
func (b *builder) rawParts(body []byte, delimiter string, depth int) error {
	copied, part := 0, -1 // body[:copied] is written; a part begins at part
	for at := 0; at < len(body); {
		end := after(body, at, '\n')
		line := bytes.TrimRight(body[at:end], " \t\r\n")
		last := string(line) == delimiter+"--"
		if last || string(line) == delimiter {
			if part >= 0 {
				copied = max(part, at-2) // the CRLF before belongs to the delimiter
				if err := b.rawPart(body[part:copied], depth); err != nil {
					return err
				}
			}
			b.text = append(b.text, body[copied:end]...)
			copied, part = end, end
		}
		if last {
			part = -1
			break
		}
		at = end
	}
	if part >= 0 { // QUIRK: the last delimiter is missing
		return b.rawPart(body[part:], depth)
	}
	b.text = append(b.text, body[copied:]...)
	return nil
}

func (b *builder) rawPart(entity []byte, depth int) error {
	if len(entity) == 0 {
		return nil
	}
	raw, body := splitEntity(entity)
	header, err := parseHeader(raw)
	if err != nil { // QUIRK: broken parts are copied
		b.text = append(b.text, entity...)
		return nil
	}
	return b.rawEntity(rawEntity{raw: raw, header: header, body: body}, depth)
}

// rawHTML adds an HTML part: in quoted-printable if something in it changes.
func (b *builder) rawHTML(e rawEntity, charset string) error {
	page, err := decodeBody(e.header.Get("Content-Transfer-Encoding"), e.body)
	if err != nil {
		return fmt.Errorf("HTML part: %w", err)
	}
	cuts := b.pageCuts(page)
	if len(cuts) == 0 {
		b.rawHeader(e)
		b.add("\r\n")
		b.text = append(b.text, e.body...)
		return nil
	}
	if hidesASCII(charset) {
		return fmt.Errorf("HTML part in charset %q cannot be read as it is: convert it to UTF-8", charset)
	}
	e.drop = append(e.drop, "content-transfer-encoding")
	b.rawHeader(e)
	b.add("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	b.withCuts(page, cuts)
	if e.extra != nil {
		b.breakLine() // no delimiter follows that would end the line
	}
	return nil
}

// hidesASCII reports whether a charset uses the bytes of ASCII for other
// characters, too.
func hidesASCII(charset string) bool {
	charset = strings.ToLower(charset)
	return slices.ContainsFunc([]string{"utf-16", "utf-32", "utf-7", "ucs-", "iso-2022-", "hz-"}, func(prefix string) bool {
		return strings.HasPrefix(charset, prefix)
	})
}

func decodeBody(encoding string, body []byte) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
	case "", "7bit", "8bit", "binary":
		return body, nil
	}
	return nil, fmt.Errorf("unknown Content-Transfer-Encoding %q", encoding)
}
