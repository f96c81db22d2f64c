package tracking

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

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
