package smtp_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// sound is a domain of which nothing is wrong. Each test breaks one thing.
type sound struct {
	*world
	key     *smtp.DKIMKey
	opts    smtp.PreflightOptions
	policy  *policyServer
	records []string
	from    string
}

func newSound(t *testing.T) *sound {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := smtp.NewDKIMKey("example.com", "s1", private)
	require.NoError(t, err)
	s := &sound{key: key, from: "tienda@example.com"}
	s.opts = smtp.PreflightOptions{
		ReversePath: "rebotes@bounce.example.com",
		Addrs:       []netip.Addr{netip.MustParseAddr("8.8.4.100")},
		LocalName:   "mta.example.com",
		DKIM:        []*smtp.DKIMKey{key},
	}
	s.records = []string{
		"bounce.example.com. 60 IN MX 10 mx1.example.net.",
		`bounce.example.com. 60 IN TXT "v=spf1 ip4:8.8.4.100 -all"`,
		`s1._domainkey.example.com. 60 IN TXT "` + strings.ReplaceAll(key.Record(), ";", `\;`) + `"`,
		`_dmarc.example.com. 60 IN TXT "v=DMARC1\; p=reject\; rua=mailto:dmarc@example.com"`,
		"100.4.8.8.in-addr.arpa. 60 IN PTR mta.example.com.",
		"mta.example.com. 60 IN A 8.8.4.100",
		`_mta-sts.bounce.example.com. 60 IN TXT "v=STSv1\; id=1"`,
		"mta-sts.bounce.example.com. 60 IN A 8.8.4.9",
		`_smtp._tls.bounce.example.com. 60 IN TXT "v=TLSRPTv1\; rua=mailto:tls@example.com"`,
	}
	return s
}

// without takes the records away whose owner begins so, and with adds some.
func (s *sound) without(owner string) *sound {
	s.records = slices.DeleteFunc(s.records, func(r string) bool { return strings.HasPrefix(r, owner) })
	return s
}

func (s *sound) with(records ...string) *sound {
	s.records = append(s.records, records...)
	return s
}

func (s *sound) check(t *testing.T, server smtptest.Options, policy string) *smtp.PreflightReport {
	t.Helper()
	s.world = newWorld(t, server, smtptest.Options{}, s.records...)
	s.policy = newPolicyServer(t, &tls.Config{Certificates: []tls.Certificate{s.ca.Issue("mta-sts.bounce.example.com")}})
	s.policy.serve(policy)
	s.hosts["8.8.4.9:443"] = s.policy
	s.opts.Resolver, s.opts.Dialer = s.resolver(t), s.internet
	s.opts.TLSConfig = &tls.Config{RootCAs: s.ca.Pool()}
	r, err := smtp.Preflight(t.Context(), s.from, &s.opts)
	require.NoError(t, err)
	return r
}

const ownPolicy = "version: STSv1\nmode: enforce\nmx: mx1.example.net\nmax_age: 86400\n"

func TestPreflightSound(t *testing.T) {
	t.Parallel()
	r := newSound(t).check(t, smtptest.Options{}, ownPolicy)
	require.True(t, r.OK(), r.String())
	var checks []string
	for _, f := range r.Findings {
		require.Equal(t, smtp.PreflightOK, f.Status, "%+v", f)
		require.Empty(t, f.Advice)
		checks = append(checks, f.Check)
	}
	require.Equal(t, []string{"MX", "SPF", "DKIM", "DMARC", "DMARC", "PTR", "EHLO", "STARTTLS", "MTA-STS", "TLS-RPT"}, checks)
}

func TestPreflightFinds(t *testing.T) {
	t.Parallel()
	const dkim, dmarc = "s1._domainkey.example.com.", "_dmarc.example.com."
	stranger := smtptest.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{smtptest.NewCA().Issue("mx1.example.net")}}}
	tests := []struct {
		name   string
		change func(s *sound)
		server smtptest.Options
		policy string
		check  string
		status smtp.PreflightStatus
		advice string
	}{
		{"no way back", func(s *sound) { s.without("bounce.example.com. 60 IN MX") }, smtptest.Options{}, "", "MX", smtp.PreflightFailure, "publish an MX record"},
		{"null MX", func(s *sound) { s.without("bounce.example.com. 60 IN MX").with("bounce.example.com. 60 IN MX 0 .") },
			smtptest.Options{}, "", "MX", smtp.PreflightFailure, "publish an MX record"},
		{"no SPF", func(s *sound) { s.without("bounce.example.com. 60 IN TXT") }, smtptest.Options{}, "", "SPF", smtp.PreflightFailure, "v=spf1 ip4:8.8.4.100 -all"},
		{"SPF without us", func(s *sound) {
			s.without("bounce.example.com. 60 IN TXT").with(`bounce.example.com. 60 IN TXT "v=spf1 ip4:8.8.4.1 -all"`)
		}, smtptest.Options{}, "", "SPF", smtp.PreflightFailure, "add ip4:8.8.4.100"},
		{"SPF malformed", func(s *sound) {
			s.without("bounce.example.com. 60 IN TXT").with(`bounce.example.com. 60 IN TXT "v=spf1 ipv4:8.8.4.1 -all"`)
		}, smtptest.Options{}, "", "SPF", smtp.PreflightFailure, "correct the record"},
		{"two SPF records", func(s *sound) { s.with(`bounce.example.com. 60 IN TXT "v=spf1 -all"`) }, smtptest.Options{}, "", "SPF", smtp.PreflightFailure, "keep one"},
		{"SPF, address unknown", func(s *sound) { s.opts.Addrs = nil }, smtptest.Options{}, "", "SPF", smtp.PreflightUnknown, "give the addresses"},
		{"SPF unknown and DKIM well is aligned", func(s *sound) { s.opts.Addrs = nil }, smtptest.Options{}, "", "DMARC", smtp.PreflightOK, ""},
		{"SPF unknown and no DKIM may be aligned", func(s *sound) { s.opts.Addrs, s.opts.DKIM = nil, nil }, smtptest.Options{}, "", "DMARC", smtp.PreflightUnknown, "make both"},
		{"no DKIM keys", func(s *sound) { s.opts.DKIM = nil }, smtptest.Options{}, "", "DKIM", smtp.PreflightFailure, "sign"},
		{"DKIM key not published", func(s *sound) { s.without(dkim) }, smtptest.Options{}, "", "DKIM", smtp.PreflightFailure, "publish there: v=DKIM1; k=ed25519; p="},
		{"another DKIM key published", func(s *sound) {
			s.without(dkim).with(dkim + ` 60 IN TXT "v=DKIM1\; k=ed25519\; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`)
		}, smtptest.Options{}, "", "DKIM", smtp.PreflightFailure, "publish there"},
		{"DKIM key revoked", func(s *sound) { s.without(dkim).with(dkim + ` 60 IN TXT "v=DKIM1\; p="`) }, smtptest.Options{}, "", "DKIM", smtp.PreflightFailure, "publish there"},
		{"DKIM key of another kind", func(s *sound) { s.without(dkim).with(dkim + ` 60 IN TXT "v=DKIM1\; p=MIIB"`) }, smtptest.Options{}, "", "DKIM", smtp.PreflightFailure, "publish there"},
		{"DKIM key for testing", func(s *sound) {
			s.without(dkim).with(dkim + ` 60 IN TXT "` + strings.ReplaceAll(s.key.Record(), ";", `\;`) + `\; t=y"`)
		}, smtptest.Options{}, "", "DKIM", smtp.PreflightWarning, "take t=y out"},
		{"no DMARC", func(s *sound) { s.without(dmarc) }, smtptest.Options{}, "", "DMARC", smtp.PreflightFailure, "publish at _dmarc.example.com: v=DMARC1"},
		{"two DMARC records", func(s *sound) { s.with(dmarc + ` 60 IN TXT "v=DMARC1\; p=none"`) }, smtptest.Options{}, "", "DMARC", smtp.PreflightFailure, "keep one"},
		{"DMARC without policy", func(s *sound) { s.without(dmarc).with(dmarc + ` 60 IN TXT "v=DMARC1\; rua=mailto:a@b.test"`) }, smtptest.Options{}, "", "DMARC", smtp.PreflightFailure, "set p to"},
		{"DMARC p=none", func(s *sound) { s.without(dmarc).with(dmarc + ` 60 IN TXT "v=DMARC1\; p=none\; rua=mailto:a@b.test"`) }, smtptest.Options{}, "", "DMARC", smtp.PreflightWarning, "p=quarantine"},
		{"DMARC without reports", func(s *sound) { s.without(dmarc).with(dmarc + ` 60 IN TXT "v=DMARC1\; p=reject"`) }, smtptest.Options{}, "", "DMARC", smtp.PreflightWarning, "rua=mailto"},
		{"DMARC of the organization, lenient to subdomains", func(s *sound) {
			s.without(dmarc).with(`_dmarc.example.com. 60 IN TXT "v=DMARC1\; p=reject\; sp=none\; rua=mailto:a@b.test"`)
			s.from = "tienda@tienda.example.com"
		}, smtptest.Options{}, "", "DMARC", smtp.PreflightWarning, "p=quarantine"},
		{"SPF not aligned where it must be exact", func(s *sound) {
			s.without(dmarc).with(dmarc + ` 60 IN TXT "v=DMARC1\; p=reject\; aspf=s\; rua=mailto:a@b.test"`)
		}, smtptest.Options{}, "", "DMARC", smtp.PreflightWarning, "make both SPF and DKIM pass"},
		{"nothing aligned", func(s *sound) {
			s.without(dkim)
			s.opts.ReversePath = "rebotes@example.net"
		}, smtptest.Options{}, "", "DMARC", smtp.PreflightFailure, "sign with d=example.com"},
		{"no PTR", func(s *sound) { s.without("100.") }, smtptest.Options{}, "", "PTR", smtp.PreflightFailure, "PTR record, such as mta.example.com"},
		{"PTR that does not lead back", func(s *sound) { s.without("100.").with("100.4.8.8.in-addr.arpa. 60 IN PTR mx1.example.net.") },
			smtptest.Options{}, "", "PTR", smtp.PreflightFailure, "PTR record"},
		{"EHLO name without address", func(s *sound) { s.opts.LocalName = "nada.example.com" }, smtptest.Options{}, "", "EHLO", smtp.PreflightFailure, "address record"},
		{"EHLO name of another host", func(s *sound) { s.opts.LocalName = "mx1.example.net" }, smtptest.Options{}, "", "MX", smtp.PreflightOK, ""},
		{"EHLO name that leads elsewhere", func(s *sound) { s.opts.LocalName = "mx2.example.net" }, smtptest.Options{}, "", "EHLO", smtp.PreflightWarning, "Source.LocalName"},
		{"no TLS", func(s *sound) { s.without("_mta-sts") }, smtptest.Options{TLS: smtptest.NoTLS}, "", "STARTTLS", smtp.PreflightFailure, "offer STARTTLS"},
		{"certificate of a stranger", func(s *sound) { s.without("_mta-sts") }, stranger, "", "STARTTLS", smtp.PreflightWarning, "install a certificate"},
		{"certificate that the policy does not allow", func(*sound) {}, stranger, "", "STARTTLS", smtp.PreflightFailure, "make certificate and policy fit"},
		{"mail host down", func(s *sound) { s.with("mx1.example.net. 60 IN A 8.8.4.44") }, smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Connect, Reply: "421 No"}}},
			"", "STARTTLS", smtp.PreflightUnknown, "answers on port 25"},
		{"no MTA-STS", func(s *sound) { s.without("_mta-sts") }, smtptest.Options{}, "", "MTA-STS", smtp.PreflightWarning, "publish one"},
		{"MTA-STS without policy", func(s *sound) { s.without("mta-sts") }, smtptest.Options{}, "", "MTA-STS", smtp.PreflightFailure, "serve the policy at https://mta-sts.bounce.example.com/"},
		{"MTA-STS of other hosts", func(*sound) {}, smtptest.Options{}, strings.Replace(ownPolicy, "mx1", "mx9", 1), "MTA-STS", smtp.PreflightFailure, "add the host to the policy"},
		{"MTA-STS testing", func(*sound) {}, smtptest.Options{}, strings.Replace(ownPolicy, "enforce", "testing", 1), "MTA-STS", smtp.PreflightWarning, "set mode: enforce"},
		{"no TLS reports", func(s *sound) { s.without("_smtp._tls") }, smtptest.Options{}, "", "TLS-RPT", smtp.PreflightWarning, "v=TLSRPTv1"},
		{"TLS reports to nowhere", func(s *sound) {
			s.without("_smtp._tls").with(`_smtp._tls.bounce.example.com. 60 IN TXT "v=TLSRPTv1\;"`)
		},
			smtptest.Options{}, "", "TLS-RPT", smtp.PreflightFailure, "rua="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSound(t)
			test.change(s)
			if test.policy == "" {
				test.policy = ownPolicy
			}
			r := s.check(t, test.server, test.policy)
			found := slices.ContainsFunc(r.Findings, func(f smtp.Finding) bool {
				return f.Check == test.check && f.Status == test.status && strings.Contains(f.Advice, test.advice)
			})
			require.True(t, found, r.String())
			if test.status == smtp.PreflightFailure {
				require.False(t, r.OK())
			}
		})
	}
}

// SPF by every kind of look-up, for both families of addresses.
func TestPreflightSPFMechanisms(t *testing.T) {
	t.Parallel()
	for name, spf := range map[string]string{
		"mx": "v=spf1 mx:sends.test -all", "a": "v=spf1 a:mta.example.com -all", "include": "v=spf1 include:spf.test -all",
		"ptr": "v=spf1 ptr:example.com -all", "exists": "v=spf1 exists:mta.example.com -all",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSound(t)
			s.opts.Addrs = append(s.opts.Addrs, netip.MustParseAddr("2606:4700::25"))
			s.without("bounce.example.com. 60 IN TXT").with(
				`bounce.example.com. 60 IN TXT "`+spf+`"`,
				"sends.test. 60 IN MX 10 mta.example.com.",
				`spf.test. 60 IN TXT "v=spf1 ip4:8.8.4.0/24 ip6:2606:4700::/32 -all"`,
				"mta.example.com. 60 IN AAAA 2606:4700::25",
				"5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.4.6.0.6.2.ip6.arpa. 60 IN PTR mta.example.com.",
			)
			r := s.check(t, smtptest.Options{}, ownPolicy)
			for _, f := range r.Findings {
				require.Equal(t, smtp.PreflightOK, f.Status, r.String())
			}
			require.Len(t, r.Findings, 12)
		})
	}
}

func TestPreflightDKIMRecords(t *testing.T) {
	t.Parallel()
	s := newSound(t)
	own := strings.ReplaceAll(s.key.Record(), ";", `\;`)
	for record, fault := range map[string]string{
		own: "", own + `\; h=sha1:sha256`: "", own + `\; s=*`: "", strings.Replace(own, "v=DKIM1", "v=DKIM9", 1): "version DKIM9",
		own + `\; h=sha1`: "forbids sha256", own + `\; s=other`: "not for email", `v=DKIM1\; k=ed25519`: "without p=",
	} {
		t.Run(fault, func(t *testing.T) {
			s := &sound{key: s.key, opts: s.opts, from: s.from, records: slices.Clone(s.records)}
			s.without("s1._domainkey").with(`s1._domainkey.example.com. 60 IN TXT "` + record + `"`)
			r := s.check(t, smtptest.Options{}, ownPolicy)
			i := slices.IndexFunc(r.Findings, func(f smtp.Finding) bool { return f.Check == "DKIM" })
			require.Contains(t, r.Findings[i].Detail, fault)
			require.Equal(t, fault == "", r.Findings[i].Status == smtp.PreflightOK, r.String())
		})
	}
}

func TestPreflightWhenTheDNSFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{})
	w.broken = []string{"."}
	s := newSound(t)
	s.opts.Resolver, s.opts.Dialer = w.resolver(t), w.internet
	r, err := smtp.Preflight(t.Context(), "tienda@example.com", &s.opts)
	require.NoError(t, err)
	for _, f := range r.Findings {
		require.Contains(t, []smtp.PreflightStatus{smtp.PreflightUnknown, smtp.PreflightFailure}, f.Status, "%+v", f)
		require.NotEmpty(t, f.Advice)
	}
}

func TestPreflightRefuses(t *testing.T) {
	t.Parallel()
	_, err := smtp.Preflight(t.Context(), "example.com", nil)
	require.ErrorIs(t, err, smtp.ErrBadAddress)
	_, err = smtp.Preflight(t.Context(), "ana@example.com", &smtp.PreflightOptions{ReversePath: "x", LocalName: "a b", Resolver: newZone(t).resolver(t)})
	require.ErrorIs(t, err, smtp.ErrBadAddress)
	require.ErrorContains(t, err, `"a b"`)
}

// A tag list gives each name once, whatever is written.
func FuzzTags(f *testing.F) {
	f.Add("v=DMARC1; p=none; rua=mailto:a@b")
	f.Add("v=DKIM1;p=;;=x;a")
	f.Fuzz(func(t *testing.T, record string) {
		for name, value := range smtp.Tags(record) {
			require.NotContains(t, name, ";")
			require.NotContains(t, name, "=")
			require.NotContains(t, value, ";")
			require.Equal(t, strings.ToLower(name), name)
		}
	})
}
