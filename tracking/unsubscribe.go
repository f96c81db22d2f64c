package tracking

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Page is what the template "unsubscribe" is given. Its form posts to the page's
// own URL, with "unsubscribe" or "resubscribe" in the field "action", by which it
// is told from a mail client's request.
type Page struct {
	// Lang is "es" or "en", whichever the client prefers; "en" if neither.
	Lang  string
	State PageState
	// Mail is what [Options.Resolve] knows. Mail is forwarded: do not show the
	// recipient to whoever holds the link.
	Mail Mail
}

// PageState says what a page is about.
type PageState string

// The states of the unsubscribe page.
const (
	PageAsk          PageState = "ask"          // whether to unsubscribe
	PageUnsubscribed PageState = "unsubscribed" // done
	PageResubscribed PageState = "resubscribed" // undone
	PageFailed       PageState = "failed"       // not done: come again
	PageUnknown      PageState = "unknown"      // the link is not one of ours
)

const (
	pageTemplate = "unsubscribe"
	// maxForm bounds what is read of a POST's body.
	maxForm = 4 << 10
)

//go:embed pages/unsubscribe.html
var pageFiles embed.FS

// ownPages parses the pages of a tracker without [Options.Pages].
func ownPages() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/unsubscribe.html"))
}

// errNoUnsubscribe is for trackers that have nowhere to put an unsubscribe.
var errNoUnsubscribe = errors.New("tracking: neither Options.Unsubscribe nor Options.Sink is set")

// unsubscribe shows a form, and acts on POST alone: scanners follow links.
func (t *Tracker) unsubscribe(w http.ResponseWriter, r *http.Request, rest string) {
	token, err := t.signer.parseRecipient(rest, mailing{})
	switch {
	case err != nil || token.kind != kindUnsubscribe:
		t.unknown(w, r)
	case r.Method == http.MethodPost:
		t.act(w, r, token.id)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		t.page(w, r, http.StatusOK, token.id, PageAsk)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
	}
}

// preferences lets the host show its page to whoever holds a valid token.
func (t *Tracker) preferences(w http.ResponseWriter, r *http.Request, rest string) {
	token, err := t.signer.parseRecipient(rest, mailing{})
	switch {
	case err != nil || token.kind != kindUnsubscribe:
		t.unknown(w, r)
	case t.opts.Preferences != nil:
		setPageHeader(w.Header())
		t.opts.Preferences(w, r, token.id)
	default:
		t.unsubscribe(w, r, rest)
	}
}

// act unsubscribes, or undoes that. A mail client's request, which may be
// "List-Unsubscribe=One-Click" in either form encoding (RFC 8058, section 3.2),
// is answered without a body.
//
// QUIRK: some clients send an empty body.
func (t *Tracker) act(w http.ResponseWriter, r *http.Request, id ID) {
	typ, state := Unsubscribed, PageUnsubscribed
	action := formAction(w, r)
	if action == "resubscribe" {
		typ, state = Resubscribed, PageResubscribed
	}
	if err := t.subscription(r, typ, id); err != nil {
		t.opts.Log.Error("tracking: subscription not changed", "type", typ, "message", id, "err", err)
		w.Header().Set("Retry-After", "60")
		t.page(w, r, http.StatusServiceUnavailable, id, PageFailed)
		return
	}
	if action == "" {
		setPageHeader(w.Header())
		w.WriteHeader(http.StatusOK)
		return
	}
	t.page(w, r, http.StatusOK, id, state)
}

// formAction returns the action of a page's form; empty for anything else.
func formAction(w http.ResponseWriter, r *http.Request) string {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return ""
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.ParseForm() != nil {
		return ""
	}
	return r.PostForm.Get("action")
}

// subscription hands the event to the hook, and to the sink, before it returns.
func (t *Tracker) subscription(r *http.Request, typ Type, id ID) error {
	if !t.unsubscribes() {
		return errNoUnsubscribe
	}
	now := time.Now().UTC()
	mail := t.mail(r.Context(), id)
	client := hit{client: t.clientOf(r), agent: t.agentOf(r.UserAgent())}
	e := Event{
		ID: EventID(typ, id, strconv.FormatInt(now.Unix(), 10)), Type: typ, Time: now, Message: id,
		Recipient: mail.Recipient, Campaign: mail.Campaign, Stream: mail.Stream, Tenant: mail.Tenant,
		Tags: mail.Tags, Meta: mail.Meta,
	}
	client.showClient(&e, Individual)
	// A client that hangs up has still unsubscribed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordTimeout)
	defer cancel()
	if t.opts.Unsubscribe != nil {
		if err := t.opts.Unsubscribe(ctx, e); err != nil {
			return err
		}
	}
	if t.opts.Sink != nil {
		return t.opts.Sink.Record(ctx, []Event{e})
	}
	return nil
}

// mail is what is known of a mail.
func (t *Tracker) mail(ctx context.Context, id ID) Mail {
	if t.opts.Resolve == nil {
		return Mail{}
	}
	return t.recorder.ask(ctx, id, "")
}

// unknown answers a token that is not ours. It never redirects.
func (t *Tracker) unknown(w http.ResponseWriter, r *http.Request) {
	t.page(w, r, http.StatusNotFound, ID{}, PageUnknown)
}

// page shows a page. It sets no cookie and loads nothing.
func (t *Tracker) page(w http.ResponseWriter, r *http.Request, code int, id ID, state PageState) {
	p := Page{Lang: language(r.Header.Get("Accept-Language")), State: state}
	if !t.ownPages && !id.IsZero() {
		p.Mail = t.mail(r.Context(), id)
	}
	var body bytes.Buffer
	if err := t.opts.Pages.ExecuteTemplate(&body, pageTemplate, p); err != nil {
		t.opts.Log.Error("tracking: page not rendered", "state", state, "err", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	setPageHeader(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", p.Lang)
	h.Set("Vary", "Accept-Language")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	if t.ownPages {
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	}
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
}

// setPageHeader keeps a page out of caches, indexes and Referer fields.
func setPageHeader(h http.Header) {
	h["Cache-Control"] = noStore
	h["X-Robots-Tag"] = noIndex
	h["Referrer-Policy"] = noReferrer
	h.Set("X-Content-Type-Options", "nosniff")
}

// language returns the first of our languages that the field names.
func language(accept string) string {
	for tag := range strings.SplitSeq(accept[:min(len(accept), maxAgent)], ",") {
		switch primary, _, _ := strings.Cut(strings.TrimSpace(tag), ";"); {
		case hasLanguage(primary, "es"):
			return "es"
		case hasLanguage(primary, "en"):
			return "en"
		}
	}
	return "en"
}

func hasLanguage(tag, language string) bool {
	primary, _, _ := strings.Cut(tag, "-")
	return strings.EqualFold(primary, language)
}
