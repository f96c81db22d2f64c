package smtp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"blitiri.com.ar/go/spf"
	"golang.org/x/net/publicsuffix"
)

// checkSPF asks whether the envelope's domain lets mail leave from our addresses
// (RFC 7208).
func (p *preflight) checkSPF(ctx context.Context) {
	records, err := p.recordsOf(ctx, p.envelope, "v=spf1")
	p.spf = PreflightFailure
	switch {
	case err != nil:
		p.spf = PreflightUnknown
		p.unknown("SPF", p.envelope, err)
		return
	case len(records) == 0:
		p.add("SPF", p.envelope, PreflightFailure, "no SPF record", p.adviceSPF())
		return
	case len(records) > 1:
		p.add("SPF", p.envelope, PreflightFailure, fmt.Sprintf("%d SPF records, which is an error", len(records)), "keep one")
		return
	case len(p.opts.Addrs) == 0:
		p.spf = PreflightUnknown
		p.add("SPF", p.envelope, PreflightUnknown, records[0], "give the addresses that mail leaves from, to have them checked")
		return
	}
	p.spf = PreflightOK
	for _, addr := range p.opts.Addrs {
		p.checkSPFOf(ctx, addr)
	}
}

func (p *preflight) adviceSPF() string {
	var b strings.Builder
	fmt.Fprintf(&b, "publish at %s: v=spf1", p.envelope)
	for _, a := range p.opts.Addrs {
		fmt.Fprintf(&b, " %s", spfTerm(a))
	}
	return b.String() + " -all"
}

func spfTerm(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return "ip4:" + a.String()
	}
	return "ip6:" + a.String()
}

func (p *preflight) checkSPFOf(ctx context.Context, addr netip.Addr) {
	result, err := spf.CheckHostWithSender(addr.Unmap().AsSlice(), p.opts.LocalName, p.sender,
		spf.WithContext(ctx), spf.WithResolver(spfResolver{p.resolver}))
	subject := fmt.Sprintf("%s from %s", p.envelope, addr)
	detail := string(result)
	if err != nil {
		detail += ": " + err.Error()
	}
	switch result {
	case spf.Pass:
		p.add("SPF", subject, PreflightOK, detail, "")
		return
	case spf.TempError:
		p.spf = PreflightUnknown
		p.add("SPF", subject, PreflightUnknown, detail, "try again")
		return
	case spf.PermError:
		p.add("SPF", subject, PreflightFailure, detail, "correct the record; mind the limit of 10 lookups")
	default:
		p.add("SPF", subject, PreflightFailure, detail, "add "+spfTerm(addr)+" to the record")
	}
	p.spf = PreflightFailure
}

// spfResolver lets package spf ask our resolver.
type spfResolver struct{ Resolver }

// found says of an empty answer what the standard library's resolver does.
func found[T any](list []T, name string, err error) ([]T, error) {
	if err == nil && len(list) == 0 {
		err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return list, err
}

func (r spfResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	answer, err := r.Lookup(ctx, name, RecordTXT)
	return found(answer.TXT, name, err)
}

func (r spfResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	answer, err := r.Lookup(ctx, name, RecordMX)
	var list []*net.MX
	for _, mx := range answer.MX {
		list = append(list, &net.MX{Host: mx.Host + ".", Pref: mx.Preference})
	}
	return found(list, name, err)
}

func (r spfResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	v4, err4 := r.Lookup(ctx, host, RecordA)
	v6, err6 := r.Lookup(ctx, host, RecordAAAA)
	var list []net.IPAddr
	for _, a := range slices.Concat(v4.Addrs, v6.Addrs) {
		list = append(list, net.IPAddr{IP: a.AsSlice()})
	}
	if err4 == nil {
		err4 = err6
	}
	return found(list, host, err4)
}

func (r spfResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	answer, err := r.Lookup(ctx, reverseName(a), RecordPTR)
	var names []string
	for _, name := range answer.Names {
		names = append(names, name+".")
	}
	return found(names, addr, err)
}

// checkDKIM asks whether the keys that sign are the ones that are published.
func (p *preflight) checkDKIM(ctx context.Context) {
	if len(p.opts.DKIM) == 0 {
		p.add("DKIM", p.domain, PreflightFailure, "no key signs", "sign with smtp.DKIM, and give its keys here")
		return
	}
	for _, key := range p.opts.DKIM {
		answer, err := p.resolver.Lookup(ctx, key.RecordName(), RecordTXT)
		if err != nil {
			p.unknown("DKIM", key.RecordName(), err)
			continue
		}
		fault := dkimFault(key, answer.TXT)
		if fault != "" {
			p.add("DKIM", key.RecordName(), PreflightFailure, fault, "publish there: "+key.Record())
			continue
		}
		p.dkimPassed = append(p.dkimPassed, key.domain)
		p.checkDKIMFlags(key, answer.TXT[0])
	}
}

// dkimFault says why a verifier would not take key from these records (RFC 6376,
// section 3.6.1).
func dkimFault(key *DKIMKey, txts []string) string {
	if len(txts) == 0 {
		return "no record"
	}
	if len(txts) > 1 {
		return fmt.Sprintf("%d records, where one must be", len(txts))
	}
	record := tags(txts[0])
	ours := tags(key.Record())
	algorithm, given := record["k"]
	if !given {
		algorithm = "rsa"
	}
	public, hasPublic := record["p"]
	public = strings.Join(strings.Fields(public), "")
	switch {
	case record["v"] != "" && record["v"] != "DKIM1":
		return "version " + record["v"]
	case !hasPublic:
		return "record without p="
	case public == "":
		return "the key is revoked"
	case algorithm != ours["k"]:
		return fmt.Sprintf("the published key is %s, ours is %s", algorithm, ours["k"])
	case public != ours["p"]:
		return "another key is published"
	case !listed(record["h"], "sha256"):
		return "the record forbids sha256"
	case !listed(record["s"], "email"):
		return "the record is not for email"
	}
	return ""
}

// listed reports whether a colon-separated list is empty, or holds want or a star.
func listed(list, want string) bool {
	if list == "" {
		return true
	}
	for item := range strings.SplitSeq(list, ":") {
		if item = strings.TrimSpace(item); item == want || item == "*" {
			return true
		}
	}
	return false
}

func (p *preflight) checkDKIMFlags(key *DKIMKey, txt string) {
	record := tags(txt)
	if record["t"] != "" && listed(record["t"], "y") {
		p.add("DKIM", key.RecordName(), PreflightWarning, "published for testing: verifiers may ignore it", "take t=y out of the record")
		return
	}
	p.add("DKIM", key.RecordName(), PreflightOK, key.algorithm+" key published", "")
}

// checkDMARC asks for the policy, and whether what passes is aligned with From
// (RFC 7489).
func (p *preflight) checkDMARC(ctx context.Context) {
	name, records, err := p.findDMARC(ctx)
	switch {
	case err != nil:
		p.unknown("DMARC", p.domain, err)
		return
	case len(records) == 0:
		p.add("DMARC", p.domain, PreflightFailure, "no DMARC record",
			fmt.Sprintf("publish at _dmarc.%s: v=DMARC1; p=none; rua=mailto:dmarc@%s", p.domain, p.domain))
		return
	case len(records) > 1:
		p.add("DMARC", name, PreflightFailure, fmt.Sprintf("%d DMARC records, which count as none", len(records)), "keep one")
		return
	}
	policy := tags(records[0])
	if sub := policy["sp"]; sub != "" && name != "_dmarc."+p.domain {
		policy["p"] = sub // RFC 7489, section 6.3: for subdomains
	}
	p.checkDMARCPolicy(name, policy)
	p.checkAlignment(policy)
}

// findDMARC looks at the domain, and then at its organizational domain (RFC 7489,
// section 6.6.3).
func (p *preflight) findDMARC(ctx context.Context) (name string, records []string, err error) {
	for _, domain := range []string{p.domain, organization(p.domain)} {
		name = "_dmarc." + domain
		if records, err = p.recordsOf(ctx, name, "v=DMARC1"); err != nil || len(records) > 0 {
			break
		}
	}
	return name, records, err
}

// organization is the domain that someone registered (RFC 7489, section 3.2).
func organization(domain string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}

func (p *preflight) checkDMARCPolicy(name string, policy map[string]string) {
	detail := "p=" + policy["p"]
	switch {
	case policy["p"] != "none" && policy["p"] != "quarantine" && policy["p"] != "reject":
		p.add("DMARC", name, PreflightFailure, fmt.Sprintf("p=%.40q is no policy", policy["p"]), "set p to none, quarantine or reject")
	case policy["rua"] == "":
		p.add("DMARC", name, PreflightWarning, detail+", without reports", "add rua=mailto:… to learn what is sent in your name")
	case policy["p"] == "none":
		p.add("DMARC", name, PreflightWarning, detail+": forgeries are let through", "when the reports show no mail of yours failing, set p=quarantine, then p=reject")
	default:
		p.add("DMARC", name, PreflightOK, detail, "")
	}
}

// checkAlignment wants SPF or DKIM to pass for a domain that fits the one in From
// (RFC 7489, section 3.1). With one of them, the first forwarder or the first
// broken key breaks DMARC.
func (p *preflight) checkAlignment(policy map[string]string) {
	byDKIM := slices.ContainsFunc(p.dkimPassed, func(d string) bool { return aligned(d, p.domain, policy["adkim"]) })
	fits := aligned(p.envelope, p.domain, policy["aspf"])
	unsure := fits && p.spf == PreflightUnknown
	bySPF := fits && p.spf == PreflightOK

	subject := "alignment with " + p.domain
	both := "make both SPF and DKIM pass for " + p.domain
	switch {
	case bySPF && byDKIM:
		p.add("DMARC", subject, PreflightOK, "SPF and DKIM pass aligned", "")
	case unsure && byDKIM:
		p.add("DMARC", subject, PreflightOK, "DKIM passes aligned; SPF is not known to", "")
	case unsure:
		p.add("DMARC", subject, PreflightUnknown, "DKIM does not pass aligned; SPF is not known to", both)
	case byDKIM:
		p.add("DMARC", subject, PreflightWarning, "DKIM passes aligned, SPF for "+p.envelope+" does not", both)
	case bySPF:
		p.add("DMARC", subject, PreflightWarning, "SPF passes aligned, DKIM does not", both)
	default:
		p.add("DMARC", subject, PreflightFailure, "neither SPF nor DKIM passes for a domain that fits",
			fmt.Sprintf("sign with d=%s, and use a reverse-path at or below it", p.domain))
	}
}

func aligned(authenticated, from, mode string) bool {
	if strings.EqualFold(mode, "s") {
		return authenticated == from
	}
	return organization(authenticated) == organization(from)
}
