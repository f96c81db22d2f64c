package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// reverseName is where the PTR record of an address is (RFC 1035, section 3.5;
// RFC 3596, section 2.5).
func reverseName(a netip.Addr) string {
	a = a.Unmap()
	var b strings.Builder
	if a.Is4() {
		octets := a.As4()
		for _, o := range slices.Backward(octets[:]) {
			fmt.Fprintf(&b, "%d.", o)
		}
		return b.String() + "in-addr.arpa"
	}
	octets := a.As16()
	for _, o := range slices.Backward(octets[:]) {
		fmt.Fprintf(&b, "%x.%x.", o&15, o>>4)
	}
	return b.String() + "ip6.arpa"
}

// checkNames asks whether the sending addresses have names that lead back to
// them, and whether EHLO says one of these.
func (p *preflight) checkNames(ctx context.Context) {
	for _, addr := range p.opts.Addrs {
		p.checkPTR(ctx, addr)
	}
	if p.opts.LocalName != "" {
		p.checkLocalName(ctx, p.direct.localName)
	}
}

func (p *preflight) checkPTR(ctx context.Context, addr netip.Addr) {
	answer, err := p.resolver.Lookup(ctx, reverseName(addr), RecordPTR)
	if err != nil {
		p.unknown("PTR", addr.String(), err)
		return
	}
	if len(answer.Names) == 0 {
		p.add("PTR", addr.String(), PreflightFailure, "the address has no name", p.advicePTR(addr))
		return
	}
	for _, name := range answer.Names {
		if known, err := lookupHost(ctx, p.resolver, name); err == nil && slices.Contains(known.addrs, addr.Unmap()) {
			p.add("PTR", addr.String(), PreflightOK, name+", and back", "")
			return
		}
	}
	p.add("PTR", addr.String(), PreflightFailure, fmt.Sprintf("%s does not lead back to the address", answer.Names[0]), p.advicePTR(addr))
}

func (p *preflight) advicePTR(addr netip.Addr) string {
	return fmt.Sprintf("have whoever owns the address publish a PTR record, such as %s, and an address record from that name to %s", p.direct.localName, addr)
}

func (p *preflight) checkLocalName(ctx context.Context, name string) {
	known, err := lookupHost(ctx, p.resolver, name)
	switch {
	case errors.Is(err, ErrNoHost):
		p.add("EHLO", name, PreflightFailure, "the name has no address", "publish an address record, or say a name that has one")
	case err != nil:
		p.unknown("EHLO", name, err)
	case len(p.opts.Addrs) == 0:
		p.add("EHLO", name, PreflightOK, fmt.Sprintf("leads to %v", known.addrs), "")
	default:
		p.compareLocalName(name, known.addrs)
	}
}

func (p *preflight) compareLocalName(name string, addrs []netip.Addr) {
	for _, own := range p.opts.Addrs {
		if !slices.Contains(addrs, own.Unmap()) {
			p.add("EHLO", name, PreflightWarning, fmt.Sprintf("does not lead to %s", own),
				"say the name of the address that mail leaves from (smtp.Source.LocalName)")
			return
		}
	}
	p.add("EHLO", name, PreflightOK, "leads to the sending addresses", "")
}

// checkSTS asks whether the domain's own MTA-STS policy fits its mail hosts: a
// wrong one keeps bounces and replies away.
func (p *preflight) checkSTS(ctx context.Context) {
	policy, missed, err := p.direct.sts.find(ctx, p.envelope)
	switch {
	case err != nil || missed != nil:
		p.add("MTA-STS", p.envelope, PreflightFailure, errors.Join(err, missed).Error(),
			"serve the policy at https://mta-sts."+p.envelope+"/.well-known/mta-sts.txt, or take the record at _mta-sts away")
	case policy == nil:
		p.add("MTA-STS", p.envelope, PreflightWarning, "no policy", "publish one, so that mail to you is not sent in clear (RFC 8461)")
	default:
		p.compareSTS(policy)
	}
}

func (p *preflight) compareSTS(policy *STSPolicy) {
	if p.plan != nil && policy.Mode != STSNone {
		for _, h := range p.plan.Hosts {
			if !policy.Match(h.Name) {
				p.add("MTA-STS", p.envelope, PreflightFailure, fmt.Sprintf("the policy does not name %s", h.Name),
					"add the host to the policy, change its id, and wait until old copies have expired")
				return
			}
		}
	}
	if policy.Mode != STSEnforce {
		p.add("MTA-STS", p.envelope, PreflightWarning, "mode "+string(policy.Mode), "when reports show no failures, set mode: enforce")
		return
	}
	p.add("MTA-STS", p.envelope, PreflightOK, "mode enforce", "")
}

// checkTLSReporting asks whether the domain wants to hear of failures of TLS.
func (p *preflight) checkTLSReporting(ctx context.Context) {
	name := "_smtp._tls." + p.envelope
	records, err := p.recordsOf(ctx, name, "v=TLSRPTv1")
	switch {
	case err != nil:
		p.unknown("TLS-RPT", name, err)
	case len(records) == 1 && tags(records[0])["rua"] != "":
		p.add("TLS-RPT", name, PreflightOK, tags(records[0])["rua"], "")
	case len(records) > 0:
		p.add("TLS-RPT", name, PreflightFailure, "several records, or none that says where to report", "keep one, with rua=")
	default:
		p.add("TLS-RPT", name, PreflightWarning, "no record",
			fmt.Sprintf("publish v=TLSRPTv1; rua=mailto:tls@%s to learn of senders who cannot use TLS (RFC 8460)", p.envelope))
	}
}

// checkTLS asks the domain's mail hosts for TLS, and verifies their certificates.
func (p *preflight) checkTLS(ctx context.Context) {
	if p.plan == nil {
		return
	}
	for i := range p.plan.Hosts {
		p.checkTLSOf(ctx, &p.plan.Hosts[i])
	}
}

func (p *preflight) checkTLSOf(ctx context.Context, h *PlanHost) {
	if h.Err != nil {
		p.add("STARTTLS", h.Name, PreflightUnknown, h.Err.Error(), "make sure that the host can be reached and its policy met")
		return
	}
	t := p.direct.target(h, TLSDefault)
	t.dialer = &hostDialer{dial: p.direct.dialer.DialContext, addrs: h.Addrs[:min(len(h.Addrs), maxHostAddrs)]}
	s, err := dialSession(ctx, t)
	switch {
	case errors.Is(err, ErrTLSPolicy), errors.Is(err, ErrTLSRequired):
		p.add("STARTTLS", h.Name, PreflightFailure, err.Error(), "make certificate and policy fit: senders that honour the policy cannot deliver")
	case err != nil:
		p.add("STARTTLS", h.Name, PreflightUnknown, err.Error(), "make sure that the host answers on port 25")
	default:
		s.quit()
		s.chat()
		p.judgeTLS(h.Name, &s.info.Session)
	}
}

func (p *preflight) judgeTLS(host string, s *Session) {
	switch {
	case s.TLSVersion == 0:
		p.add("STARTTLS", host, PreflightFailure, "no TLS offered", "offer STARTTLS")
	case !s.TLSVerified:
		p.add("STARTTLS", host, PreflightWarning, "TLS with a certificate that does not verify", "install a certificate for "+host)
	default:
		p.add("STARTTLS", host, PreflightOK, tls.VersionName(s.TLSVersion)+", certificate verified", "")
	}
}
