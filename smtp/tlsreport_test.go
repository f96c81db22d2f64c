package smtp_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// The report of RFC 8460, appendix B, is what this comes to.
func TestTLSReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock begins at 2000-01-01 00:00 UTC
		var reports smtp.TLSReports
		sts := smtp.TLSResult{
			Time: time.Now(), Domain: "company-y.example", PolicyDomain: "company-y.example", PolicyType: "sts",
			Policy: []string{"version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"},
			MX:     []string{"*.mail.company-y.example"}, Host: "mx1.mail.company-y.example",
			LocalAddr: netip.MustParseAddr("2001:db8:abcd:12::1"), RemoteAddr: netip.MustParseAddr("203.0.113.58"),
		}
		expired, noTLS := sts, sts
		expired.Failure = "certificate-expired"
		noTLS.Failure, noTLS.Host, noTLS.RemoteAddr = "starttls-not-supported", "mx2.mail.company-y.example", netip.MustParseAddr("203.0.113.56")
		for range 10 {
			reports.Add(sts)
		}
		for range 3 {
			reports.Add(expired)
		}
		reports.Add(noTLS)
		reports.Add(smtp.TLSResult{Time: time.Now(), Domain: "another.example", PolicyDomain: "mx.another.example", PolicyType: "tlsa", Policy: []string{"3 1 1 aa"}})
		time.Sleep(24 * time.Hour)

		taken, err := reports.Take("Company-X", "sts-reporting@company-x.example")
		require.NoError(t, err)
		require.Len(t, taken, 2)
		require.Equal(t, "company-y.example", taken[0].Domain)
		require.Equal(t, "mx.another.example", taken[1].Domain)
		require.JSONEq(t, `{
			"organization-name": "Company-X",
			"date-range": {"start-datetime": "2000-01-01T00:00:00Z", "end-datetime": "2000-01-02T00:00:00Z"},
			"contact-info": "sts-reporting@company-x.example",
			"report-id": "20000102T000000Z_company-y.example",
			"policies": [{
				"policy": {
					"policy-type": "sts",
					"policy-string": ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"],
					"policy-domain": "company-y.example",
					"mx-host": ["*.mail.company-y.example"]
				},
				"summary": {"total-successful-session-count": 10, "total-failure-session-count": 4},
				"failure-details": [{
					"result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:12::1",
					"receiving-mx-hostname": "mx1.mail.company-y.example", "receiving-ip": "203.0.113.58", "failed-session-count": 3
				}, {
					"result-type": "starttls-not-supported", "sending-mta-ip": "2001:db8:abcd:12::1",
					"receiving-mx-hostname": "mx2.mail.company-y.example", "receiving-ip": "203.0.113.56", "failed-session-count": 1
				}]
			}]
		}`, string(taken[0].JSON))

		taken, err = reports.Take("Company-X", "sts-reporting@company-x.example")
		require.NoError(t, err)
		require.Empty(t, taken, "what was taken is gone")
	})
}

func TestTLSReportsAreBounded(t *testing.T) {
	t.Parallel()
	var reports smtp.TLSReports
	for i := range 20_000 {
		reports.Add(smtp.TLSResult{PolicyDomain: fmt.Sprintf("d%d.test", i)})
	}
	for i := range 500 {
		reports.Add(smtp.TLSResult{PolicyDomain: "d0.test", Failure: "validation-failure", Reason: strings.Repeat("ñ", 1000) + fmt.Sprint(i), Host: fmt.Sprint(i)})
		reports.Add(smtp.TLSResult{PolicyDomain: "d1.test", PolicyType: "sts", Policy: []string{fmt.Sprint(i)}})
	}
	taken, err := reports.Take("X", "x@x.test")
	require.NoError(t, err)
	require.Len(t, taken, 10_000)
	var report struct {
		Policies []struct {
			Summary struct {
				Failures int `json:"total-failure-session-count"`
			}
			Details []struct {
				Reason string `json:"failure-reason-code"`
			} `json:"failure-details"`
		}
	}
	require.NoError(t, json.Unmarshal(taken[0].JSON, &report))
	require.Equal(t, 500, report.Policies[0].Summary.Failures)
	require.Len(t, report.Policies[0].Details, 100)
	require.LessOrEqual(t, len(report.Policies[0].Details[0].Reason), 200)
	require.NoError(t, json.Unmarshal(taken[1].JSON, &report))
	require.Len(t, report.Policies, 32)
}

func TestDirectReportsTLS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		server  smtptest.Options
		records []string
		broken  string
		want    []string // policy type, domain and failure
	}{
		{"no policy, TLS", smtptest.Options{}, nil, "", []string{"no-policy-found one.test "}},
		{"no policy, no TLS", smtptest.Options{TLS: smtptest.NoTLS}, nil, "", []string{"no-policy-found one.test starttls-not-supported"}},
		{"DANE that does not match", smtptest.Options{}, []string{"_25._tcp.mx1.example.net. 60 IN TLSA 3 1 1 " + strings.Repeat("00", 32)}, "",
			[]string{"tlsa mx1.example.net validation-failure"}},
		{"DANE without TLS", smtptest.Options{TLS: smtptest.NoTLS}, []string{"_25._tcp.mx1.example.net. 60 IN TLSA 3 1 1 " + strings.Repeat("00", 32)}, "",
			[]string{"tlsa mx1.example.net starttls-not-supported"}},
		{"DANE bogus", smtptest.Options{}, nil, "_25._tcp.mx1.example.net", []string{"tlsa mx1.example.net dnssec-invalid"}},
		{"MTA-STS policy that cannot be fetched", smtptest.Options{}, []string{`_mta-sts.one.test. 60 IN TXT "v=STSv1\; id=1"`, "mta-sts.one.test. 60 IN A 8.8.4.66"}, "",
			[]string{"sts one.test sts-policy-fetch-error", "no-policy-found one.test "}},
		{"refused for other reasons", smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Connect, Reply: "554 5.7.1 No"}}}, nil, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.server, smtptest.Options{}, append(test.records, "one.test. 60 IN MX 10 mx1.example.net.")...)
			if test.broken != "" {
				w.broken = []string{test.broken}
			}
			var got []string
			d := w.direct(t, smtp.DirectOptions{ReportTLS: func(r smtp.TLSResult) {
				got = append(got, r.PolicyType+" "+r.PolicyDomain+" "+r.Failure)
				require.Equal(t, "one.test", r.Domain)
				require.WithinDuration(t, time.Now(), r.Time, time.Minute)
			}})
			_, _ = d.Send(t.Context(), to("ana@one.test"))
			require.Equal(t, test.want, got)
		})
	}
}

// What is counted are sessions, however many messages they carry.
func TestDirectReportsTLSOncePerSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{})
	results := 0
	d := w.direct(t, smtp.DirectOptions{ReportTLS: func(smtp.TLSResult) { results++ }})
	for range 3 {
		_, err := d.Send(t.Context(), to("ana@example.net"))
		require.NoError(t, err)
	}
	require.Equal(t, 1, results)
}

func TestTLSReportRecipients(t *testing.T) {
	t.Parallel()
	z := newZone(t,
		`_smtp._tls.one.test. 60 IN TXT "v=TLSRPTv1\; rua=mailto:a@one.test, https://one.test/tls,ftp://one.test"`,
		`_smtp._tls.two.test. 60 IN TXT "v=TLSRPTv1\; rua=mailto:a@two.test"`, `_smtp._tls.two.test. 60 IN TXT "v=TLSRPTv1\; rua=mailto:b@two.test"`,
		`_smtp._tls.other.test. 60 IN TXT "v=spf1 -all"`,
	)
	z.broken = []string{"broken.test"}
	r := z.resolver(t)
	for domain, want := range map[string][]string{
		"one.test": {"mailto:a@one.test", "https://one.test/tls"}, "two.test": nil, "other.test": nil, "none.test": nil,
	} {
		got, err := smtp.TLSReport{Domain: domain}.Recipients(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, want, got, domain)
	}
	_, err := smtp.TLSReport{Domain: "broken.test"}.Recipients(t.Context(), r)
	require.Error(t, err)
}
