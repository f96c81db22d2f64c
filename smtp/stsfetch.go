package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	stsFetchTimeout = time.Minute      // RFC 8461, section 3.3
	stsRenewTimeout = 10 * time.Second // where an older policy holds meanwhile
	stsRetryAfter   = 5 * time.Minute  // after a failed fetch (RFC 8461, section 3.3)
	stsRefreshAfter = 24 * time.Hour   // then a policy is fetched again, to keep it alive
	maxSTSFailures  = 10_000           // remembered
)

// stsFinder finds the MTA-STS policy of a domain: in the DNS, in the store, and
// on the domain's policy server. Nothing runs in the background: whoever needs a
// policy that has grown old refreshes it.
type stsFinder struct {
	resolver Resolver
	store    STSStore
	client   *http.Client
	fetching shared[string, *STSPolicy] // by domain

	mu     sync.Mutex            // guards failed
	failed map[string]stsFailure // by domain
}

type stsFailure struct {
	id   string
	when time.Time
	err  error
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func newSTSFinder(r Resolver, store STSStore, conf *tls.Config, dial dialFunc) *stsFinder {
	return &stsFinder{
		resolver: r,
		store:    store,
		failed:   make(map[string]stsFailure),
		client: &http.Client{
			// A redirect would let whoever runs a web server move the policy.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:            dial,
				TLSClientConfig:        conf,
				DisableKeepAlives:      true,
				DisableCompression:     true,
				MaxResponseHeaderBytes: maxSTSPolicy,
			},
		},
	}
}

// Why a policy that is announced cannot be had.
var (
	errSTSFetch   = errors.New("MTA-STS policy cannot be fetched")
	errSTSInvalid = errors.New("MTA-STS policy is malformed")
)

// find returns the policy that holds for a domain now, or nil. missed says why
// the one that is announced could not be had; it is for reports, because a policy
// never seen binds nobody (RFC 8461, section 5.1). An error means that a policy
// may hold and nobody can tell.
func (f *stsFinder) find(ctx context.Context, domain string) (p *STSPolicy, missed, err error) {
	known, err := f.load(ctx, domain)
	if err != nil {
		return nil, nil, err
	}
	id, announced, err := f.announced(ctx, domain)
	if err != nil || !announced {
		return known, err, nil
	}
	if known.current(id) {
		return known, nil, nil
	}
	fresh, err := f.fetching.do(ctx, domain, func() (*STSPolicy, error) { return f.refresh(ctx, domain, id, known) })
	if err != nil {
		return known, err, nil
	}
	return fresh, nil, nil
}

// current reports whether p, which may be nil, is the version announced and young
// enough to be used as it is.
func (p *STSPolicy) current(id string) bool {
	return p != nil && p.ID == id && time.Since(p.Fetched) < min(stsRefreshAfter, p.MaxAge/2)
}

// load returns the policy kept for a domain, or nil if none is, or it expired.
func (f *stsFinder) load(ctx context.Context, domain string) (*STSPolicy, error) {
	p, ok, err := f.store.LoadSTS(ctx, domain)
	if err != nil {
		return nil, fmt.Errorf("MTA-STS store: %w", err)
	}
	if !ok || p.expired(time.Now()) {
		return nil, nil
	}
	return &p, nil
}

func (f *stsFinder) announced(ctx context.Context, domain string) (id string, ok bool, err error) {
	answer, err := f.resolver.Lookup(ctx, "_mta-sts."+domain, RecordTXT)
	if err != nil {
		return "", false, err
	}
	id, ok = parseSTSRecord(answer.TXT)
	return id, ok, nil
}

// refresh fetches a policy and saves it. What failed is not tried again for a while.
// known is the policy that holds meanwhile, or nil.
func (f *stsFinder) refresh(ctx context.Context, domain, id string, known *STSPolicy) (*STSPolicy, error) {
	if err := f.failure(domain, id); err != nil {
		return nil, err
	}
	if p, err := f.load(ctx, domain); err == nil && p.current(id) {
		return p, nil // somebody was faster
	}
	patience := stsFetchTimeout
	if known != nil {
		patience = stsRenewTimeout
	}
	p, err := f.fetch(ctx, domain, patience)
	if err != nil {
		err = fmt.Errorf("%w: %w", errSTSFetch, err)
		if ctx.Err() == nil {
			f.remember(domain, stsFailure{id, time.Now(), err})
		}
		return nil, err
	}
	p.ID, p.Fetched = id, time.Now()
	if err := f.store.SaveSTS(ctx, domain, *p); err != nil {
		return p, nil // it holds for this attempt; the next one fetches again
	}
	return p, nil
}

func (f *stsFinder) failure(domain, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.failed[domain]
	if !ok || last.id != id || time.Since(last.when) > stsRetryAfter {
		return nil
	}
	return last.err
}

func (f *stsFinder) remember(domain string, failure stsFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.failed) >= maxSTSFailures {
		clear(f.failed)
	}
	f.failed[domain] = failure
}

// fetch reads a policy from its server (RFC 8461, section 3.3).
func (f *stsFinder) fetch(ctx context.Context, domain string, patience time.Duration) (*STSPolicy, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	url := "https://mta-sts." + domain + "/.well-known/mta-sts.txt"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", url, resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return nil, fmt.Errorf("%s has Content-Type %.80q, not text/plain", url, resp.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSTSPolicy+1))
	if err != nil {
		return nil, err
	}
	p, err := parseSTSPolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSTSInvalid, err)
	}
	return p, nil
}
