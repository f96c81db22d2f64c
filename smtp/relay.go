package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// RelayOptions tunes a [Relay]. The zero value is ready for use.
type RelayOptions struct {
	// Auth authenticates, instead of the credentials of the URL. Nil uses those.
	Auth Auth
	// DangerouslyAllowPlaintextAuth sends credentials over connections without TLS,
	// where anyone on the way can read them.
	DangerouslyAllowPlaintextAuth bool
	// TLSConfig is the configuration of TLS. Nil verifies the certificate for the
	// host of the URL and takes TLS 1.2 and later.
	TLSConfig *tls.Config
	// LocalName is what to say in EHLO: a full host name or an address literal.
	// Empty is the name of this machine if it is a full one, and otherwise the
	// local address of the connection.
	LocalName string
	// Dialer makes connections. Nil is a [net.Dialer].
	Dialer Dialer
	// Signer signs each message. Nil leaves that to the relay.
	Signer   Signer
	Pool     PoolOptions
	Timeouts Timeouts
	// Log receives one record per attempt that did not reach every recipient. Nil
	// discards.
	Log *slog.Logger
}

// Relay sends through one server, over connections that it keeps and shares. It is
// a [Transport] and safe for concurrent use.
//
// While the server offers PIPELINING, concurrent calls of Send share a connection
// without waiting for each other's answers.
type Relay struct {
	target *target
	pool   *pool
	signer Signer
	log    *slog.Logger
}

// NewRelay makes a Relay from a URL; it does not connect. Nil options are the
// defaults.
//
//	smtp://user:password@smtp.example.com:587   STARTTLS (port 587 if none is given)
//	smtps://user:password@smtp.example.com      TLS from the start (port 465)
//	lmtp://localhost:24                         LMTP (port 24)
//	lmtp:///run/dovecot/lmtp                    LMTP over a Unix socket
//
// Characters of user and password that are special in a URL are percent-encoded.
// STARTTLS is required, except without credentials on this machine (localhost,
// 127.0.0.0/8, ::1, a Unix socket), where it is used if it is offered. The query
// ?tls=required, ?tls=opportunistic or ?tls=none overrides that.
//
// The error names the part of the URL or the option at fault, and never the
// password.
func NewRelay(rawURL string, opts *RelayOptions) (*Relay, error) {
	if opts == nil {
		opts = &RelayOptions{}
	}
	t, err := parseRelay(rawURL)
	if err = errors.Join(err, opts.check()); err != nil {
		return nil, fmt.Errorf("smtp: relay: %w", err)
	}
	t.tls = opts.TLSConfig.Clone()
	t.localName = opts.LocalName
	t.timeouts = opts.Timeouts.withDefaults()
	t.clear = clearAuth(opts.DangerouslyAllowPlaintextAuth)
	if t.dialer = opts.Dialer; t.dialer == nil {
		t.dialer = &net.Dialer{}
	}
	if opts.Auth != nil {
		t.auth = opts.Auth
	}
	r := &Relay{target: t, pool: newPool(opts.Pool), signer: opts.Signer, log: opts.Log}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r, nil
}

func (o *RelayOptions) check() error {
	return errors.Join(checkLocalName(o.LocalName), o.Pool.check(), o.Timeouts.check())
}

func checkLocalName(name string) error {
	if name == "" {
		return nil
	}
	if strings.HasPrefix(name, "[") {
		if _, fault := parseLiteral(name); fault != "" {
			return fmt.Errorf("option LocalName %q: %s", name, fault)
		}
		return nil
	}
	if fault := checkHost(strings.ToLower(name)); fault != "" {
		return fmt.Errorf("option LocalName %q: %s", name, fault)
	}
	return nil
}

func (o *PoolOptions) check() error {
	var errs []error
	for _, option := range []struct {
		name  string
		value int64
	}{
		{"MaxConns", int64(o.MaxConns)},
		{"MaxInFlight", int64(o.MaxInFlight)},
		{"MaxMessages", int64(o.MaxMessages)},
		{"IdleTimeout", int64(o.IdleTimeout)},
		{"MaxAge", int64(o.MaxAge)},
	} {
		if option.value < 0 {
			errs = append(errs, fmt.Errorf("option Pool.%s %d: negative", option.name, option.value))
		}
	}
	return errors.Join(errs...)
}

// parseRelay reads the URL of a relay.
func parseRelay(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of package url quotes the whole URL, with the password.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("the URL cannot be parsed (percent-encode special characters of the password): %w", redactURL(err))
	}
	t := &target{}
	if err := t.setScheme(u); err != nil {
		return nil, err
	}
	if err := t.setQuery(u.Query()); err != nil {
		return nil, err
	}
	if u.User == nil {
		return t, nil
	}
	password, given := u.User.Password()
	if u.User.Username() == "" || !given {
		return nil, errors.New("URL has a user without password or a password without user: write smtp://user:password@host")
	}
	t.identity = u.User.Username()
	t.auth = Password(u.User.Username(), password)
	return t, nil
}

// redactURL keeps of an error of package url what cannot quote a password.
func redactURL(err error) error {
	var escape url.EscapeError
	if errors.As(err, &escape) {
		return errors.New("invalid percent-encoding")
	}
	return errors.New("invalid host, port or user")
}

var relayPorts = map[string]string{"smtp": "587", "smtps": "465", "lmtp": "24"}

func (t *target) setScheme(u *url.URL) error {
	port, ok := relayPorts[u.Scheme]
	if !ok {
		return fmt.Errorf("URL scheme %q: it is none of smtp, smtps and lmtp", u.Scheme)
	}
	t.lmtp = u.Scheme == "lmtp"
	if u.Scheme == "lmtp" && u.Host == "" && strings.HasPrefix(u.Path, "/") && u.Path != "/" {
		t.network, t.addr, t.host, t.security = "unix", u.Path, "localhost", startTLSOpportunistic
		return nil
	}
	switch {
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("URL path %q: a relay has none", u.Path)
	case u.Fragment != "":
		return errors.New("URL fragment: a relay has none (percent-encode # in a password)")
	case u.Hostname() == "":
		return errors.New("URL host: there is none")
	}
	host := strings.ToLower(u.Hostname())
	if u.Port() != "" {
		port = u.Port()
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("URL port %q: it is not between 1 and 65535", port)
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if host, err = relayHost(host); err != nil {
			return err
		}
	}
	t.network, t.addr, t.host = "tcp", net.JoinHostPort(host, port), host
	local := host == "localhost" || err == nil && addr.IsLoopback()
	switch {
	case u.Scheme == "smtps":
		t.security, t.policy = implicitTLS, "required"
	case local && u.User == nil:
		t.security = startTLSOpportunistic
	default:
		t.security, t.policy = startTLSRequired, "required"
	}
	return nil
}

func relayHost(host string) (string, error) {
	name, fault := parseDomain(host)
	if fault == "" && strings.HasPrefix(name, "[") {
		fault = "an IPv6 address in brackets has no tag: write [2001:db8::1]"
	}
	if fault != "" {
		return "", fmt.Errorf("URL host %q: %s", host, fault)
	}
	return name, nil
}

func (t *target) setQuery(query url.Values) error {
	for key, values := range query {
		if key != "tls" {
			return fmt.Errorf("URL option %q: the only one is tls", key)
		}
		if len(values) > 1 {
			return errors.New("URL option tls: given more than once")
		}
	}
	if !query.Has("tls") {
		return nil
	}
	if t.security == implicitTLS {
		return errors.New("URL option tls: smtps always uses TLS")
	}
	switch value := query.Get("tls"); value {
	case "required":
		t.security, t.policy = startTLSRequired, "required"
	case "opportunistic":
		t.security, t.policy = startTLSOpportunistic, ""
	case "none":
		t.security, t.policy = plaintext, ""
	default:
		return fmt.Errorf("URL option tls=%q: it is none of required, opportunistic and none", value)
	}
	return nil
}

// Send implements [Transport].
func (r *Relay) Send(ctx context.Context, m *Message) (*Result, error) {
	began := time.Now()
	result := newResult(m)
	err := r.send(ctx, m, result)
	if err != nil {
		r.log.LogAttrs(ctx, slog.LevelWarn, "smtp: message not accepted for every recipient",
			slog.String("id", m.ID), slog.String("host", r.target.host),
			slog.Int("recipients", len(m.To)), slog.Duration("took", time.Since(began)), slog.Any("error", err))
	}
	contextTrace(ctx).done(result, err)
	return result, err
}

func (r *Relay) send(ctx context.Context, m *Message, result *Result) error {
	if err := ctx.Err(); err != nil {
		return result.failRest(&Error{Phase: PhaseMessage, Err: ended(ctx)})
	}
	l, err := newLetter(ctx, m, r.signer)
	if err != nil {
		return result.failRest(err)
	}
	if err := r.pool.deliver(ctx, r.target, l, indexes(len(m.To)), result); err != nil {
		return result.failRest(err)
	}
	return result.Err()
}

// Check connects, authenticates and disconnects, and says what the server offers.
// It proves a configuration without sending anything.
func (r *Relay) Check(ctx context.Context) (*ServerInfo, error) {
	s, err := dialSession(ctx, r.target)
	if err != nil {
		return nil, err
	}
	s.quit()
	s.chat()
	return &s.info, nil
}

// Stats counts connections and messages.
func (r *Relay) Stats() Stats { return r.pool.snapshot() }

// Shutdown lets no more messages in, waits for those under way and says QUIT. When
// ctx ends first, it closes every connection and returns the cause.
func (r *Relay) Shutdown(ctx context.Context) error { return r.pool.shutdown(ctx) }

// Close closes every connection at once. Messages under way fail with [ErrClosed],
// or are indeterminate.
func (r *Relay) Close() error {
	r.pool.drop()
	return nil
}
