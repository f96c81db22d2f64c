package tracking

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/mail"
	"net/url"
	"slices"
	"strings"
)

// Compile makes a template of a message. It reads the HTML once, finds the links
// and the place of the open pixel, encodes every part, and leaves holes for what
// differs by recipient. Compiling the same message again makes the same template.
// m and the values in it are not kept. The error joins all faults of m.
func (t *Tracker) Compile(m *Message) (*Template, error) {
	b := builder{t: t, m: m}
	if err := b.message(); err != nil {
		return nil, fmt.Errorf("tracking: compile: %w", err)
	}
	return b.template(), nil
}

// builder collects the content of a template.
type builder struct {
	t *Tracker
	m *Message
	content
	raw        bool // the message is finished: it has no merge fields
	boundaries int
	pixels     int
	text       []byte // since the last hole
	faults     []error
}

func (b *builder) message() error {
	faults := []error{b.m.check()}
	var parts []loadedPart
	for _, p := range b.m.Parts {
		loaded, err := p.load()
		parts, faults = append(parts, loaded), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	hash := b.m.hash(parts)
	b.mailing = mailing(hash[:mailingSize])
	b.labels()
	b.header()
	b.entity(b.tree(parts))
	if column(b.text) > 0 || len(b.text) == 0 {
		b.add("\r\n")
	}
	return errors.Join(b.faults...)
}

// labels sets what the content holds beside the wire form.
func (b *builder) labels() {
	m := b.m
	from := m.From.Address
	b.domain = string(appendAddrSpec(nil, from)[strings.LastIndexByte(from, '@')+1:])
	b.from = from
	if m.Sender != nil {
		b.from = m.Sender.Address
	}
	b.policy = b.t.opts.Policy.restrict(m.Policy)
	b.campaign, b.stream, b.tenant = m.Campaign, m.Stream, m.Tenant
	b.tags, b.meta = slices.Clone(m.Tags), maps.Clone(m.Meta)
	for _, list := range [][]mail.Address{{m.From}, m.sender(), m.ReplyTo, m.To, m.Cc} {
		for _, a := range list {
			b.utf8 = b.utf8 || needsUTF8(a.Address)
		}
	}
}

// template finishes the content.
func (b *builder) template() *Template {
	b.op(op{kind: opCopy})
	slices.Sort(b.fields)
	b.measure()
	b.t.recorder.label(&b.content)
	return &Template{tracker: b.t, content: b.content}
}

// measure estimates the size of a copy, generously for short values.
func (c *content) measure() {
	for i := range c.ops {
		o := &c.ops[i]
		c.size += len(o.text) + max(len(o.on)+recipientSize+len(o.tail), len(o.off)) + 64
	}
}

// op ends the text with a hole.
func (b *builder) op(o op) {
	o.text = slices.Clip(b.text)
	b.ops = append(b.ops, o)
	b.text = nil
}

func (b *builder) add(s string) { b.text = append(b.text, s...) }

// quoted adds text in quoted-printable.
func (b *builder) quoted(s []byte) { b.text, _ = appendQP(b.text, column(b.text), s) }

// breakLine makes the next byte of a quoted-printable body the first of a line.
func (b *builder) breakLine() {
	if column(b.text) > 0 {
		b.add(softBreak)
	}
}

// hole adds a hole for a value that is written from the start of a line, and ends
// with a soft line break.
func (b *builder) hole(o op) {
	b.breakLine()
	b.op(o)
}

// token adds a hole for a token in a quoted-printable body.
func (b *builder) token(kind tokenKind) {
	if column(b.text)+recipientSize > maxLine-1 {
		b.add(softBreak)
	}
	b.op(op{kind: opToken, token: kind})
	b.add(softBreak)
}

// need notes a field and how it is used.
func (b *builder) need(field string, e escape) {
	if !slices.Contains(b.fields, field) {
		b.fields = append(b.fields, field)
	}
	if n := (need{field, e}); !slices.Contains(b.needs, n) {
		b.needs = append(b.needs, n)
	}
}

func (b *builder) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf(format, args...))
}

// Header

func (b *builder) header() {
	m := b.m
	b.dateField()
	b.addresses("From", []mail.Address{m.From})
	b.addresses("Sender", m.sender())
	b.addresses("Reply-To", m.ReplyTo)
	if len(m.To) > 0 {
		b.addresses("To", m.To)
	} else {
		b.toField()
	}
	b.addresses("Cc", m.Cc)
	b.unstructured("Subject", m.Subject)
	b.messageIDField()
	b.listFields()
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		for _, v := range m.Header[name] {
			b.unstructured(name, v)
		}
	}
	b.add("MIME-Version: 1.0\r\n")
}

func (b *builder) dateField() {
	b.add("Date: ")
	b.op(op{kind: opDate})
	b.add("\r\n")
}

func (b *builder) toField() {
	b.add("To: ")
	b.op(op{kind: opTo})
	b.add("\r\n")
}

func (b *builder) messageIDField() {
	b.add("Message-ID:" + b.space(len("Message-ID: <@>")+recipientSize+len(b.domain)) + "<")
	b.op(op{kind: opToken, token: kindReturn})
	b.add("@" + b.domain + ">\r\n")
}

func (b *builder) addresses(name string, list []mail.Address) {
	if len(list) > 0 {
		b.add(name + ": ")
		b.text = append(appendAddresses(b.text, list), "\r\n"...)
	}
}

// unstructured adds a field of text that may hold merge fields.
func (b *builder) unstructured(name, value string) {
	value = strings.TrimSpace(value)
	b.add(name + ": ")
	pieces := b.pieces([]byte(value), func(fieldAt) escape { return escapeLine })
	if len(pieces) == 1 && pieces[0].field == "" {
		b.text = appendText(b.text, value)
	} else {
		b.op(op{kind: opText, value: pieces})
	}
	b.add("\r\n")
}

// pieces cuts text at its fields.
func (b *builder) pieces(text []byte, place func(fieldAt) escape) []piece {
	var list []piece
	done := 0
	for _, f := range fieldsIn(text) {
		e := place(f)
		b.need(f.name, e)
		list = append(list, piece{string(text[done:f.start]), f.name, e})
		done = f.end
	}
	if done < len(text) || len(list) == 0 {
		list = append(list, piece{text: string(text[done:])})
	}
	return list
}

// space is what follows the colon of a field: a blank, or a fold if the line would
// be too long.
func (b *builder) space(line int) string {
	if line > maxLine {
		return "\r\n "
	}
	return " "
}

// listFields adds the fields about the mailing.
func (b *builder) listFields() {
	m := b.m
	if m.ListID != "" {
		b.add("List-Id: <" + m.ListID + ">\r\n")
	}
	b.unsubscribeFields()
	if b.t.opts.FeedbackSender != "" {
		b.add("Feedback-ID: " + feedbackPart(m.Campaign) + ":" + feedbackPart(m.Stream) + ":" + feedbackPart(m.Tenant) + ":" + b.t.opts.FeedbackSender + "\r\n")
	}
}

// feedbackPart is a label as a part of the Feedback-ID.
func feedbackPart(label string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != ':' {
			return r
		}
		return '-'
	}, label)
}

// unsubscribeFields adds those of RFC 2369 and, where the tracker serves them,
// RFC 8058.
func (b *builder) unsubscribeFields() {
	if b.stream == Transactional {
		return
	}
	mailto := ""
	if b.m.UnsubscribeMail != "" {
		mailto = "<mailto:" + string(appendAddrSpec(nil, b.m.UnsubscribeMail)) + "?subject=unsubscribe>"
	}
	switch {
	case b.t.unsubscribes():
		url := b.t.base + pathUnsubscribe
		b.add("List-Unsubscribe:" + b.space(len("List-Unsubscribe: <>,")+len(url)+recipientSize) + "<" + url)
		b.op(op{kind: opToken, token: kindUnsubscribe})
		b.add(">")
		if mailto != "" {
			b.add(",\r\n " + mailto)
		}
		b.add("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
	case mailto != "":
		b.add("List-Unsubscribe: " + mailto + "\r\n")
	}
}

// MIME structure

// node is a MIME entity: a leaf that write writes, or the kids of a multipart.
type node struct {
	header string
	kids   []node
	write  func()
}

// tree is the structure of the message: mixed(alternative(text, related(HTML,
// images), calendar), attachments), each level only where it is needed.
func (b *builder) tree(parts []loadedPart) node {
	var inline, attached []node
	for _, p := range parts {
		if p.ContentID != "" && b.m.HTML != "" {
			inline = append(inline, b.attachment(p, "inline"))
		} else {
			attached = append(attached, b.attachment(p, "attachment"))
		}
	}
	versions := b.versions(inline)
	return b.multipart("mixed", append([]node{b.multipart("alternative", versions)}, attached...))
}

// versions are the alternatives, the best last (RFC 2046, section 5.1.4).
func (b *builder) versions(inline []node) []node {
	m := b.m
	text := m.Text
	if text == "" {
		text = PlainText([]byte(m.HTML))
	}
	list := []node{b.textNode("text/plain; charset=utf-8", func() { b.plain(text) })}
	if m.AMP != "" {
		list = append(list, b.textNode("text/x-amp-html; charset=utf-8", func() { b.amp([]byte(m.AMP)) }))
	}
	if m.HTML != "" {
		page := b.textNode("text/html; charset=utf-8", func() { b.html([]byte(m.HTML)) })
		list = append(list, b.multipart(`related; type="text/html"`, append([]node{page}, inline...)))
	}
	if m.Calendar != "" {
		list = append(list, b.textNode("text/calendar; charset=utf-8; method="+calendarMethod(m.Calendar), func() { b.quoted([]byte(m.Calendar)) }))
	}
	return list
}

// calendarMethod is the METHOD of an iCalendar object (RFC 5546, section 1.4).
func calendarMethod(calendar string) string {
	for line := range strings.Lines(calendar) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if strings.EqualFold(name, "METHOD") && value != "" && strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") == "" {
			return strings.ToUpper(value)
		}
	}
	return "PUBLISH"
}

func (b *builder) textNode(contentType string, write func()) node {
	return node{header: "Content-Type: " + contentType + "\r\nContent-Transfer-Encoding: quoted-printable\r\n", write: write}
}

// multipart is one of its kids alone, or all of them together.
func (b *builder) multipart(subtype string, kids []node) node {
	if len(kids) == 1 {
		return kids[0]
	}
	return node{header: "Content-Type: multipart/" + subtype + ";\r\n boundary=", kids: kids}
}

func (b *builder) attachment(p loadedPart, disposition string) node {
	media, params, _ := mime.ParseMediaType(p.Type)
	encoding, write := "base64", func() { b.text = appendBase64(b.text, p.content) }
	if strings.HasPrefix(media, "text/") && isReadable(p.content) { // filters mark text in base64
		encoding, write = "quoted-printable", func() { b.text = appendLiteralQP(b.text, p.content) }
	}
	header := "Content-Type: " + mime.FormatMediaType(media, params) + "\r\nContent-Transfer-Encoding: " + encoding + "\r\n" +
		"Content-Disposition: " + disposition + fileName(p.Name) + "\r\n"
	if p.ContentID != "" {
		header += "Content-ID: <" + p.ContentID + ">\r\n"
	}
	return node{header: header, write: write}
}

// fileName is the parameter for a name: quoted, or if that cannot hold it in the
// extended form, in sections that fit a line (RFC 2231, sections 3 and 4).
func fileName(name string) string {
	switch {
	case name == "":
		return ""
	case isASCII(name) && len(name) < 60:
		return ";\r\n filename=\"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	var s strings.Builder
	rest := string(appendComponent([]byte("utf-8''"), name))
	for i := 0; rest != ""; i++ {
		n := min(len(rest), 55)
		for n < len(rest) && (rest[n-1] == '%' || rest[n-2] == '%') {
			n--
		}
		fmt.Fprintf(&s, ";\r\n filename*%d*=%s", i, rest[:n])
		rest = rest[n:]
	}
	if strings.Count(s.String(), "\n") == 1 {
		return strings.Replace(s.String(), "*0*=", "*=", 1)
	}
	return s.String()
}

// entity adds n: its header, a blank line and its body, without the line end that
// belongs to the boundary behind it.
func (b *builder) entity(n node) {
	b.add(n.header)
	if n.write != nil {
		b.add("\r\n")
		n.write()
		return
	}
	b.boundaries++
	boundary := fmt.Sprintf("=_%x_%d", b.mailing, b.boundaries) // neither encoding has "=_"
	b.add(`"` + boundary + "\"\r\n\r\n")
	for _, kid := range n.kids {
		b.add("--" + boundary + "\r\n")
		b.entity(kid)
		b.add("\r\n")
	}
	b.add("--" + boundary + "--\r\n")
}

// Texts

// plain adds a plain text with its fields.
func (b *builder) plain(text string) {
	b.withCuts([]byte(text), b.textCuts([]byte(text)))
}

// textCuts are the fields of a plain text. Inside of a URL they are escaped for it.
func (b *builder) textCuts(text []byte) []cut {
	var cuts []cut
	for _, f := range fieldsIn(text) {
		e := escapeNone
		word := text[wordStart(text, f.start):f.start]
		if i := strings.Index(string(word), "://"); i >= 0 && i+3 < len(word) {
			e = escapeComponent
		}
		cuts = append(cuts, b.fieldCut(f, e))
	}
	return cuts
}

func wordStart(text []byte, i int) int {
	for i > 0 && !isSpace(text[i-1]) {
		i--
	}
	return i
}

// amp adds an AMP version, in which no link is followed.
func (b *builder) amp(html []byte) { b.withCuts(html, b.htmlCuts(html, nil)) }

// html adds the HTML with its links, its pixel and its fields.
func (b *builder) html(html []byte) { b.withCuts(html, b.pageCuts(html)) }

// pageCuts are the links, the fields and the place of the pixel, in order.
func (b *builder) pageCuts(html []byte) []cut {
	cuts := b.linkCuts(html)
	if !b.raw {
		cuts = b.htmlCuts(html, cuts)
	}
	if b.policy.Opens > Off && b.pixels == 0 {
		b.pixels++
		at := pixelOffset(html)
		cuts = append(cuts, cut{start: at, end: at, add: b.pixel})
	}
	slices.SortStableFunc(cuts, func(x, y cut) int { return cmp.Compare(x.start, y.start) })
	return cuts
}

// cut is a range of a text that add replaces.
type cut struct {
	start, end int
	add        func()
}

func (b *builder) withCuts(text []byte, cuts []cut) {
	done := 0
	for _, c := range cuts {
		b.quoted(text[done:c.start])
		c.add()
		done = c.end
	}
	b.quoted(text[done:])
}

// htmlCuts adds the fields outside of the given cuts.
func (b *builder) htmlCuts(html []byte, cuts []cut) []cut {
	links := cuts
	err := eachField(html, func(f fieldAt, e escape) {
		i, _ := slices.BinarySearchFunc(links, f.start, func(c cut, at int) int { return cmp.Compare(c.end, at) })
		if i < len(links) && links[i].start <= f.start {
			return
		}
		cuts = append(cuts, b.fieldCut(f, e))
	})
	if err != nil {
		b.faults = append(b.faults, err)
	}
	return cuts
}

func (b *builder) fieldCut(f fieldAt, e escape) cut {
	if path := b.pagePath(f.name); path != "" {
		return cut{f.start, f.end, func() {
			b.quoted([]byte(b.t.base + path))
			b.token(kindUnsubscribe)
		}}
	}
	b.need(f.name, e)
	return cut{f.start, f.end, func() { b.hole(op{kind: opField, value: []piece{{field: f.name, escape: e}}}) }}
}

// pagePath is the path of the page whose URL fills a field, or empty.
func (b *builder) pagePath(field string) string {
	switch {
	case field == fieldUnsubscribe && b.t.unsubscribes():
		return pathUnsubscribe
	case field == fieldPreferences && (b.t.unsubscribes() || b.t.opts.Preferences != nil):
		return pathPreferences
	}
	return ""
}

// pixelTail takes the pixel out of the layout: where a client ignores position, it
// is a line of one pixel.
const pixelTail = pixelSuffix + `" width="1" height="1" alt="" style="display:block;position:absolute;border:0">`

func (b *builder) pixel() {
	on, col := appendQP(nil, 0, b.t.appendPixel([]byte(`<img src="`), b.mailing))
	on, col = roomForToken(on, col)
	tail, _ := appendQP(nil, col+recipientSize, pixelTail)
	b.hole(op{kind: opPixel, on: on, tail: append(tail, softBreak...)})
}

// roomForToken breaks the line where a token would not fit.
func roomForToken(dst []byte, col int) ([]byte, int) {
	if col+recipientSize > maxLine-1 {
		return append(dst, softBreak...), 0
	}
	return dst, col
}

// Links

// maxLinks is how many links the token of a link can count.
const maxLinks = 1 << 16

// linkCuts notes all links, and cuts those that are followed or changed.
func (b *builder) linkCuts(html []byte) []cut {
	var cuts []cut
	eachHref(html, func(h href) {
		if len(b.links) == maxLinks {
			b.fault("more than %d links", maxLinks)
		}
		if len(b.links) >= maxLinks {
			return
		}
		pieces := b.linkPieces(&h)
		index := len(b.links)
		b.links = append(b.links, h.link(html, index))
		original := html[h.value.start:h.value.end]
		switch {
		case h.skipped != "", b.policy.Clicks <= Off && pieces == nil && len(b.m.UTM) == 0:
			return
		case pieces != nil:
			cuts = append(cuts, cut{h.value.start, h.value.end, func() {
				b.hole(op{kind: opFieldLink, link: uint16(index), value: pieces, escape: h.value.quoting()})
			}})
			return
		case len(b.m.UTM) > 0:
			h.url = addParams(h.url, b.m.UTM)
			original = h.value.quoting().append(nil, h.url)
		}
		cuts = append(cuts, cut{h.value.start, h.value.end, func() { b.link(uint16(index), h.url, original) }})
	})
	return cuts
}

// linkPieces decides whether a link is followed, and returns the pieces of its
// destination if that has fields.
func (b *builder) linkPieces(h *href) []piece {
	if h.skipped == skipMarked {
		return nil
	}
	fields := fieldsIn([]byte(h.url))
	if b.raw || len(fields) == 0 {
		h.skipped = cmp.Or(h.skipped, b.t.skipReason(h.url))
		return nil
	}
	sample := withoutFields(h.url, fields)
	if fields[0].start == 0 {
		if b.pagePath(fields[0].name) != "" {
			h.skipped = skipOwn
			return nil
		}
		sample = "https://" + sample
	}
	if h.skipped = cmp.Or(skipReason(sample), b.t.skipReason(sample)); h.skipped != "" {
		return nil
	}
	for _, f := range fields {
		if b.pagePath(f.name) != "" {
			b.fault("field %q inside of the URL %q: it can only be the whole of one", f.name, h.url)
		}
	}
	return b.pieces([]byte(addParams(h.url, b.m.UTM)), func(f fieldAt) escape {
		if f.start == 0 {
			return escapeTarget
		}
		return escapeComponent
	})
}

// withoutFields puts a letter where fields are.
func withoutFields(s string, fields []fieldAt) string {
	var b strings.Builder
	done := 0
	for _, f := range fields {
		b.WriteString(s[done:f.start] + "x")
		done = f.end
	}
	return b.String() + s[done:]
}

// link adds a link that is the same for all recipients but for their token.
func (b *builder) link(index uint16, url string, original []byte) {
	if b.policy.Clicks <= Off {
		b.quoted(original)
		return
	}
	on, col := appendQP(nil, 0, b.t.appendClick(nil, b.mailing, index, url))
	on, _ = roomForToken(on, col)
	off, _ := appendQP(nil, 0, original)
	b.hole(op{kind: opLink, link: index, on: on, tail: []byte(softBreak), off: append(off, softBreak...)})
}

// unsubscribes reports whether there is somewhere to put an unsubscribe.
func (t *Tracker) unsubscribes() bool { return t.opts.Unsubscribe != nil || t.opts.Sink != nil }

// skipReason says why the tracker does not follow clicks on a web URL.
func (t *Tracker) skipReason(url string) string {
	switch {
	case t.isOwn(url):
		return skipOwn
	case linkSize(len(url)) > maxSegment:
		return skipTooLong
	}
	return ""
}

// isOwn reports whether the tracker serves url.
func (t *Tracker) isOwn(url string) bool {
	rest, ok := strings.CutPrefix(url, t.base)
	return ok && slices.ContainsFunc([]string{pathClick, pathOpen, pathUnsubscribe, pathPreferences}, func(path string) bool {
		return strings.HasPrefix(rest, path)
	})
}

// addParams adds to the query of a URL the parameters that it does not have,
// leaving its other bytes as they are.
func addParams(s string, params []Param) string {
	s, fragment, hasFragment := strings.Cut(s, "#")
	for _, p := range params {
		name := url.QueryEscape(p.Name)
		_, query, hasQuery := strings.Cut(s, "?")
		if slices.ContainsFunc(strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }), func(pair string) bool {
			return pair == name || strings.HasPrefix(pair, name+"=")
		}) {
			continue
		}
		switch {
		case !hasQuery:
			s += "?"
		case query != "" && !strings.HasSuffix(query, "&"):
			s += "&"
		}
		s += name + "=" + url.QueryEscape(p.Value)
	}
	if hasFragment {
		s += "#" + fragment
	}
	return s
}
