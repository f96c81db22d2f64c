package smtp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The TLS policies that a [Session] or a [Plan] names.
const (
	policyNone     = ""
	policyDANE     = "dane"
	policySTS      = "mta-sts"
	policyRequired = "required"
)

// Plan explains how mail for a domain goes, as [Direct.Plan] found it.
type Plan struct {
	// Domain is the domain in ASCII, or an address literal.
	Domain string
	// Implicit says that the domain has no MX record and is its own mail host
	// (RFC 5321, section 5.1).
	Implicit bool
	// Authentic says that the list of hosts was validated with DNSSEC.
	Authentic bool
	// STS is the MTA-STS policy in force. Nil is none.
	STS *STSPolicy
	// STSErr says why the policy that the domain announces could not be had. An
	// older one may be in force all the same.
	STSErr error
	// Hosts are the mail hosts, in the order in which they are tried. Hosts of
	// equal preference are in an order drawn anew each time.
	Hosts []PlanHost
}

// PlanHost is one mail host of a [Plan].
type PlanHost struct {
	Name       string
	Preference uint16
	// Addrs are the addresses that may be connected to, in the order in which
	// they are tried.
	Addrs []netip.Addr
	// Policy says what the TLS session with the host must satisfy: "dane",
	// "mta-sts", or "" for nothing: TLS where it is offered, with any certificate.
	Policy string
	// TLSA are the records that a certificate must match under "dane". Without
	// any, which is when none of the records published can be used, TLS is
	// required and any certificate will do (RFC 7672, section 2.2).
	TLSA []TLSA
	// Err says why the host is not used. It is nil for a host that is.
	Err error

	dane    *dane
	testing bool // MTA-STS in testing mode applies
}

// String explains the plan to people, a line for each host.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", p.Domain, p.describeRoute())
	fmt.Fprintf(&b, "\n  MTA-STS: %s", p.describeSTS())
	for _, h := range p.Hosts {
		fmt.Fprintf(&b, "\n  %d %s", h.Preference, h.Name)
		if h.Err != nil {
			fmt.Fprintf(&b, ": not used: %v", h.Err)
			continue
		}
		fmt.Fprintf(&b, " %v: %s", h.Addrs, h.describePolicy())
	}
	return b.String() + "\n"
}

func (p *Plan) describeRoute() string {
	s := "by MX"
	if p.Implicit {
		s = "no MX, the domain is its own host"
	}
	if p.Authentic {
		s += ", validated with DNSSEC"
	}
	return s
}

func (p *Plan) describeSTS() string {
	s := "none"
	if p.STS != nil {
		s = fmt.Sprintf("%s, hosts %s", p.STS.Mode, strings.Join(p.STS.MX, " "))
	}
	if p.STSErr != nil {
		s += fmt.Sprintf(" (%v)", p.STSErr)
	}
	return s
}

func (h *PlanHost) describePolicy() string {
	switch {
	case h.Policy == policyDANE && len(h.TLSA) == 0:
		return "TLS required, any certificate: no TLSA record of the host can be used"
	case h.Policy == policyDANE:
		return fmt.Sprintf("TLS required, certificate by DANE %v", h.TLSA)
	case h.Policy == policySTS:
		return "TLS required, certificate by MTA-STS"
	}
	return "TLS if offered, any certificate"
}

// Plan explains how mail for a domain, or to an address literal, would go, and
// which TLS policy each of its hosts is held to. It asks the DNS, and the policy
// server of a domain that announces MTA-STS, and connects to no mail host.
//
// It fails with [ErrNullMX], [ErrNoHost] or [ErrLoop] where mail for the domain
// would, and with another error where the DNS does not tell.
func (d *Direct) Plan(ctx context.Context, domain string) (*Plan, error) {
	p, err := d.plan(ctx, domain)
	if err != nil {
		return nil, err
	}
	for i := range p.Hosts {
		d.planHost(ctx, p, &p.Hosts[i])
	}
	if err := p.dead(); err != nil {
		return nil, err
	}
	return p, nil
}

// plan finds the hosts of a domain, and knows no more of them than their names.
func (d *Direct) plan(ctx context.Context, domain string) (*Plan, error) {
	ascii, fault := parseDomain(domain)
	if fault != "" {
		return nil, &Error{Phase: PhaseMessage, Host: domain, Err: fmt.Errorf("%w: %s", ErrBadAddress, fault), Class: ErrPermanent}
	}
	if ascii[0] == '[' {
		return d.planLiteral(ascii), nil
	}
	r, err := findRoute(ctx, d.resolver, ascii, d.localName)
	if err != nil {
		return nil, err
	}
	p := &Plan{Domain: ascii, Implicit: r.implicit, Authentic: r.authentic}
	if p.STS, p.STSErr, err = d.sts.find(ctx, ascii); err != nil {
		return nil, &Error{Phase: PhasePolicy, Host: ascii, Err: err}
	}
	for _, mx := range r.hosts {
		p.Hosts = append(p.Hosts, PlanHost{Name: mx.Host, Preference: mx.Preference})
	}
	return p, nil
}

// planLiteral is the plan for an address literal, which is the host itself.
func (d *Direct) planLiteral(domain string) *Plan {
	h := PlanHost{Name: domain}
	addr, err := netip.ParseAddr(strings.TrimPrefix(strings.Trim(domain, "[]"), "IPv6:"))
	if err == nil {
		h.Addrs, err = d.allowed([]netip.Addr{addr})
	}
	if err != nil {
		h.Err = &Error{Phase: PhasePolicy, Host: domain, Err: err, Class: ErrPermanent}
	}
	return &Plan{Domain: domain, Hosts: []PlanHost{h}}
}

// planHost completes h: its addresses, and the TLS policy that it is held to.
func (d *Direct) planHost(ctx context.Context, p *Plan, h *PlanHost) {
	if h.Err != nil || h.Addrs != nil {
		return
	}
	h.Err = d.completeHost(ctx, p, h)
	if h.Err != nil {
		h.Addrs = nil
	}
}

func (d *Direct) completeHost(ctx context.Context, p *Plan, h *PlanHost) error {
	known, err := lookupHost(ctx, d.resolver, h.Name)
	if err != nil {
		return &Error{Phase: PhaseResolve, Host: h.Name, Err: err, Class: classOfAbsence(err)}
	}
	if h.Addrs, err = d.allowed(known.addrs); err != nil {
		return &Error{Phase: PhasePolicy, Host: h.Name, Err: err, Class: ErrPermanent}
	}
	if p.Authentic {
		if h.dane, err = d.daneOf(ctx, p.Domain, h.Name, known); err != nil {
			return &Error{Phase: PhasePolicy, Host: h.Name, Err: fmt.Errorf("%w: %w: %w", ErrTLSPolicy, errTLSAUnknown, err)}
		}
	}
	return h.choosePolicy(p.STS)
}

// classOfAbsence: that a host does not exist is certain, the rest is not.
func classOfAbsence(err error) error {
	if errors.Is(err, ErrNoHost) {
		return ErrPermanent
	}
	return ErrTemporary
}

// allowed keeps the addresses that may be connected to.
func (d *Direct) allowed(addrs []netip.Addr) ([]netip.Addr, error) {
	kept := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !d.mayDial(a) })
	if len(kept) == 0 {
		return nil, fmt.Errorf("%w: %v", ErrBlockedAddr, addrs)
	}
	return kept, nil
}

// daneOf finds the TLSA records of a host of an authentic route, or nil.
func (d *Direct) daneOf(ctx context.Context, domain, host string, known *hostAddrs) (*dane, error) {
	bases := []string{host}
	switch {
	case known.authentic && known.canonical != host:
		bases = []string{known.canonical, host}
	case !known.authentic && known.canonical == host:
		return nil, nil // name servers that know no DNSSEC may not know TLSA either
	case !known.authentic:
		// The alias may be signed although what it points to is not (RFC 7672,
		// section 2.2.2).
		alias, err := d.resolver.Lookup(ctx, host, RecordCNAME)
		if err != nil || !alias.Authentic {
			return nil, err
		}
	}
	return lookupDANE(ctx, d.resolver, bases, domain)
}

// choosePolicy decides between DANE and MTA-STS: DANE comes first, and MTA-STS
// never overrides it (RFC 8461, section 2).
func (h *PlanHost) choosePolicy(sts *STSPolicy) error {
	switch {
	case h.dane != nil:
		h.Policy, h.TLSA = policyDANE, h.dane.records
	case sts == nil || sts.Mode == STSNone:
	case sts.Mode == STSTesting:
		h.testing = true
	case !sts.Match(h.Name):
		return &Error{Phase: PhasePolicy, Host: h.Name, Err: fmt.Errorf("%w: the MTA-STS policy allows %v", ErrTLSPolicy, sts.MX)}
	default:
		h.Policy = policySTS
	}
	return nil
}

// dead returns the error of a domain none of whose hosts can be used: a
// temporary one if there is one, because then there is hope.
func (p *Plan) dead() error {
	var last error
	for _, h := range p.Hosts {
		if h.Err == nil {
			return nil
		}
		if last == nil || errors.Is(h.Err, ErrTemporary) {
			last = h.Err
		}
	}
	return last
}
