package tracking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Tracker compiles messages into templates, and serves the links, pixels and
// unsubscribe pages that are in them. It is safe for concurrent use.
type Tracker struct {
	opts     Options
	signer   *signer
	recorder *recorder
	// links are verified segments of URLs, agents what user agents tell.
	links  cache[string, *destination]
	agents cache[string, *agent]
	// ownPages says that the options give no pages.
	ownPages bool
	// base is the base URL without a trailing slash, prefix its path.
	base, prefix string
	// returnLocal and returnDomain enclose the token of a reverse-path.
	returnLocal, returnDomain string
}

// Options tunes a [Tracker]. The zero value is ready for use.
type Options struct {
	// Policy is the most that any message may keep of its opens and clicks. The
	// default is Individual for both.
	Policy Policy

	// ReturnPath is where returned mail goes: a domain that a bounce server
	// receives mail for, "bounce.example.com", or an address of a mailbox with
	// plus-addressing, "bounces@example.com". Every mail gets its own reverse-path
	// there, "b+<token>@bounce.example.com", which [Tracker.Identify] reads. It
	// should be below the domain of the From address, so that SPF aligns. Empty
	// leaves the reverse-path to the host.
	ReturnPath string
	// FeedbackSender is the sender ID of the Feedback-ID field, 5 to 15 characters,
	// the same for all mail of this sender. Empty leaves the field out.
	FeedbackSender string

	// Sink receives the events: opens and clicks in batches, out of any request's
	// way and repeated until it takes them, unsubscribes before they are answered.
	// Nil records nothing.
	Sink Sink
	// Resolve completes events, as [Resolver] says. Nil means the Sink, if that is
	// a Resolver.
	Resolve func(ctx context.Context, message ID, mailing string) (Mail, error)
	// Consent is asked, before anything about a hit is recorded, what may be, so
	// that a withdrawal also acts on mail that was sent before. It can only restrict
	// Policy. After an error the hit is counted anonymously.
	Consent func(ctx context.Context, message ID) (Policy, error)
	// IgnorePrivacySignals records hits as others although they carry Sec-GPC: 1 or
	// DNT: 1. Otherwise these are anonymous.
	IgnorePrivacySignals bool

	// Unsubscribe puts the recipient of e.Message on the suppression list or, when
	// e.Type is Resubscribed, takes them off. It is called before the request is
	// answered; after an error the client is told to come again. Nil leaves it to
	// the Sink, which gets the same event. Without either, mail carries no
	// unsubscribe fields.
	Unsubscribe func(ctx context.Context, e Event) error
	// Preferences serves the page where the recipient of message sets what mail to
	// get, and how it may be tracked. Nil shows the unsubscribe page instead.
	Preferences func(w http.ResponseWriter, r *http.Request, message ID)
	// Pages has a template "unsubscribe" to use instead of our own; it is given a
	// [Page].
	Pages *template.Template

	// Settle is how long hits wait for others of the same mail, so that scanners can
	// be told by what they do together. Zero means 10 seconds; negative, not at all.
	// When 65,536 hits wait, some 12 MB, the oldest wait no longer; twice as many are
	// the most, and what comes then is lost and counted: see [Tracker.Dropped].
	Settle time.Duration
	// MaxAge is the age at which mail is no longer recorded. Its links work for
	// ever. Zero means 400 days.
	MaxAge time.Duration
	// ClientIP tells who sent a request; not valid if unknown. Nil means the other
	// end of the connection. Behind a proxy use [TrustProxies].
	ClientIP func(*http.Request) netip.Addr
	// Scanners are networks whose hits are machines', such as those of a mail
	// security service.
	Scanners []netip.Prefix
	// Honeypot is the destination of a link in the mail that no person can see.
	// Whoever follows it is a machine, with all that it hits in the time of Settle.
	// Spam filters may dislike hidden links.
	Honeypot string

	// Log receives what went wrong out of a caller's sight. Nil discards.
	Log *slog.Logger
}

const (
	defaultSettle = 10 * time.Second
	defaultMaxAge = 400 * 24 * time.Hour
)

// New returns a tracker for links below baseURL, such as
// "https://t.example.com", which must be https unless its host is this machine,
// and must reach [Tracker.ServeHTTP]. A path is kept. The first key signs, all are
// accepted. The errors of all faults are joined.
//
// Hits are recorded from a timer, so that a host only has to mount the tracker;
// [Tracker.Close] records what still waits.
func New(baseURL string, keys []Key, opts *Options) (*Tracker, error) {
	t := &Tracker{}
	if opts != nil {
		t.opts = *opts
	}
	var faults []error
	base, err := parseBase(baseURL)
	faults = append(faults, err)
	if len(keys) == 0 {
		faults = append(faults, errors.New("tracking: no keys: NewKey makes one"))
	}
	faults = append(faults, checkKeys(keys)...)
	faults = append(faults, t.complete()...)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	t.base, t.prefix = strings.TrimSuffix(base.String(), "/"), strings.TrimSuffix(base.Path, "/")
	t.signer = newSigner(keys)
	t.recorder = newRecorder(&t.opts)
	return t, nil
}

// complete checks the options and sets the defaults.
func (t *Tracker) complete() []error {
	o := &t.opts
	faults := []error{o.Policy.check()}
	o.Policy = Policy{Opens: cmp.Or(o.Policy.Opens, Individual), Clicks: cmp.Or(o.Policy.Clicks, Individual)}
	o.Settle, o.MaxAge = cmp.Or(o.Settle, defaultSettle), cmp.Or(o.MaxAge, defaultMaxAge)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ClientIP == nil {
		o.ClientIP = remoteAddr
	}
	if known, ok := o.Sink.(Resolver); ok && o.Resolve == nil {
		o.Resolve = known.Resolve
	}
	if o.Pages == nil {
		o.Pages, t.ownPages = ownPages(), true
	} else if o.Pages.Lookup(pageTemplate) == nil {
		faults = append(faults, fmt.Errorf("tracking: Pages has no template %q", pageTemplate))
	}
	o.Scanners = slices.Clone(o.Scanners)
	for _, p := range o.Scanners {
		if !p.IsValid() {
			faults = append(faults, fmt.Errorf("tracking: Scanners has the prefix %v", p))
		}
	}
	if o.MaxAge < 0 {
		faults = append(faults, fmt.Errorf("tracking: MaxAge %v is negative", o.MaxAge))
	}
	if n := len(o.FeedbackSender); n != 0 && (n < 5 || n > 15 || strings.ContainsAny(o.FeedbackSender, ": \t\r\n")) {
		faults = append(faults, fmt.Errorf("tracking: FeedbackSender %q: use 5 to 15 characters without a colon or space", o.FeedbackSender))
	}
	faults = append(faults, t.parseReturnPath(o.ReturnPath))
	return faults
}

// parseBase checks the base URL.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("tracking: base URL %q: %w", s, err)
	case u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf(`tracking: base URL %q has no host: use one like "https://t.example.com"`, s)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("tracking: base URL %q: a user, a query or a fragment has no place in it", s)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("tracking: base URL %q must begin with https://", s)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// parseReturnPath splits the option into what stands before and after a token.
func (t *Tracker) parseReturnPath(s string) error {
	if s == "" {
		return nil
	}
	local, domain, found := strings.Cut(s, "@")
	if !found {
		local, domain = "b", s
	}
	switch {
	case len(local) == 0 || len(local)+1+returnSize > 64: // RFC 5321, section 4.5.3.1.1
		return fmt.Errorf("tracking: ReturnPath %q: what stands before the @ must have 1 to %d characters", s, 64-1-returnSize)
	case strings.ContainsAny(local, " \t\r\n<>()[]\\,;:\"+"):
		return fmt.Errorf("tracking: ReturnPath %q: %q cannot stand before a + and a token", s, local)
	case !isDomain(domain):
		return fmt.Errorf("tracking: ReturnPath %q: %q is not a domain of letters, digits, hyphens and dots", s, domain)
	}
	t.returnLocal, t.returnDomain = local+"+", "@"+domain
	return nil
}

// isDomain reports whether s is a name of at least one label in ASCII.
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && !('a' <= c|0x20 && c|0x20 <= 'z') && !('0' <= c && c <= '9') {
				return false
			}
		}
	}
	return true
}

// The paths below the base URL, and what follows them:
//
//	/c/<L>/<R>          a click; mailing and URL are in L
//	/o/<mailing>/<R>.gif an open
//	/u/<R>              unsubscribe
//	/p/<R>              preferences
const (
	pathClick       = "/c/"
	pathOpen        = "/o/"
	pathUnsubscribe = "/u/"
	pathPreferences = "/p/"
	pixelSuffix     = ".gif"
)

// appendClick appends the URL of a link up to the recipient's token, which ends it.
func (t *Tracker) appendClick(dst []byte, m mailing, link uint16, url string) []byte {
	dst = append(append(dst, t.base...), pathClick...)
	return append(t.signer.appendLink(dst, m, link, url), '/')
}

// appendPixel appends the URL of the pixel up to the recipient's token.
// [pixelSuffix] follows that.
func (t *Tracker) appendPixel(dst []byte, m mailing) []byte {
	dst = append(append(dst, t.base...), pathOpen...)
	return append(urlEncoding.AppendEncode(dst, m[:]), '/')
}

// appendReturnPath appends the reverse-path of a mail, given its token of the kind
// return, or nothing if the option is not set.
func (t *Tracker) appendReturnPath(dst, token []byte) []byte {
	if t.returnDomain == "" {
		return dst
	}
	dst = appendLower(append(dst, t.returnLocal...), token)
	return append(dst, t.returnDomain...)
}

// Identify returns the mail that a reverse-path or a Message-ID of ours names, in
// angle brackets or without. The token in it proves that we sent that mail: a
// bounce or a complaint that shows none proves nothing. The error wraps
// [ErrBadToken].
func (t *Tracker) Identify(s string) (ID, error) {
	if len(s) > maxReference {
		return ID{}, fmt.Errorf("tracking: a reverse-path or Message-ID of %d bytes: %w", len(s), ErrBadToken)
	}
	local := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
	if at := strings.LastIndexByte(local, '@'); at >= 0 {
		local = local[:at]
	}
	id, err := t.identify(local)
	if err != nil {
		return ID{}, fmt.Errorf("tracking: %q: %w", s, err)
	}
	return id, nil
}

// maxReference is the longest reverse-path or Message-ID that is looked at.
const maxReference = 998

func (t *Tracker) identify(local string) (ID, error) {
	if plus := strings.LastIndexByte(local, '+'); plus >= 0 {
		return t.signer.parseReturn(local[plus+1:])
	}
	token, err := t.signer.parseRecipient(local, mailing{})
	if err != nil || token.kind != kindReturn {
		return ID{}, ErrBadToken
	}
	return token.id, nil
}
