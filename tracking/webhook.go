package tracking

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WebhookOptions tunes a [Webhook]. The zero value is ready for use.
type WebhookOptions struct {
	// Client sends the requests. Nil means one that follows no redirect.
	Client *http.Client
	// Timeout bounds one request. Zero means 15 seconds.
	Timeout time.Duration
	// Pauses lie between the attempts for an event, each ±10 %: one more attempt
	// than there are pauses. A longer Retry-After is honoured, up to a day. Nil
	// means 5 seconds, 5 and 30 minutes, 2, 5, 10 and 10 hours.
	Pauses []time.Duration
	// DeadLetter receives the events that no attempt could deliver, and those that
	// are left at Close. Nil logs and counts them.
	DeadLetter Sink
	// Parallel is how many requests are under way at once. Zero means 4.
	Parallel int
	// Room is how many events may wait. Zero means 65,536, some 25 MB.
	Room int
	// Log receives failures. Nil discards.
	Log *slog.Logger
}

// Webhook is a sink that posts each event, signed by the rules of Standard
// Webhooks 1.0, so that any of its libraries can verify them; in Go,
// [ReadWebhook] does. An event is posted until the receiver answers with a 2xx
// status, with the event's ID in webhook-id: the same event can come twice. The
// order is not kept. What waits is in memory only: give DeadLetter a sink that
// keeps what Close cannot deliver, and read from a [Journal] what a crash took.
// It is safe for concurrent use.
type Webhook struct {
	url     string
	secrets [][]byte
	opts    WebhookOptions

	mu      sync.Mutex // guards all below
	waiting postings
	active  int
	closed  bool
	lost    int64
	timer   *time.Timer
	calls   sync.WaitGroup
}

// posting is an event on its way.
type posting struct {
	event    Event
	body     []byte
	attempts int
	due      time.Time
}

const (
	secretPrefix  = "whsec_"
	minHookSecret = 24 // bytes, as the standard says
	maxHookSecret = 64
	maxRetryAfter = 24 * time.Hour
	eventPrefix   = "email." // of the type
)

var defaultPauses = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour}

// NewWebhook returns a sink that posts to a URL. Each secret is "whsec_" and 24 to
// 64 bytes in base64; a request is signed with all of them, so that the receiver
// can change to the next when it likes.
func NewWebhook(to string, secrets []string, opts *WebhookOptions) (*Webhook, error) {
	w := &Webhook{url: to}
	if opts != nil {
		w.opts = *opts
	}
	keys, err := parseSecrets(secrets)
	u, parseErr := url.Parse(to)
	switch {
	case parseErr != nil:
		err = errors.Join(err, fmt.Errorf("tracking: webhook URL: %w", parseErr))
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		err = errors.Join(err, fmt.Errorf("tracking: webhook URL %q must begin with https://", u.Redacted()))
	}
	if w.opts.Parallel < 0 || w.opts.Room < 0 || w.opts.Timeout < 0 {
		err = errors.Join(err, fmt.Errorf("tracking: webhook with %d requests at once, room %d and timeout %v: use positive values", w.opts.Parallel, w.opts.Room, w.opts.Timeout))
	}
	if err != nil {
		return nil, err
	}
	w.secrets = keys
	w.opts.fill()
	return w, nil
}

func (o *WebhookOptions) fill() {
	o.Timeout, o.Parallel, o.Room = cmp.Or(o.Timeout, 15*time.Second), cmp.Or(o.Parallel, 4), cmp.Or(o.Room, defaultRoom)
	if o.Pauses == nil {
		o.Pauses = defaultPauses
	}
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func parseSecrets(secrets []string) ([][]byte, error) {
	var keys [][]byte
	var faults []error
	if len(secrets) == 0 {
		faults = append(faults, errors.New("tracking: webhook without a secret"))
	}
	for i, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
		if err != nil || len(key) < minHookSecret || len(key) > maxHookSecret {
			faults = append(faults, fmt.Errorf("tracking: webhook secret at position %d is not %q and %d to %d bytes in base64", i+1, secretPrefix, minHookSecret, maxHookSecret))
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}

// ErrFull is for events for which there is no room.
var ErrFull = errors.New("no room")

// Record takes the events, all or none, and returns before they are posted. It
// fails with [ErrFull] when they would be too many, and with [ErrClosed].
func (w *Webhook) Record(_ context.Context, events []Event) error {
	fresh := make([]*posting, len(events))
	now := time.Now()
	for i, e := range events {
		body, err := json.Marshal(webhookBody{Type: eventPrefix + string(e.Type), Timestamp: e.Time, Data: e})
		if err != nil {
			return fmt.Errorf("tracking: webhook: event %v: %w", e.ID, err)
		}
		fresh[i] = &posting{event: e, body: body, due: now}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if len(w.waiting)+w.active+len(events) > w.opts.Room {
		return fmt.Errorf("tracking: webhook: %d events wait: %w", len(w.waiting), ErrFull)
	}
	for _, p := range fresh {
		heap.Push(&w.waiting, p)
	}
	w.dispatch(now)
	return nil
}

// webhookBody is the payload that Standard Webhooks recommends.
type webhookBody struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      Event     `json:"data"`
}

// dispatch begins to post what is due, as far as allowed, and sets the timer for
// the next. The caller holds mu.
func (w *Webhook) dispatch(now time.Time) {
	for len(w.waiting) > 0 && w.active < w.opts.Parallel && !w.waiting[0].due.After(now) {
		p := heap.Pop(&w.waiting).(*posting)
		w.active++
		w.calls.Go(func() { w.post(p) })
	}
	if len(w.waiting) == 0 || w.active == w.opts.Parallel {
		return // whoever ends looks again
	}
	pause := w.waiting[0].due.Sub(now)
	if w.timer == nil {
		w.timer = time.AfterFunc(pause, w.wake)
		return
	}
	w.timer.Reset(pause)
}

func (w *Webhook) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dispatch(time.Now())
}

// post makes one attempt, and begins the next.
func (w *Webhook) post(p *posting) {
	after, err := w.attempt(p)
	if err != nil && !w.retry(p, after, err) {
		w.bury([]*posting{p}, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active--
	w.dispatch(time.Now())
}

// retry puts a posting back, unless it was the last attempt.
func (w *Webhook) retry(p *posting, after time.Duration, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.attempts++
	if w.closed || p.attempts > len(w.opts.Pauses) || errors.Is(err, errGone) {
		return false
	}
	pause := w.opts.Pauses[p.attempts-1]
	pause = max(pause-pause/10+rand.N(pause/5+1), after)
	p.due = time.Now().Add(pause)
	heap.Push(&w.waiting, p)
	w.opts.Log.Warn("tracking: webhook failed", "event", p.event.ID, "attempt", p.attempts, "err", err, "retry", pause)
	return true
}

// bury hands events to the dead-letter sink.
func (w *Webhook) bury(postings []*posting, cause error) {
	events := make([]Event, len(postings))
	for i, p := range postings {
		events[i] = p.event
	}
	err := errors.New("no dead-letter sink")
	if w.opts.DeadLetter != nil {
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		defer cancel()
		err = w.opts.DeadLetter.Record(ctx, events)
	}
	if err != nil {
		w.opts.Log.Error("tracking: webhook lost events", "events", len(events), "cause", cause, "err", err)
		w.mu.Lock()
		w.lost += int64(len(events))
		w.mu.Unlock()
	}
}

// errGone is for a receiver that wants no more.
var errGone = errors.New("410 Gone")

// attempt posts an event once. After an error it returns how long the receiver
// asked to be left alone.
func (w *Webhook) attempt(p *posting) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(p.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "franqueo")
	w.sign(req.Header, p, time.Now())
	res, err := w.opts.Client.Do(req)
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err // the URL may hold a secret
	}
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	switch {
	case res.StatusCode/100 == 2:
		return 0, nil
	case res.StatusCode == http.StatusGone:
		return 0, errGone
	}
	return retryAfter(res.Header.Get("Retry-After"), time.Now()), fmt.Errorf("status %d", res.StatusCode)
}

// retryAfter reads the field's two forms (RFC 9110, section 10.2.3).
func retryAfter(v string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(v); err == nil {
		return min(max(0, time.Duration(min(seconds, 1<<20))*time.Second), maxRetryAfter)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(0, at.Sub(now)), maxRetryAfter)
	}
	return 0
}

func (w *Webhook) sign(h http.Header, p *posting, now time.Time) {
	id, at := p.event.ID.String(), strconv.FormatInt(now.Unix(), 10)
	signatures := make([]string, len(w.secrets))
	for i, secret := range w.secrets {
		signatures[i] = signatureScheme + base64.StdEncoding.EncodeToString(hookSignature(secret, id, at, p.body))
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}

// Lost returns how many events were lost since the start, because neither the
// receiver nor the dead-letter sink took them.
func (w *Webhook) Lost() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close makes one more attempt for everything that waits, and hands DeadLetter
// what is not delivered when that fails or ctx ends. Then it returns an error if
// ctx ended first; requests under way end by themselves, within Timeout.
func (w *Webhook) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	now := time.Now()
	for _, p := range w.waiting {
		p.due = now
	}
	w.dispatch(now)
	w.mu.Unlock()
	done := make(chan struct{})
	go func() {
		w.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	left := w.waiting
	w.waiting = nil
	w.mu.Unlock()
	if len(left) > 0 {
		w.bury(left, context.Cause(ctx))
	}
	return fmt.Errorf("tracking: webhook closed with %d events waiting: %w", len(left), context.Cause(ctx))
}

// postings is a heap by due time.
type postings []*posting

func (p postings) Len() int           { return len(p) }
func (p postings) Less(i, j int) bool { return p[i].due.Before(p[j].due) }
func (p postings) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// Push is for package heap.
func (p *postings) Push(x any) { *p = append(*p, x.(*posting)) }

// Pop is for package heap.
func (p *postings) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last], *p = nil, (*p)[:last]
	return x
}
