package tracking

import (
	"fmt"
	"mime"
	"strings"
)

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
	list := []node{b.textNode("text/plain; charset=utf-8", func() { b.plain([]byte(text)) })}
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
	case isASCII(name) && len(name) < 60 && !strings.ContainsAny(name, `"\`): // which some readers take to end the name
		return ";\r\n filename=\"" + name + `"`
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
