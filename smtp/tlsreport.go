package smtp

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// TLSResult is how one session with a mail host fared against the TLS policy of
// the domain that it serves: what TLS reporting (RFC 8460) counts.
type TLSResult struct {
	Time time.Time
	// Domain is the domain of the recipients.
	Domain string
	// PolicyDomain is the domain that the policy is published for: the host's
	// name under DANE, and Domain otherwise.
	PolicyDomain string
	// PolicyType is "tlsa", "sts" or "no-policy-found".
	PolicyType string
	// Policy holds the lines of an MTA-STS policy, or TLSA records; and MX the
	// host patterns of an MTA-STS policy.
	Policy, MX []string
	// Host and RemoteAddr are the receiving server, LocalAddr is ours. They are
	// zero where no connection was made.
	Host                  string
	RemoteAddr, LocalAddr netip.Addr
	// Failure is a result type of RFC 8460, section 4.3, such as
	// "certificate-host-mismatch". Empty is success.
	Failure string
	// Reason says more about a failure.
	Reason string
}

// The result types of RFC 8460, section 4.3, that a sender can tell apart.
const (
	failNoSTARTTLS   = "starttls-not-supported"
	failHostMismatch = "certificate-host-mismatch"
	failExpired      = "certificate-expired"
	failNotTrusted   = "certificate-not-trusted"
	failValidation   = "validation-failure"
	failDNSSEC       = "dnssec-invalid"
	failSTSFetch     = "sts-policy-fetch-error"
	failSTSInvalid   = "sts-policy-invalid"
	failSTSWebPKI    = "sts-webpki-invalid"
)

// tlsFailure names the result type that err, which ended a session, falls under;
// "" if it is no failure of TLS.
func tlsFailure(err error) string {
	var e *Error
	if !errors.As(err, &e) || e.Phase != PhaseStartTLS && e.Phase != PhasePolicy {
		return ""
	}
	if errors.Is(err, ErrTLSRequired) {
		return failNoSTARTTLS
	}
	return cmp.Or(certificateFailure(err), failValidation)
}

func certificateFailure(err error) string {
	var mismatch x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &mismatch):
		return failHostMismatch
	case errors.As(err, &unknown):
		return failNotTrusted
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return failExpired
	}
	return ""
}

// fetchFailure names the result type of a policy that could not be had.
func fetchFailure(err error) string {
	switch {
	case certificateFailure(err) != "":
		return failSTSWebPKI
	case errors.Is(err, errSTSInvalid):
		return failSTSInvalid
	}
	return failSTSFetch
}

// newTLSResult is a success with a host, under the policy that it is held to.
func newTLSResult(p *Plan, h *PlanHost) TLSResult {
	r := TLSResult{
		Time: time.Now(), Domain: p.Domain, PolicyDomain: p.Domain, PolicyType: "no-policy-found", Host: h.Name,
	}
	switch {
	case h.Policy == policyDANE:
		r.PolicyType, r.PolicyDomain = "tlsa", h.dane.base
		for _, record := range h.TLSA {
			r.Policy = append(r.Policy, record.String())
		}
	case p.STS != nil && p.STS.Mode != STSNone:
		r.PolicyType, r.Policy, r.MX = "sts", p.STS.lines(), p.STS.MX
	}
	return r
}

// reportSession tells of a session that was made, or could not be for want of TLS.
func (d *Direct) reportSession(v *delivery, h *PlanHost, w *hostDialer, err error) {
	if d.report == nil {
		return
	}
	r := newTLSResult(v.plan, h)
	r.RemoteAddr, r.LocalAddr = w.remote.Addr(), w.local.Addr()
	if err != nil {
		if r.Failure = tlsFailure(err); r.Failure != "" {
			r.Reason = err.Error()
			d.report(r)
		}
		return
	}
	for _, i := range v.left {
		if s := v.result.Recipients[i].Session; s != nil && !s.Reused {
			r.Failure = h.sessionFailure(s)
			d.report(r)
			return
		}
	}
}

// sessionFailure is what a session lacks, though it was made: TLS where there is
// no policy, or what a policy in testing mode asks.
func (h *PlanHost) sessionFailure(s *Session) string {
	switch {
	case s.TLSVersion == 0:
		return failNoSTARTTLS
	case h.testing && !s.TLSVerified:
		return failValidation
	}
	return ""
}

// reportUnused tells of a host that its policy keeps us from.
func (d *Direct) reportUnused(p *Plan, h *PlanHost) {
	if d.report == nil || !errors.Is(h.Err, ErrTLSPolicy) {
		return
	}
	r := newTLSResult(p, h)
	r.Failure, r.Reason = failValidation, h.Err.Error()
	if errors.Is(h.Err, errTLSAUnknown) {
		r.Failure, r.PolicyType, r.PolicyDomain = failDNSSEC, "tlsa", h.Name
	}
	d.report(r)
}

// reportFetch tells of an MTA-STS policy that could not be had.
func (d *Direct) reportFetch(p *Plan) {
	if d.report == nil || !errors.Is(p.STSErr, errSTSFetch) {
		return
	}
	d.report(TLSResult{
		Time: time.Now(), Domain: p.Domain, PolicyDomain: p.Domain, PolicyType: "sts",
		Failure: fetchFailure(p.STSErr), Reason: p.STSErr.Error(),
	})
}

// TLSReports counts TLS results and renders them as the reports of RFC 8460,
// which domains ask for in a record at _smtp._tls. Give its Add to
// [DirectOptions] and call Take once a day.
//
// The zero value is ready for use, and safe for concurrent use.
type TLSReports struct {
	mu    sync.Mutex // guards what follows
	since time.Time
	tally map[string]map[string]*tlsTally // by policy domain, then by policy
}

// tlsTally is what one policy has come to.
type tlsTally struct {
	Policy  tlsReportPolicy  `json:"policy"`
	Summary tlsReportSummary `json:"summary"`
	Details []*tlsDetail     `json:"failure-details,omitempty"`
}

type tlsReportPolicy struct {
	Type   string   `json:"policy-type"`
	String []string `json:"policy-string,omitempty"`
	Domain string   `json:"policy-domain"`
	MX     []string `json:"mx-host,omitempty"`
}

type tlsReportSummary struct {
	Successes int64 `json:"total-successful-session-count"`
	Failures  int64 `json:"total-failure-session-count"`
}

// tlsDetail counts the failures that are alike.
type tlsDetail struct {
	tlsFailureKind
	Count int64 `json:"failed-session-count"`
}

type tlsFailureKind struct {
	Type     string `json:"result-type"`
	LocalIP  string `json:"sending-mta-ip,omitempty"`
	Host     string `json:"receiving-mx-hostname,omitempty"`
	RemoteIP string `json:"receiving-ip,omitempty"`
	Reason   string `json:"failure-reason-code,omitempty"`
}

// The limits of what is kept between reports. What exceeds them is not counted.
const (
	maxReportDomains  = 10_000
	maxReportPolicies = 32  // of one domain
	maxReportDetails  = 100 // of one policy
	maxReportReason   = 200 // octets
)

// Add counts one result.
func (t *TLSReports) Add(r TLSResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tally == nil {
		t.since, t.tally = r.Time, make(map[string]map[string]*tlsTally)
	}
	tally := t.of(r)
	if tally == nil {
		return
	}
	if r.Failure == "" {
		tally.Summary.Successes++
		return
	}
	tally.Summary.Failures++
	tally.detail(r)
}

// of returns the tally that r belongs to, or nil where there is no room for it.
func (t *TLSReports) of(r TLSResult) *tlsTally {
	policies := t.tally[r.PolicyDomain]
	if policies == nil {
		if len(t.tally) >= maxReportDomains {
			return nil
		}
		policies = make(map[string]*tlsTally)
		t.tally[r.PolicyDomain] = policies
	}
	key := r.PolicyType + "\n" + strings.Join(r.Policy, "\n")
	if policies[key] == nil && len(policies) < maxReportPolicies {
		policies[key] = &tlsTally{Policy: tlsReportPolicy{r.PolicyType, r.Policy, r.PolicyDomain, r.MX}}
	}
	return policies[key]
}

func (t *tlsTally) detail(r TLSResult) {
	kind := tlsFailureKind{
		Type: r.Failure, LocalIP: ipText(r.LocalAddr), Host: r.Host, RemoteIP: ipText(r.RemoteAddr),
		Reason: strings.ToValidUTF8(r.Reason[:min(len(r.Reason), maxReportReason)], ""),
	}
	i := slices.IndexFunc(t.Details, func(d *tlsDetail) bool { return d.tlsFailureKind == kind })
	switch {
	case i >= 0:
		t.Details[i].Count++
	case len(t.Details) < maxReportDetails:
		t.Details = append(t.Details, &tlsDetail{kind, 1})
	}
}

func ipText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// TLSReport is the report for one policy domain. Send JSON, compressed, to its
// Recipients, as RFC 8460, section 5, says.
type TLSReport struct {
	Domain string
	ID     string
	JSON   []byte
}

// Recipients asks the DNS where a domain wants its reports: the mailto: and https:
// URIs of its record at _smtp._tls (RFC 8460, section 3). None means that it wants
// none.
func (r TLSReport) Recipients(ctx context.Context, resolver Resolver) ([]string, error) {
	answer, err := resolver.Lookup(ctx, "_smtp._tls."+r.Domain, RecordTXT)
	if err != nil {
		return nil, err
	}
	records := versioned(answer.TXT, "v=TLSRPTv1")
	if len(records) != 1 {
		return nil, nil
	}
	var uris []string
	for uri := range strings.SplitSeq(tags(records[0])["rua"], ",") {
		if uri = strings.TrimSpace(uri); strings.HasPrefix(uri, "mailto:") || strings.HasPrefix(uri, "https:") {
			uris = append(uris, uri)
		}
	}
	return uris, nil
}

// Take returns the reports of what was counted since the last call, in the order
// of their domains, and starts anew. organization and contact, an address,
// are who reports.
func (t *TLSReports) Take(organization, contact string) ([]TLSReport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().UTC()
	var reports []TLSReport
	for _, domain := range slices.Sorted(maps.Keys(t.tally)) {
		id := fmt.Sprintf("%s_%s", now.Format("20060102T150405Z"), domain)
		text, err := json.Marshal(map[string]any{
			"organization-name": organization,
			"contact-info":      contact,
			"report-id":         id,
			"date-range": map[string]string{
				"start-datetime": t.since.UTC().Format(time.RFC3339),
				"end-datetime":   now.Format(time.RFC3339),
			},
			"policies": sortedTallies(t.tally[domain]),
		})
		if err != nil {
			return nil, fmt.Errorf("smtp: TLS report for %s: %w", domain, err)
		}
		reports = append(reports, TLSReport{domain, id, text})
	}
	t.since, t.tally = time.Time{}, nil
	return reports, nil
}

func sortedTallies(policies map[string]*tlsTally) []*tlsTally {
	var list []*tlsTally
	for _, key := range slices.Sorted(maps.Keys(policies)) {
		list = append(list, policies[key])
	}
	return list
}
