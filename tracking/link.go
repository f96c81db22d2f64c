package tracking

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// maxLinks is how many links the token of a link can count.
const maxLinks = 1 << 16

// linkCuts notes all links of HTML, and cuts those that are followed or changed.
func (b *builder) linkCuts(html []byte) []cut {
	var cuts []cut
	eachHref(html, func(h href) { cuts = append(cuts, b.linkCut(html, h)...) })
	return cuts
}

// linkCut notes a link, and returns a cut if it is followed or changed.
func (b *builder) linkCut(text []byte, h href) []cut {
	if len(b.links) == maxLinks {
		if !b.full {
			b.fault("more than %d links", maxLinks)
		}
		b.full = true
		return nil
	}
	pieces := b.linkPieces(&h)
	index := uint16(len(b.links))
	b.links = append(b.links, h.link(int(index)))
	original := text[h.start:h.end]
	switch {
	case h.skipped != "", b.policy.Clicks <= Off && pieces == nil && len(b.m.UTM) == 0:
		return nil
	case pieces != nil:
		return []cut{{h.start, h.end, func() {
			b.hole(op{kind: opFieldLink, link: index, value: pieces, escape: h.escape})
		}}}
	case len(b.m.UTM) > 0:
		h.url = addParams(h.url, b.m.UTM)
		original = h.escape.append(nil, h.url)
	}
	return []cut{{h.start, h.end, func() { b.link(index, h.url, original) }}}
}

// textLinkCuts does for the URLs in a plain text what linkCuts does for HTML.
func (b *builder) textLinkCuts(text []byte) []cut {
	var cuts []cut
	for at := 0; at < len(text); {
		start, end := nextURL(text, at)
		if start < 0 {
			break
		}
		at = end
		h := href{element: []byte("text"), start: start, end: end, url: string(text[start:end])}
		if h.skipped = skipReason(h.url); h.skipped == "" || h.skipped == skipMarker {
			cuts = append(cuts, b.linkCut(text, h)...)
		}
	}
	return cuts
}

// nextURL finds the first web URL at or after i, without the punctuation behind
// it; start is negative if there is none.
func nextURL(text []byte, i int) (start, end int) {
	for {
		n := bytes.Index(text[i:], []byte("://"))
		if n < 0 {
			return -1, -1
		}
		colon := i + n
		start = colon
		for start > i && isLetter(text[start-1]) {
			start--
		}
		end = colon + len("://")
		for end < len(text) && text[end] > ' ' && !bytes.ContainsRune([]byte("<>\"`|^"), rune(text[end])) {
			end++
		}
		end = start + len(bytes.TrimRight(text[start:end], ".,;:!?'*_"))
		if end > start && text[end-1] == ')' && !bytes.Contains(text[start:end], []byte("(")) {
			end--
		}
		if end > colon && isWebURL(string(text[start:end])) {
			return start, end
		}
		i = colon + len("://")
	}
}

// linkPieces decides whether a link is followed, and returns the pieces of its
// destination if that has fields.
func (b *builder) linkPieces(h *href) []piece {
	if h.skipped == skipMarked {
		return nil
	}
	fields := fieldsIn([]byte(h.url))
	if b.raw || len(fields) == 0 {
		h.skipped = cmp.Or(h.skipped, b.t.skipReason(addParams(h.url, b.m.UTM)))
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
	b.hole(op{kind: opLink, link: index, on: on, off: off})
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

// pixelTail takes the pixel out of the layout: where a client ignores position, it
// is a line of one pixel.
const pixelTail = pixelSuffix + `" width="1" height="1" alt="" style="display:block;position:absolute;border:0">`

func (b *builder) pixel() {
	on, col := appendQP(nil, 0, b.t.appendPixel([]byte(`<img src="`), b.mailing))
	on, col = roomForToken(on, col)
	tail, _ := appendQP(nil, col+recipientSize, pixelTail)
	b.hole(op{kind: opPixel, on: on, tail: tail})
}

// roomForToken breaks the line where a token would not fit.
func roomForToken(dst []byte, col int) ([]byte, int) {
	if col+recipientSize > maxLine-1 {
		return append(dst, softBreak...), 0
	}
	return dst, col
}
