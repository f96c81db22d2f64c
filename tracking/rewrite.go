package tracking

import (
	"bytes"
	"strings"
)

// Link is one hyperlink of an HTML text.
type Link struct {
	// Index counts the links of the text from 0, in the order of the source.
	Index int
	// URL is the destination, with its character references decoded.
	URL string
	// Element is the name of the element, in lower case: "a", "area", one of VML,
	// such as "v:rect", or "text" for a URL in a plain text.
	Element string
	// Conditional says that the link stands in a conditional comment, which
	// Outlook alone reads.
	Conditional bool
	// Offset is where the destination begins in the source.
	Offset int
	// Skipped says why clicks on this link are not followed; empty if they are.
	// [Rewrite] never shows links that it skips.
	Skipped string
}

// Rewrite appends html to dst, with the destination of each link replaced by what
// replace returns for it; if that returns false, the link stays as it is. Every
// byte outside of href values is kept, as is every href that is not replaced.
//
// Links are the href attributes of a and area elements, and in conditional
// comments also of VML, that hold an absolute http or https URL with a host and
// no marker of a template language ({{, {%, <%, *|, %%, [[ or ${), and whose
// element has no attribute data-no-track.
//
// The charset of html must be transparent to ASCII, as UTF-8, ISO-8859-1 and
// Shift_JIS are.
func Rewrite(dst, html []byte, replace func(Link) (string, bool)) []byte {
	done, index := 0, 0
	eachHref(html, func(h href) {
		if h.skipped != "" {
			return
		}
		link := h.link(index)
		index++
		if url, ok := replace(link); ok {
			dst = append(dst, html[done:h.start]...)
			dst = h.escape.append(dst, url)
			done = h.end
		}
	})
	return append(dst, html[done:]...)
}

// href is the destination of a hyperlink: the value at source[start:end] of the
// first href attribute of an element.
type href struct {
	element     []byte
	start, end  int
	escape      escape // how another value is written there
	url         string
	conditional bool
	skipped     string
}

// The reasons to leave a link alone.
const (
	skipMarked   = "data-no-track"
	skipNotHTTP  = "not an absolute http or https URL"
	skipMarker   = "holds a template marker"
	skipOwn      = "own URL"
	skipExcluded = "excluded"
	skipTooLong  = "URL too long"
)

func (h href) link(index int) Link {
	return Link{
		Index: index, URL: h.url, Element: elementName(h.element),
		Conditional: h.conditional, Offset: h.start, Skipped: h.skipped,
	}
}

// elementName is the name in lower case, without allocating for the usual one.
func elementName(name []byte) string {
	if len(name) == 1 {
		return "a"
	}
	return strings.ToLower(string(name))
}

// eachHref calls visit for each link of html, in order.
func eachHref(html []byte, visit func(href)) { eachHrefIn(html, 0, len(html), false, visit) }

func eachHrefIn(html []byte, start, end int, inComment bool, visit func(href)) {
	s := htmlScanner{src: html[:end], pos: start}
	for s.skipText(); s.scan(); s.skipText() {
		switch t := &s.token; {
		case t.kind == htmlStart && isLinkElement(t.name, inComment):
			if h, ok := linkHref(html, t); ok {
				h.conditional = inComment
				visit(h)
			}
		case t.kind == htmlComment && !inComment:
			if from, to, ok := conditional(html, *t); ok {
				eachHrefIn(html, from, to, true, visit)
			}
		}
	}
}

func isLinkElement(name []byte, inComment bool) bool {
	switch {
	case len(name) == 1:
		return name[0]|0x20 == 'a'
	case inComment && len(name) > 2 && name[0]|0x20 == 'v' && name[1] == ':':
		return true
	}
	return len(name) == 4 && equalFold(name, "area")
}

// linkHref finds the href of a start tag. Of several the first counts.
func linkHref(html []byte, t *htmlToken) (href, bool) {
	h := href{element: t.name}
	found, value := false, attr{}
	for a, i, ok := nextAttr(html, t.attrs); ok; a, i, ok = nextAttr(html, i) {
		switch {
		case !found && equalFold(a.name, "href"):
			value, found = a, true
		case equalFold(a.name, skipMarked):
			h.skipped = skipMarked
		}
	}
	if !value.value {
		return href{}, false
	}
	h.start, h.end, h.escape = value.start, value.end, value.quoting()
	h.url = cleanURL(UnescapeAttr(string(html[h.start:h.end])))
	if h.skipped == "" {
		h.skipped = skipReason(h.url)
	}
	return h, true
}

func skipReason(url string) string {
	switch {
	case !isWebURL(url):
		return skipNotHTTP
	case holdsMarker(url):
		return skipMarker
	}
	return ""
}

// cleanURL does what a browser does before it reads a URL: it drops spaces and
// controls at both ends, and tabs and line ends everywhere.
func cleanURL(s string) string {
	if !hasBlank(s) {
		return s
	}
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	if !strings.ContainsAny(s, "\t\r\n") {
		return s
	}
	return strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
}

// hasBlank reports whether s holds a space or a control character.
func hasBlank(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' {
			return true
		}
	}
	return false
}

// isWebURL reports whether s is an absolute http or https URL with a host.
func isWebURL(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return false
	}
	return rest != "" && !strings.ContainsRune("/?#\\", rune(rest[0]))
}

// Above this size Gmail is about to clip the end, so the pixel goes to the start.
const pixelAtEnd = 90 << 10

// pixelOffset is where the open pixel goes: before the last </body>, or at the
// end; in large HTML after the first <body>.
func pixelOffset(html []byte) int {
	if !bytes.Contains(html, []byte("<")) {
		return len(html)
	}
	end := -1
	s := htmlScanner{src: html}
	for t, ok := s.next(); ok; t, ok = s.next() {
		switch {
		case t.kind == htmlStart && len(html) > pixelAtEnd && equalFold(t.name, "body"):
			return t.end
		case t.kind == htmlEnd && equalFold(t.name, "body"):
			end = t.start
		}
	}
	if end < 0 {
		return len(html)
	}
	return end
}
