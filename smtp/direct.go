package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Direct delivers to the mail hosts of each recipient's domain, under the TLS
// policy that holds for them: DANE (RFC 7672), MTA-STS (RFC 8461), or TLS where it
// is offered. It is a [Transport] and safe for concurrent use.
//
// Recipients of one domain share a transaction, and messages to one host share
// connections as they do in a [Relay]. A host that cannot be reached, that defers
// the connection or the sender, or that hangs up before the message was handed
// over, leaves the recipients to the next one. What a host says of a recipient or
// of the message is final for this attempt.
type Direct struct {
	localName string
	resolver  Resolver
	sts       *stsFinder
	pool      *pool
	down      hostMemory  // did not answer, or not under the TLS that they are held to
	brokenTLS hostMemory  // offer STARTTLS and fail the handshake
	tls       *tls.Config // the basis; never changed
	timeouts  Timeouts
	dialer    Dialer
	guarded   *net.Dialer // the same where it is ours, and nil otherwise
	allowAddr func(netip.Addr) bool
	source    func(ctx context.Context, a Attempt) (Source, error)
	signer    Signer
	report    func(TLSResult)
	log       *slog.Logger
}

// DirectOptions tunes a [Direct]. The zero value is ready for use.
type DirectOptions struct {
	// Resolver finds hosts and policies. Nil means what [NewResolver] makes
	// without options. DANE needs one that validates DNSSEC.
	Resolver Resolver
	// TLSConfig is the basis for TLS with mail hosts and with the servers of
	// MTA-STS policies: authorities, versions, client certificates. Server names
	// and verification are set for each connection. Nil is TLS 1.2 and later, and
	// the system's authorities.
	TLSConfig *tls.Config
	// STSStore keeps MTA-STS policies. Nil keeps them in memory.
	STSStore STSStore
	// AllowAddr says which addresses may be connected to, for mail as for
	// MTA-STS policies. Nil means unicast addresses of the public Internet that
	// are not this host's own: anyone can publish an MX record that points into
	// your network.
	AllowAddr func(netip.Addr) bool
	// Dialer makes the connections, to addresses that AllowAddr lets pass and to
	// proxies. It must return when its context ends. Nil is a net.Dialer.
	Dialer Dialer
	// Source says where an attempt leaves from. Nil leaves it to the system.
	// MTA-STS policies are always fetched from the system's choice.
	Source func(ctx context.Context, a Attempt) (Source, error)
	// Signer signs each message. Nil signs none; see [DKIM].
	Signer Signer
	// ReportTLS is told how sessions fared against the TLS policies of domains,
	// for reports as of RFC 8460; [TLSReports.Add] makes them. It must not block,
	// and may be called concurrently. Nil reports nothing.
	ReportTLS func(TLSResult)
	Pool      PoolOptions // its limits are for each mail host
	Timeouts  Timeouts
	// Log receives one record per attempt that did not reach every recipient. Nil
	// discards.
	Log *slog.Logger
}

// NewDirect returns a Direct that names itself localName in EHLO, which should be
// the full name that the PTR record of the sending address gives. Nil options are
// the zero options. It connects nowhere.
func NewDirect(localName string, opts *DirectOptions) (*Direct, error) {
	var o DirectOptions
	if opts != nil {
		o = *opts
	}
	name, fault := parseDomain(localName)
	var nameErr, resolverErr error
	if fault != "" {
		nameErr = fmt.Errorf("local name %q: %s", localName, fault)
	}
	if o.Resolver == nil {
		o.Resolver, resolverErr = NewResolver(nil)
	}
	if err := errors.Join(nameErr, resolverErr, checkBaseTLS(o.TLSConfig), o.Pool.check(), o.Timeouts.check()); err != nil {
		return nil, fmt.Errorf("smtp: direct: %w", err)
	}
	d := &Direct{
		localName: name,
		resolver:  o.Resolver,
		pool:      newPool(o.Pool),
		tls:       baseTLS(o.TLSConfig),
		timeouts:  o.Timeouts.withDefaults(),
		dialer:    o.Dialer,
		allowAddr: o.AllowAddr,
		source:    o.Source,
		signer:    o.Signer,
		report:    o.ReportTLS,
		log:       o.Log,
	}
	d.fillIn(o.STSStore)
	return d, nil
}

// fillIn sets what the options left open.
func (d *Direct) fillIn(store STSStore) {
	if d.allowAddr == nil {
		d.allowAddr = new(addrGuard).allow
	}
	if d.dialer == nil {
		d.guarded = guardedDialer(d.mayDial)
		d.dialer = d.guarded
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if store == nil {
		store = newMemorySTS()
	}
	d.sts = newSTSFinder(d.resolver, store, d.tls.Clone(), d.dialWeb)
}

// checkBaseTLS refuses what would undo every policy.
func checkBaseTLS(conf *tls.Config) error {
	if conf != nil && conf.InsecureSkipVerify {
		return errors.New("TLSConfig.InsecureSkipVerify would undo DANE and MTA-STS: leave it out (where no policy holds, any certificate will do), or set RootCAs")
	}
	return nil
}

func baseTLS(conf *tls.Config) *tls.Config {
	if conf == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	conf = conf.Clone()
	conf.ServerName = ""
	return conf
}

func (d *Direct) mayDial(a netip.Addr) bool { return a.IsValid() && d.allowAddr(a.Unmap()) }

// Stats counts connections and messages.
func (d *Direct) Stats() Stats { return d.pool.snapshot() }

// Shutdown lets no more messages in, waits for those under way and says QUIT. When
// ctx ends first, it closes every connection and returns the cause.
func (d *Direct) Shutdown(ctx context.Context) error { return d.pool.shutdown(ctx) }

// Close closes every connection at once. Messages under way fail with [ErrClosed],
// or are indeterminate.
func (d *Direct) Close() error {
	d.pool.drop()
	return nil
}

// Send implements [Transport].
func (d *Direct) Send(ctx context.Context, m *Message) (*Result, error) {
	began := time.Now()
	result := newResult(m)
	err := d.send(ctx, m, result)
	if err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "smtp: message not accepted for every recipient",
			slog.String("id", m.ID), slog.Int("recipients", len(m.To)),
			slog.Duration("took", time.Since(began)), slog.Any("error", err))
	}
	contextTrace(ctx).done(result, err)
	return result, err
}

func (d *Direct) send(ctx context.Context, m *Message, result *Result) error {
	if ctx.Err() != nil {
		return result.failRest(&Error{Phase: PhaseMessage, Err: ended(ctx)})
	}
	l, err := newLetter(ctx, m, d.signer)
	if err != nil {
		return result.failRest(err)
	}
	groups := l.byDomain()
	if len(groups) == 1 {
		d.deliver(ctx, l, groups[0], result)
	} else {
		d.deliverAll(ctx, l, groups, result)
	}
	return result.Err()
}
