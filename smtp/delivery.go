package smtp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// byDomain groups the recipients by domain, in the order in which these appear.
// Domains that share a host are not joined in one transaction: the large hosters
// of mail refuse that.
func (l *letter) byDomain() [][]int {
	if len(l.to) == 1 {
		return [][]int{{0}}
	}
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
	for _, h := range v.direct.downLast(v.plan.Hosts) {
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
		d.noteAnswer(ctx, h.Name, err)
		d.reportSession(v, h, way, err)
		v.left = v.unjudged()
		if err == nil || !way.exclude() || ctx.Err() != nil {
			return err
		}
		v.note(err) // a host that answers at one address and fails may do better at another
	}
}

// noteAnswer remembers whether a host had anything to say.
func (d *Direct) noteAnswer(ctx context.Context, host string, err error) {
	if err == nil {
		d.down.forget(host)
		return
	}
	var e *Error
	if ctx.Err() == nil && (!errors.As(err, &e) || e.Reply.Code == 0) {
		d.down.remember(host, downFor)
	}
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
		t.tlsBroke = func() { d.brokenTLS.remember(h.Name, brokenTLSFor) }
		if d.brokenTLS.has(h.Name) && asked != TLSRequire {
			t.security = plaintext
		}
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
	if o.Status != Deferred {
		return false
	}
	var e *Error
	if !errors.As(o.Err, &e) || e.Phase == PhaseMessage {
		return false
	}
	return e.Phase == PhaseMail || e.Reply.Code == 0 || e.Reply.Code == 421
}
