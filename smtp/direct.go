package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
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
	down      downHosts
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

// byDomain groups the recipients by domain, in the order in which these appear.
// Domains that share a host are not joined in one transaction: the large hosters
// of mail refuse that.
func (l *letter) byDomain() [][]int {
	var groups [][]int
	at := make(map[string]int)
	for i, to := range l.to {
		n, ok := at[to.domain]
		if !ok {
			n = len(groups)
			at[to.domain] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

// maxDomainsAtOnce is how many domains of one message are delivered to at a time.
const maxDomainsAtOnce = 8

// deliverAll delivers to several domains at a time, so that a slow one holds up
// none of the others.
func (d *Direct) deliverAll(ctx context.Context, l *letter, groups [][]int, result *Result) {
	ctx = oneHookAtATime(ctx)
	places := make(chan struct{}, maxDomainsAtOnce)
	var panicked any
	var once sync.Once
	var all sync.WaitGroup
	for _, group := range groups {
		places <- struct{}{}
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil { // of a hook, or of the content: the caller's to see
					once.Do(func() { panicked = p })
				}
				<-places
			}()
			d.deliver(ctx, l, group, result)
		})
	}
	all.Wait()
	if panicked != nil {
		panic(panicked)
	}
}

// oneHookAtATime keeps the hooks of a trace from being called concurrently.
func oneHookAtATime(ctx context.Context) context.Context {
	t := contextTrace(ctx)
	if t == nil {
		return ctx
	}
	var mu sync.Mutex // guards the hooks
	return WithTrace(ctx, &Trace{
		Connected: func(session Session, took time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			t.connected(session, took, err)
		},
		Command: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			t.command(line)
		},
		Reply: func(phase Phase, reply Reply, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			t.reply(phase, reply, took)
		},
	})
}

// deliver sends l to recipients of one domain and fills in their outcomes.
func (d *Direct) deliver(ctx context.Context, l *letter, rcpts []int, result *Result) {
	domain := l.to[rcpts[0]].domain
	p, err := d.plan(ctx, domain)
	if err != nil && ctx.Err() != nil {
		err = &Error{Phase: PhaseResolve, Host: domain, Err: ended(ctx)}
	}
	if err != nil {
		result.fail(rcpts, err, nil)
		return
	}
	if p.STSErr != nil {
		d.reportFetch(p)
	}
	v := &delivery{direct: d, plan: p, letter: l, result: result, left: rcpts, addrs: maxAddrs}
	v.run(ctx)
}

// delivery is an attempt for the recipients of one domain.
type delivery struct {
	direct *Direct
	plan   *Plan
	letter *letter
	result *Result
	left   []int // recipients on whom no host has had the last word
	addrs  int   // how many more addresses may be tried
	failed error // why no host has judged the rest: the first temporary error, or else the last
}

func (v *delivery) run(ctx context.Context) {
	for _, h := range v.direct.down.last(v.plan.Hosts) {
		if len(v.left) == 0 || v.addrs == 0 || ctx.Err() != nil {
			break
		}
		if err := v.try(ctx, h); err != nil {
			v.note(err)
		}
	}
	if ctx.Err() != nil {
		v.failed = &Error{Phase: PhaseConnect, Host: v.plan.Domain, Err: ended(ctx)}
	}
	for _, i := range v.left {
		if untouched(&v.result.Recipients[i]) {
			v.result.Recipients[i].fail(v.failed, nil)
		}
	}
}

func (v *delivery) note(err error) {
	if v.failed == nil || !errors.Is(v.failed, ErrTemporary) {
		v.failed = err
	}
}

// try delivers to one host. The error says that it judged nobody.
func (v *delivery) try(ctx context.Context, h *PlanHost) error {
	d := v.direct
	d.planHost(ctx, v.plan, h)
	if h.Err != nil {
		d.reportUnused(v.plan, h)
		return h.Err
	}
	if err := v.mayRequireTLS(h); err != nil {
		return err
	}
	t, way, err := v.prepare(ctx, h)
	if err != nil {
		return &Error{Phase: PhaseConnect, Host: h.Name, Err: err}
	}
	for {
		err := d.pool.deliver(ctx, t, v.letter, v.left, v.result)
		if ctx.Err() == nil {
			d.down.note(h.Name, answered(err))
		}
		d.reportSession(v, h, way, err)
		v.left = v.unjudged()
		if err == nil || !way.exclude() || ctx.Err() != nil {
			return err
		}
		v.note(err) // a host that answers at one address and fails may do better at another
	}
}

// answered reports whether an attempt ended with a word of the server.
func answered(err error) bool {
	var e *Error
	return err == nil || errors.As(err, &e) && e.Reply.Code != 0
}

// mayRequireTLS reports why a message that asks every hop for TLS must not go to
// h: nothing shows that h is the domain's host (RFC 8689, section 4.2.1).
func (v *delivery) mayRequireTLS(h *PlanHost) error {
	if v.letter.message.TLS != TLSRequire || v.plan.Authentic || v.plan.Implicit || h.Policy == policySTS {
		return nil
	}
	return &Error{Phase: PhasePolicy, Host: h.Name, Class: ErrPermanent,
		Err: fmt.Errorf("%w: neither DNSSEC nor MTA-STS names the host", ErrNoRequireTLS)}
}

// prepare chooses where the attempt leaves from, and says what to connect to and
// by which way.
func (v *delivery) prepare(ctx context.Context, h *PlanHost) (*target, *hostDialer, error) {
	d := v.direct
	var s Source
	var err error
	if d.source != nil {
		s, err = d.source(ctx, Attempt{Domain: v.plan.Domain, Host: h.Name, Message: v.letter.message})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("source: %w", err)
	}
	dial, err := d.dialFrom(&s)
	if err != nil {
		return nil, nil, err
	}
	addrs := s.reachable(h.Addrs)
	addrs = addrs[:min(len(addrs), maxHostAddrs, v.addrs)]
	if len(addrs) == 0 {
		return nil, nil, fmt.Errorf("the source %v has no address of the family of %v", s.Addrs, h.Addrs)
	}
	v.addrs -= len(addrs)
	w := &hostDialer{dial: dial, addrs: addrs}
	t := d.target(h, v.letter.tlsNeed())
	t.dialer, t.source = w, s.key()
	if s.LocalName != "" {
		name, fault := parseDomain(s.LocalName)
		if fault != "" {
			return nil, nil, fmt.Errorf("Source.LocalName %q: %s", s.LocalName, fault)
		}
		t.localName = name
	}
	return t, w, nil
}

// tlsNeed is what the message asks of TLS, in its envelope or else in its header
// (RFC 8689, section 3).
func (l *letter) tlsNeed() TLSNeed {
	if l.message.TLS == TLSDefault && l.facts.tlsOptional {
		return TLSOptional
	}
	return l.message.TLS
}

// target is a mail host with the TLS policy that it is held to.
func (d *Direct) target(h *PlanHost, asked TLSNeed) *target {
	t := &target{
		targetKey: targetKey{
			network: "tcp", addr: h.Name + ":25", host: h.Name, localName: d.localName,
			security: startTLSOpportunistic,
		},
		tls:      d.tls,
		timeouts: d.timeouts,
	}
	if h.Policy == policyNone || asked == TLSOptional {
		return t
	}
	t.security, t.policy = startTLSRequired, h.Policy
	if h.dane != nil {
		t.tls, t.verify, t.tlsID = h.dane.tls(d.tls), h.dane.verifier(), h.dane.String()
	}
	return t
}

// unjudged are the recipients that another host may be tried for.
func (v *delivery) unjudged() []int {
	return slices.DeleteFunc(slices.Clone(v.left), func(i int) bool {
		o := &v.result.Recipients[i]
		return !untouched(o) && !worthAnotherHost(o)
	})
}

func untouched(o *Outcome) bool { return o.Status == NotTried && o.Err == nil }

// worthAnotherHost reports whether the host deferred the sender or hung up,
// before the message was handed over.
func worthAnotherHost(o *Outcome) bool {
	var e *Error
	if o.Status != Deferred || !errors.As(o.Err, &e) || e.Phase == PhaseMessage {
		return false
	}
	return e.Phase == PhaseMail || e.Reply.Code == 0 || e.Reply.Code == 421
}
