package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"
)

// PreflightOptions says how mail is sent. What is left out is not checked, or as
// far as the DNS alone can tell.
type PreflightOptions struct {
	// ReversePath is the envelope sender, to which bounces return. Empty means
	// that it is the address in From.
	ReversePath string
	// Addrs are the addresses that mail leaves from, as its receivers see them.
	// Without any, SPF is checked for its syntax only, and PTR not at all. Leave it
	// empty where a relay delivers.
	Addrs []netip.Addr
	// LocalName is what is said in EHLO, as given to [NewDirect].
	LocalName string
	// DKIM are the keys that sign, as given to [DKIM].
	DKIM []*DKIMKey

	// Resolver, TLSConfig, AllowAddr and Dialer are as in [DirectOptions].
	Resolver  Resolver
	TLSConfig *tls.Config
	AllowAddr func(netip.Addr) bool
	Dialer    Dialer
}

// PreflightStatus is how a check ended.
type PreflightStatus string

// The ways in which a check ends.
const (
	PreflightOK      PreflightStatus = "ok"
	PreflightWarning PreflightStatus = "warning" // mail goes out, and may be judged worse
	PreflightFailure PreflightStatus = "failure" // mail will be refused, or taken for spam
	PreflightUnknown PreflightStatus = "unknown" // the DNS or a server did not answer, or the options say too little
)

// Finding is the outcome of one check.
type Finding struct {
	// Check is what was checked: "MX", "SPF", "DKIM", "DMARC", "PTR", "EHLO",
	// "STARTTLS", "MTA-STS" or "TLS-RPT".
	Check string
	// Subject is the name or address that was looked at.
	Subject string
	Status  PreflightStatus
	// Detail says what was found, and Advice what to change. Advice is empty where
	// there is nothing to.
	Detail, Advice string
}

// PreflightReport holds what [Preflight] found, in the order of the checks.
type PreflightReport struct {
	From     string
	Findings []Finding
}

// OK reports whether no check failed.
func (r *PreflightReport) OK() bool {
	for _, f := range r.Findings {
		if f.Status == PreflightFailure {
			return false
		}
	}
	return true
}

// String is the report as a table for people.
func (r *PreflightReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.From)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Status, f.Check, f.Subject, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(w, "\t\t\t→ %s\n", f.Advice)
		}
	}
	_ = w.Flush() // a Builder takes everything
	return b.String()
}

// Preflight checks what receivers will look at in mail from an address: whether
// SPF, DKIM and DMARC of its domain agree with how opts say that mail is sent,
// whether the sending addresses have names, and whether replies and bounces find
// their way back, under TLS. It sends no mail; it connects to the mail hosts of
// the domain to see their TLS.
//
// An error means that from or opts are malformed. What cannot be found out is a
// [Finding] like any other.
func Preflight(ctx context.Context, from string, opts *PreflightOptions) (*PreflightReport, error) {
	p, err := newPreflight(from, opts)
	if err != nil {
		return nil, err
	}
	p.checkReturn(ctx)
	p.checkSPF(ctx)
	p.checkDKIM(ctx)
	p.checkDMARC(ctx)
	p.checkNames(ctx)
	p.checkTLS(ctx)
	p.checkSTS(ctx)
	p.checkTLSReporting(ctx)
	return &p.report, nil
}

// preflight is the work on one report.
type preflight struct {
	opts     PreflightOptions
	resolver Resolver
	direct   *Direct
	domain   string // of From
	sender   string // the reverse-path
	envelope string // its domain
	report   PreflightReport

	plan       *Plan           // of the mail that comes back; nil if there is none
	spf        PreflightStatus // for all addresses together
	dkimPassed []string        // the domains of good keys
}

func newPreflight(from string, opts *PreflightOptions) (*preflight, error) {
	p := &preflight{report: PreflightReport{From: from}, sender: from}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.ReversePath != "" {
		p.sender = p.opts.ReversePath
	}
	var fromErr, senderErr, directErr error
	_, p.domain, fromErr = ParseAddress(from)
	_, p.envelope, senderErr = ParseAddress(p.sender)
	// The name goes into EHLO, and where none was given the domain's will do.
	name := p.opts.LocalName
	if name == "" {
		name = p.domain
	}
	if fromErr == nil {
		p.direct, directErr = NewDirect(name, &DirectOptions{
			Resolver: p.opts.Resolver, TLSConfig: p.opts.TLSConfig, AllowAddr: p.opts.AllowAddr, Dialer: p.opts.Dialer,
		})
	}
	if err := errors.Join(fromErr, senderErr, directErr); err != nil {
		return nil, err
	}
	p.resolver = p.direct.resolver
	return p, nil
}

func (p *preflight) add(check, subject string, status PreflightStatus, detail, advice string) {
	p.report.Findings = append(p.report.Findings, Finding{check, subject, status, detail, advice})
}

// unknown adds the finding that the DNS did not tell.
func (p *preflight) unknown(check, subject string, err error) {
	p.add(check, subject, PreflightUnknown, err.Error(), "try again; if it stays so, look at the zone's name servers and DNSSEC")
}

// checkReturn asks whether bounces find their way back.
func (p *preflight) checkReturn(ctx context.Context) {
	plan, err := p.direct.plan(ctx, p.envelope)
	if err == nil {
		p.plan = plan
		for i := range plan.Hosts {
			p.direct.planHost(ctx, plan, &plan.Hosts[i])
		}
		err = plan.dead()
	}
	switch {
	case errors.Is(err, ErrLoop): // bounces come to this very host
		p.add("MX", p.envelope, PreflightOK, "bounces come to "+p.opts.LocalName, "")
	case err == nil, errors.Is(err, ErrTLSPolicy): // which is for later checks
		p.add("MX", p.envelope, PreflightOK, fmt.Sprintf("bounces come to %d hosts", len(plan.Hosts)), "")
	case errors.Is(err, ErrPermanent):
		p.add("MX", p.envelope, PreflightFailure, err.Error(),
			"publish an MX record that leads to a public host: mail whose sender cannot be answered is refused, and bounces are lost")
	default:
		p.unknown("MX", p.envelope, err)
	}
}

// tags splits a record such as "v=DMARC1; p=none" (RFC 6376, section 3.2). Names
// are in lower case; of a name given twice the first counts.
func tags(record string) map[string]string {
	all := make(map[string]string)
	for tag := range strings.SplitSeq(record, ";") {
		name, value, ok := strings.Cut(tag, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, again := all[name]; ok && !again {
			all[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// recordsOf returns the TXT records at name that are of a kind, such as "v=spf1".
func (p *preflight) recordsOf(ctx context.Context, name, version string) ([]string, error) {
	answer, err := p.resolver.Lookup(ctx, name, RecordTXT)
	return versioned(answer.TXT, version), err
}

// versioned keeps the records that begin with a version.
func versioned(txts []string, version string) []string {
	var found []string
	for _, txt := range txts {
		first, _, _ := strings.Cut(txt, ";")
		first, _, _ = strings.Cut(first, " ")
		if strings.TrimSpace(first) == version {
			found = append(found, txt)
		}
	}
	return found
}
