package tracking

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// ServeHTTP serves the links, pixels and unsubscribe pages of all mail, below the
// base URL; it takes paths with the base URL's path and without. It never
// redirects to where a token of ours does not point, and recording delays no
// answer.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, t.prefix)
	if len(path) < len(pathClick) {
		http.NotFound(w, r)
		return
	}
	rest := path[len(pathClick):]
	switch path[:len(pathClick)] {
	case pathClick:
		t.click(w, r, rest)
	case pathOpen:
		t.open(w, r, rest)
	case pathUnsubscribe:
		t.unsubscribe(w, r, rest)
	case pathPreferences:
		t.preferences(w, r, rest)
	default:
		http.NotFound(w, r)
	}
}

// Close records the hits that still wait, and returns when the sink has them or
// ctx ends. The handler goes on to answer, but what comes after Close is not
// recorded: shut the server down first.
func (t *Tracker) Close(ctx context.Context) error { return t.recorder.close(ctx) }

// Dropped returns how many hits and events were lost since the start, because the
// sink was too slow or failing for too long.
func (t *Tracker) Dropped() int64 {
	t.recorder.mu.Lock()
	defer t.recorder.mu.Unlock()
	return t.recorder.dropped + t.recorder.batch.Dropped()
}

// Header fields of all answers, as values that are shared: nothing may change them.
var (
	noStore    = []string{"no-store"}
	noIndex    = []string{"noindex, nofollow"}
	noReferrer = []string{"no-referrer"}
	gifType    = []string{"image/gif"}
	gifLength  = []string{"43"}
)

// click redirects to the destination that the token was signed for.
func (t *Tracker) click(w http.ResponseWriter, r *http.Request, rest string) {
	if !readOnly(w, r) {
		return
	}
	link, token, err := t.parseClick(rest)
	if err != nil {
		t.unknown(w, r)
		return
	}
	h := w.Header()
	h["Location"] = link.location
	h["Cache-Control"] = noStore
	h["X-Robots-Tag"] = noIndex
	h["Referrer-Policy"] = noReferrer
	w.WriteHeader(http.StatusFound)
	t.hit(r, &hit{typ: Clicked, kind: token.kind, id: token.id, mailing: link.mailing, link: link.link, url: link.url})
}

// destination is a verified link, with the value of the Location field.
type destination struct {
	linkToken
	location []string
}

func (t *Tracker) parseClick(rest string) (*destination, recipientToken, error) {
	l, r, _ := strings.Cut(rest, "/")
	link, err := t.parseLink(l)
	if err != nil {
		return nil, recipientToken{}, err
	}
	token, err := t.signer.parseRecipient(r, link.mailing)
	if err == nil && !token.kind.binds() {
		err = ErrBadToken
	}
	return link, token, err
}

// parseLink verifies a segment, unless it is known: all copies of a mailing have the
// same few.
func (t *Tracker) parseLink(segment string) (*destination, error) {
	if known, ok := t.links.look(segment); ok {
		return known, nil
	}
	link, err := t.signer.parseLink(segment)
	if err != nil {
		return nil, err
	}
	fresh := &destination{link, []string{asciiURL(link.url)}}
	t.links.keep(strings.Clone(segment), fresh)
	return fresh, nil
}

// pixel is a transparent GIF of one by one.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// open answers with the pixel, whatever the token: a broken image helps nobody.
func (t *Tracker) open(w http.ResponseWriter, r *http.Request, rest string) {
	if !readOnly(w, r) {
		return
	}
	h := w.Header()
	h["Content-Type"] = gifType
	h["Content-Length"] = gifLength
	h["Cache-Control"] = noStore
	h["X-Robots-Tag"] = noIndex
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(pixel))
	}
	if of, token, err := t.parseOpen(rest); err == nil {
		t.hit(r, &hit{typ: Opened, kind: token.kind, id: token.id, mailing: of})
	}
}

func (t *Tracker) parseOpen(rest string) (of mailing, token recipientToken, err error) {
	m, r, _ := strings.Cut(rest, "/")
	if len(m) != urlEncoding.EncodedLen(mailingSize) {
		return of, token, ErrBadToken
	}
	if n, err := urlEncoding.Decode(of[:], []byte(m)); err != nil || n != mailingSize {
		return of, token, ErrBadToken
	}
	token, err = t.signer.parseRecipient(strings.TrimSuffix(r, pixelSuffix), of)
	if err == nil && !token.kind.binds() {
		err = ErrBadToken
	}
	return of, token, err
}

// hit records an open or a click, unless the mail is too old or nothing may be kept.
func (t *Tracker) hit(r *http.Request, h *hit) {
	h.at = time.Now()
	h.private = !t.opts.IgnorePrivacySignals && asksForPrivacy(r)
	old := h.kind != kindAnonymous && h.at.Sub(h.id.Time()) > t.opts.MaxAge
	if old || t.opts.Sink == nil || h.mode(t.opts.Policy) == Off {
		return
	}
	h.client = t.clientOf(r)
	h.agent = t.agentOf(r.UserAgent())
	h.signals = requestSignals(r)
	t.recorder.add(h)
}

// clientOf is the client's address in its plainest form.
func (t *Tracker) clientOf(r *http.Request) netip.Addr {
	return t.opts.ClientIP(r).Unmap().WithZone("")
}

// readOnly refuses methods other than GET and HEAD.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
	return false
}

// asciiURL percent-encodes what cannot stand in a header field.
func asciiURL(u string) string {
	for i := range len(u) {
		if !isFieldByte(u[i]) {
			return encodeURL(u)
		}
	}
	return u
}

func encodeURL(u string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(u) {
		if c := u[i]; isFieldByte(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

func isFieldByte(c byte) bool { return c > ' ' && c < 0x7f }
