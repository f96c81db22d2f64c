package bounce

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// part is a leaf of a mail's MIME tree, or a whole mail that has no such tree.
type part struct {
	// mediaType is in lower case; "text/plain" if none is given.
	mediaType   string
	contentType string // the whole field
	encoding    string // Content-Transfer-Encoding
	header      string
	body        string // as it was sent
	offset      int
}

// text is the part's body in UTF-8, with its transfer encoding undone.
func (p *part) text() string {
	body := decodeTransfer(p.encoding, p.body)
	return decodeCharset(param(p.contentType, "charset"), body)
}

// splitter cuts a mail into parts, within limits.
type splitter struct {
	parts    []part
	problems *problems
}

// split adds the leaves of the entity that header and body make. A message
// inside is a leaf: what it holds belongs to the original.
func (s *splitter) split(header, body string, offset, depth int) {
	p := part{header: header, body: body, offset: offset}
	for name, value := range fields(header) {
		switch {
		case strings.EqualFold(name, "Content-Type"):
			p.contentType = unfold(value)
		case strings.EqualFold(name, "Content-Transfer-Encoding"):
			p.encoding = value
		}
	}
	p.mediaType = mediaType(p.contentType)
	// QUIRK: what stores mail drops the field, and leaves the parts.
	if strings.HasPrefix(p.mediaType, "multipart/") || p.contentType == "" && depth == 0 && guessBoundary(body) != "" {
		if boundary := s.boundary(&p); boundary != "" && depth < maxDepth {
			s.splitMultipart(&p, boundary, depth)
			return
		}
		p.mediaType = "text/plain"
	}
	if len(s.parts) == maxParts {
		return
	}
	s.parts = append(s.parts, p)
}

// boundary is the parameter, or what looks like one in the body.
func (s *splitter) boundary(p *part) string {
	boundary := param(p.contentType, "boundary")
	if boundary != "" && hasDelimiter(p.body, boundary) {
		return boundary
	}
	// QUIRK: gateways drop or fold the parameter, or write another one.
	if guess := guessBoundary(p.body); guess != "" {
		s.problems.add(p.offset, "the boundary %q is not in the body; %q taken instead", boundary, guess)
		return guess
	}
	s.problems.add(p.offset, "no part is delimited by the boundary %q", boundary)
	return ""
}

// guessBoundary finds a line that looks like a delimiter, because a part's header
// follows it.
func guessBoundary(body string) string {
	for rest := body; ; {
		i := strings.Index(rest, "--")
		if i < 0 {
			return ""
		}
		begins := i == 0 || rest[i-1] == '\n'
		line, after, _ := strings.Cut(rest[i:], "\n")
		guess := strings.TrimRight(strings.TrimPrefix(line, "--"), " \t")
		if name, _, _ := nextField(after); begins && len(guess) > 2 && len(guess) < 80 && !strings.ContainsAny(guess, " \t") && hasPrefixFold(name, "Content-") {
			return guess
		}
		rest = after
	}
}

func hasDelimiter(body, boundary string) bool {
	_, _, found := cutDelimiter(body, boundary)
	return found
}

// splitMultipart splits between delimiters (RFC 2046, section 5.1).
func (s *splitter) splitMultipart(p *part, boundary string, depth int) {
	rest := p.body
	preamble, rest, _ := cutDelimiter(rest, boundary)
	// QUIRK: some put the report before the first delimiter.
	if len(s.parts) < maxParts && (strings.IndexByte(preamble, '@') >= 0 || failing.in(preamble)) {
		s.parts = append(s.parts, part{mediaType: preambleType, body: preamble, offset: p.offset})
	}
	for rest != "" && len(s.parts) < maxParts {
		offset := p.offset + len(p.body) - len(rest)
		var entity string
		var found bool
		if strings.HasPrefix(rest, "--") { // the closing delimiter
			rest = trimLine(rest)
			if strings.TrimSpace(rest) == "" {
				return
			}
			// QUIRK: some write more parts, or the report, behind the end.
			entity, rest, _ = cutDelimiter(rest, boundary)
			if header, body := cutHeader(strings.TrimLeft(entity, "\n")); looksLikeField(header) {
				s.split(header, body, offset, depth+1)
			}
			continue
		}
		entity, rest, found = cutDelimiter(trimLine(rest), boundary)
		if !found {
			s.problems.add(offset, "no closing delimiter of the boundary %q", boundary)
		}
		header, body := cutHeader(entity)
		s.split(header, body, offset, depth+1)
	}
	if rest != "" {
		s.problems.add(p.offset+len(p.body)-len(rest), "more than %d parts", maxParts)
	}
}

const preambleType = "x-preamble"

// cutDelimiter splits s around the first line that begins with the boundary. What
// follows still holds the rest of that line.
func cutDelimiter(s, boundary string) (before, after string, found bool) {
	for i := 0; ; {
		j := strings.Index(s[i:], boundary)
		if j < 0 {
			return s, "", false
		}
		j += i
		if j >= 2 && s[j-1] == '-' && s[j-2] == '-' && (j == 2 || s[j-3] == '\n') && delimiterEnds(s[j+len(boundary):]) {
			return s[:max(0, j-3)], s[j+len(boundary):], true
		}
		i = j + len(boundary)
	}
}

// delimiterEnds tells a boundary from a longer one that begins alike.
func delimiterEnds(s string) bool {
	s = strings.TrimPrefix(s, "--")
	return s == "" || strings.IndexByte(" \t\n", s[0]) >= 0
}

// trimLine drops the first line.
func trimLine(s string) string {
	_, after, _ := strings.Cut(s, "\n")
	return after
}

// cutHeader splits an entity at its first empty line. An entity that begins with
// no field has no header.
func cutHeader(s string) (header, body string) {
	if strings.HasPrefix(s, "\n") {
		return "", s[1:]
	}
	if !looksLikeField(s) {
		return "", s
	}
	for i := 0; ; {
		j := strings.IndexByte(s[i:], '\n')
		if j < 0 {
			return s, ""
		}
		i += j + 1
		end := i
		for end < len(s) && (s[end] == ' ' || s[end] == '\t') {
			end++
		}
		if end == len(s) {
			return s[:i], ""
		}
		if s[end] == '\n' {
			return s[:i], s[end+1:]
		}
	}
}

// looksLikeField says whether s begins with a field, or with what mailboxes put
// before the first one.
func looksLikeField(s string) bool {
	if strings.HasPrefix(s, "From ") || strings.HasPrefix(s, ">From ") {
		return true
	}
	name, _, _ := nextField(s)
	return name != ""
}

// mediaType is the type of a Content-Type field.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	if t = strings.TrimSpace(t); strings.IndexByte(t, '/') <= 0 {
		return "text/plain"
	}
	t, _, _ = strings.Cut(t, " ")
	for _, known := range [...]string{"text/plain", "text/html", "multipart/report", "message/rfc822", "message/delivery-status"} {
		if strings.EqualFold(t, known) {
			return known
		}
	}
	return strings.ToLower(t)
}

// param is the value of a parameter of a structured field; empty if it has none.
// It takes what mime.ParseMediaType refuses.
func param(field, name string) string {
	_, rest, _ := strings.Cut(field, ";")
	for rest != "" {
		var key, value string
		key, value, rest = nextParam(rest)
		key, _, _ = strings.Cut(key, "*") // RFC 2231
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

func nextParam(s string) (key, value, rest string) {
	i := strings.IndexAny(s, "=;")
	if i < 0 {
		return "", "", ""
	}
	key = strings.TrimSpace(s[:i])
	if s[i] == ';' {
		return key, "", s[i+1:]
	}
	s = strings.TrimLeft(s[i+1:], " \t\n")
	if strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s[1:], `"`)
		_, rest, _ = strings.Cut(rest, ";")
		return key, value, rest
	}
	value, rest, _ = strings.Cut(s, ";")
	value = strings.TrimSpace(value)
	if j := strings.IndexAny(value, " \t\n"); j >= 0 {
		value, rest = value[:j], value[j:]+";"+rest // QUIRK: no semicolon between two
	}
	return key, value, rest
}

// decodeTransfer undoes a Content-Transfer-Encoding, as far as it can be undone.
func decodeTransfer(encoding, body string) string {
	switch {
	case hasPrefixFold(encoding, "base64"):
		return decodeBase64(body)
	case hasPrefixFold(encoding, "quoted-printable"):
		return decodeQuotedPrintable(body)
	}
	return body
}

func decodeBase64(body string) string {
	if strings.IndexByte(body, '@') >= 0 {
		return body // QUIRK: says base64, and is plain text
	}
	src := make([]byte, 0, len(body))
	for i := range len(body) {
		if c := body[i]; c > ' ' && c != '=' {
			src = append(src, c)
		}
	}
	dst := make([]byte, base64.RawStdEncoding.DecodedLen(len(src)))
	n, _ := base64.RawStdEncoding.Decode(dst, src)
	return string(normalizeNewlines(dst[:n]))
}

func decodeQuotedPrintable(body string) string {
	if strings.IndexByte(body, '=') < 0 {
		return body
	}
	dst := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c != '=' {
			dst = append(dst, c)
			continue
		}
		end := i + 1
		for end < len(body) && (body[end] == ' ' || body[end] == '\t') {
			end++
		}
		switch {
		case end == len(body), body[end] == '\n': // a soft line break
			i = end
		case i+2 < len(body) && unhex(body[i+1]) < 16 && unhex(body[i+2]) < 16:
			dst = append(dst, unhex(body[i+1])<<4|unhex(body[i+2]))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return string(normalizeNewlines(dst))
}

// unhex is the value of a hexadecimal digit, 16 if c is none.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}

// decodeCharset converts to UTF-8. Text in an unknown charset stays as it is.
func decodeCharset(charset, text string) string {
	if isASCII(text) {
		return text
	}
	enc := encodingOf(charset)
	if enc == nil {
		return text
	}
	decoded, err := enc.NewDecoder().String(text)
	if err != nil {
		return text
	}
	return decoded
}

// encodingOf finds a charset by name; nil if it needs no decoding or is unknown.
// UTF-16 has no place in mail.
func encodingOf(charset string) encoding.Encoding {
	charset = strings.TrimSpace(charset)
	if charset == "" || hasPrefixFold(charset, "utf") || hasPrefixFold(charset, "us-ascii") {
		return nil
	}
	if enc, err := htmlindex.Get(charset); err == nil {
		return enc
	}
	enc, err := ianaindex.MIME.Encoding(charset)
	if err != nil {
		return nil
	}
	return enc
}

// isASCII is also false for the escapes of ISO-2022.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == 0x1b {
			return false
		}
	}
	return true
}

// decodeWords decodes the encoded words of a field (RFC 2047).
func decodeWords(s string) string {
	s = unfold(s)
	if !strings.Contains(s, "=?") {
		return s
	}
	decoder := mime.WordDecoder{CharsetReader: func(charset string, input io.Reader) (io.Reader, error) {
		if enc := encodingOf(charset); enc != nil {
			return enc.NewDecoder().Reader(input), nil
		}
		return input, nil
	}}
	if decoded, err := decoder.DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}

// stripHTML is the text of a page, a line for each block.
func stripHTML(page string) string {
	var b strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(page))
	tokens.SetMaxBuf(maxHeaderLine)
	hidden := false
	for {
		switch kind := tokens.Next(); kind {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if !hidden {
				b.Write(bytes.ReplaceAll(tokens.Text(), []byte("\u00a0"), []byte(" ")))
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, _ := tokens.TagName()
			switch string(name) {
			case "style", "script", "title":
				hidden = kind == html.StartTagToken
			case "br", "p", "div", "tr", "li", "table", "td", "h1", "h2", "h3", "pre", "hr", "ul", "blockquote":
				b.WriteByte('\n')
			}
		}
	}
}

// normalizeNewlines makes CRLF and CR a line feed, in place.
func normalizeNewlines(b []byte) []byte {
	first := bytes.IndexByte(b, '\r')
	if first < 0 {
		return b
	}
	out := b[:first]
	for i := first; i < len(b); i++ {
		c := b[i]
		if c == '\r' {
			j := i
			for j < len(b) && b[j] == '\r' {
				j++
			}
			if j < len(b) && b[j] == '\n' {
				i = j // CRLF. QUIRK: some relays make it CR CR LF
			}
			c = '\n'
		}
		out = append(out, c)
	}
	return out
}
