package tracking

import (
	"bytes"
	"cmp"
	"slices"
)

// plain adds a plain text with its fields and, if they are to be followed, links.
func (b *builder) plain(text []byte) {
	var cuts []cut
	if b.m.TextLinks {
		cuts = b.textLinkCuts(text)
	}
	cuts = b.textCuts(text, cuts)
	slices.SortStableFunc(cuts, byStart)
	b.withCuts(text, cuts)
}

// textCuts adds the fields of a plain text that are outside of the given cuts.
// Inside of a URL they are escaped for it.
func (b *builder) textCuts(text []byte, cuts []cut) []cut {
	links := cuts
	for _, f := range fieldsIn(text) {
		if inCuts(links, f.start) {
			continue
		}
		e := escapeNone
		word := text[wordStart(text, f.start):f.start]
		if i := bytes.Index(word, []byte("://")); i >= 0 && i+3 < len(word) {
			e = escapeComponent
		}
		cuts = append(cuts, b.fieldCut(f, e))
	}
	return cuts
}

// wordStart is where the word before i begins, if it is no longer than a URL.
func wordStart(text []byte, i int) int {
	first := max(0, i-maxSegment)
	for i > first && !isSpace(text[i-1]) {
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
	slices.SortStableFunc(cuts, byStart)
	return cuts
}

// cut is a range of a text that add replaces.
type cut struct {
	start, end int
	add        func()
}

func byStart(x, y cut) int { return cmp.Compare(x.start, y.start) }

// inCuts reports whether an offset lies in one of the cuts, which are in order.
func inCuts(cuts []cut, at int) bool {
	i, _ := slices.BinarySearchFunc(cuts, at, func(c cut, at int) int { return cmp.Compare(c.end, at+1) })
	return i < len(cuts) && cuts[i].start <= at
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
		if !inCuts(links, f.start) {
			cuts = append(cuts, b.fieldCut(f, e))
		}
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
