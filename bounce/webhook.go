package bounce

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// WebhookOptions tunes a [Webhook]. The zero value is ready for use.
type WebhookOptions struct {
	// MaxBody is the size in bytes over which a request is refused. Zero means 2
	// MiB.
	MaxBody int64
	// Tolerance is how far the time in a signature may lie from now. Zero means 12
	// hours: a provider that repeats an event need not sign it anew.
	Tolerance time.Duration
	// Client fetches Amazon's certificates and confirms subscriptions. It follows no
	// redirect. Nil means one that waits 10 seconds.
	Client *http.Client
	// DangerouslyAllowAnyone lets a webhook that has no credentials take events
	// from whoever knows its URL.
	DangerouslyAllowAnyone bool
	// Log receives one record per request. Nil discards.
	Log *slog.Logger
}

// Credentials are the user name and password that a provider without signatures
// sends (RFC 7617): write them into the URL that you give to it,
// "https://user:password@t.example.com/postmark".
type Credentials struct {
	Username, Password string
}

// Webhook is an [http.Handler] that takes the events of a provider through which
// mail is relayed, and hands each as a [Report] to the host, as [Server] does with
// returned mail. Bounces, delays, deliveries, complaints and unsubscriptions are
// reports; of a delivery to several recipients, too, there is one. Other events,
// such as opens, are taken and dropped. An unsubscription is a [KindComplaint]
// whose recipient has the reason [OptOut].
//
// A request that is not proven to be the provider's is refused (401 or 403), and
// one that cannot be read is refused as well (400, 413). When the handler fails,
// the provider is told so (503), and sends the request again, in which other
// events may have been handed over: the same event can come twice, with the same
// [Report.ID]. It is safe for concurrent use.
type Webhook struct {
	service *service
	proof   proof
	handle  Handler
	opts    WebhookOptions
}

// proof says whether a request is the provider's.
type proof interface {
	// check returns the JSON that holds the events. It is nil if there are none,
	// and done runs once the host has taken them.
	check(ctx context.Context, r *http.Request, body []byte) (events []byte, done func(), err error)
}

// refusal is an error that is answered with its own status.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// NewMailjetWebhook takes the events of Mailjet, which proves itself by
// credentials alone.
func NewMailjetWebhook(c Credentials, handle Handler, opts *WebhookOptions) (*Webhook, error) {
	return newWebhook(&mailjet, &basicAuth{c}, handle, opts, c.check(opts))
}

// NewPostmarkWebhook takes the events of Postmark, which proves itself by
// credentials alone.
func NewPostmarkWebhook(c Credentials, handle Handler, opts *WebhookOptions) (*Webhook, error) {
	return newWebhook(&postmark, &basicAuth{c}, handle, opts, c.check(opts))
}

// NewMailgunWebhook takes the events of Mailgun, signed with the account's HTTP
// webhook signing key.
func NewMailgunWebhook(signingKey string, handle Handler, opts *WebhookOptions) (*Webhook, error) {
	m := &mailgunProof{key: []byte(signingKey), seen: map[string]time.Time{}}
	w, err := newWebhook(&mailgun, m, handle, opts, require(signingKey != "", "signing key is empty"))
	if err == nil {
		m.tolerance = w.opts.Tolerance
	}
	return w, err
}

// NewSendGridWebhook takes the events of SendGrid, signed. The public key is as
// the settings of the signed event webhook show it, in base64.
func NewSendGridWebhook(publicKey string, handle Handler, opts *WebhookOptions) (*Webhook, error) {
	key, err := parseSendGridKey(publicKey)
	s := &sendGridProof{key: key}
	w, err := newWebhook(&sendGrid, s, handle, opts, err)
	if err == nil {
		s.tolerance = w.opts.Tolerance
	}
	return w, err
}

// NewSESWebhook takes the events of Amazon SES that Amazon SNS posts, signed.
// Topics are the ARNs of those topics that are the host's: a signature proves only
// that some customer of Amazon wrote the event. The webhook confirms subscriptions
// to them by itself.
func NewSESWebhook(topics []string, handle Handler, opts *WebhookOptions) (*Webhook, error) {
	s := &snsProof{topics: topics, certificates: map[string]*certificate{}}
	w, err := newWebhook(&ses, s, handle, opts, require(len(topics) > 0, "topics are empty: name the ARNs of your SNS topics"))
	if err == nil {
		client := *w.opts.Client
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		s.client = &client
	}
	return w, err
}

func newWebhook(s *service, p proof, handle Handler, opts *WebhookOptions, faults ...error) (*Webhook, error) {
	w := &Webhook{service: s, proof: p, handle: handle}
	if opts != nil {
		w.opts = *opts
	}
	faults = append(faults,
		require(handle != nil, "handle is nil"),
		require(w.opts.MaxBody >= 0, "MaxBody is negative"),
		require(w.opts.Tolerance >= 0, "Tolerance is negative"),
	)
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("bounce: new %s webhook: %w", s.name, err)
	}
	w.opts.defaults()
	return w, nil
}

func (o *WebhookOptions) defaults() {
	if o.MaxBody == 0 {
		o.MaxBody = 2 << 20
	}
	if o.Tolerance == 0 {
		o.Tolerance = 12 * time.Hour
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// ServeHTTP takes one request.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	n, err := w.take(rw, r)
	status, text := http.StatusOK, ""
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		status, text = refused.status, refused.text
	case err != nil:
		status, text = http.StatusServiceUnavailable, "cannot take it now, try again later"
	}
	w.opts.Log.LogAttrs(r.Context(), slog.LevelInfo, "events of "+w.service.name,
		slog.Int("status", status), slog.Int("reports", n), slog.Any("err", err))
	switch status {
	case http.StatusOK:
		rw.WriteHeader(status)
		return
	case http.StatusMethodNotAllowed:
		rw.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		rw.Header().Set("WWW-Authenticate", `Basic realm="webhook"`)
	}
	http.Error(rw, text, status)
}

// take hands the events of a request to the host, and counts them.
func (w *Webhook) take(rw http.ResponseWriter, r *http.Request) (n int, err error) {
	if r.Method != http.MethodPost {
		return 0, &refusal{http.StatusMethodNotAllowed, "post the events"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, w.opts.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return 0, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d bytes", w.opts.MaxBody)}
	case err != nil:
		return 0, &refusal{http.StatusBadRequest, "the request was cut off"}
	}
	events, done, err := w.proof.check(r.Context(), r, body)
	if err != nil || events == nil {
		return 0, err
	}
	reports, err := w.service.reports(events)
	if err != nil {
		return 0, &refusal{http.StatusBadRequest, err.Error()}
	}
	for _, report := range reports {
		if err := w.handle(r.Context(), report); err != nil {
			return n, err
		}
		n++
	}
	done()
	return n, nil
}

// basicAuth is the proof of providers that do not sign.
type basicAuth struct{ Credentials }

func (b *basicAuth) check(_ context.Context, r *http.Request, body []byte) ([]byte, func(), error) {
	if b.Credentials == (Credentials{}) {
		return body, func() {}, nil
	}
	user, password, _ := r.BasicAuth()
	if same(user, b.Username)&same(password, b.Password) == 0 {
		return nil, nil, &refusal{http.StatusUnauthorized, "wrong user name or password"}
	}
	return body, func() {}, nil
}

// same compares in a time that tells nothing.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

func (c Credentials) check(opts *WebhookOptions) error {
	open := opts != nil && opts.DangerouslyAllowAnyone
	return require(c.Password != "" || open && c == Credentials{}, "credentials are empty: anyone could send events")
}
