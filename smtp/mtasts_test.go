package smtp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

func TestParseSTSPolicy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       *smtp.STSPolicy
	}{
		{"CRLF", "version: STSv1\r\nmode: enforce\r\nmx: MX1.example.com\r\nmx: *.example.net\r\nmax_age: 86400\r\n",
			&smtp.STSPolicy{Mode: "enforce", MX: []string{"mx1.example.com", "*.example.net"}, MaxAge: 24 * time.Hour}},
		{"LF, no spaces, no end of the last line", "version:STSv1\nmode:testing\nmx:mx.example.com\nmax_age:1",
			&smtp.STSPolicy{Mode: "testing", MX: []string{"mx.example.com"}, MaxAge: time.Second}},
		{"none needs no mx", "version: STSv1\nmode: none\nmax_age: 1\n", &smtp.STSPolicy{Mode: "none", MaxAge: time.Second}},
		{"unknown keys, and keys given twice", "version: STSv1\nmode: none\nmode: enforce\nx: y\nmax_age: 1\n",
			&smtp.STSPolicy{Mode: "none", MaxAge: time.Second}},
		{"max_age longer than a year", "version: STSv1\nmode: none\nmax_age: 4000000000\n",
			&smtp.STSPolicy{Mode: "none", MaxAge: 31557600 * time.Second}},
		{"empty", "", nil},
		{"other version", "version: STSv2\nmode: none\nmax_age: 1\n", nil},
		{"no mode", "version: STSv1\nmax_age: 1\n", nil},
		{"unknown mode", "version: STSv1\nmode: strict\nmx: a.b\nmax_age: 1\n", nil},
		{"no mx", "version: STSv1\nmode: enforce\nmax_age: 1\n", nil},
		{"mx an address", "version: STSv1\nmode: enforce\nmx: 192.0.2.1\nmax_age: 1\n", nil},
		{"mx with a star inside", "version: STSv1\nmode: enforce\nmx: a.*.example.com\nmax_age: 1\n", nil},
		{"max_age negative", "version: STSv1\nmode: none\nmax_age: -1\n", nil},
		{"max_age missing", "version: STSv1\nmode: none\n", nil},
		{"a page of HTML", "<!doctype html>\n<html>", nil},
		{"too long", "version: STSv1\nmode: none\nmax_age: 1\n" + strings.Repeat("x: y\n", 16<<10), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := smtp.ParseSTSPolicy([]byte(test.text))
			if test.want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, p)
		})
	}
}

func TestParseSTSRecord(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		txts []string
		id   string
	}{
		{"usual", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{"no final semicolon, extension", []string{"v=STSv1;id=1; x=y"}, "1"},
		{"beside another record", []string{"something else", "v=STSv1; id=1"}, "1"},
		{"none", nil, ""},
		{"two", []string{"v=STSv1; id=1", "v=STSv1; id=2"}, ""},
		{"no id", []string{"v=STSv1;"}, ""},
		{"id too long", []string{"v=STSv1; id=" + strings.Repeat("1", 33)}, ""},
		{"id with other characters", []string{"v=STSv1; id=a-b"}, ""},
		{"other version", []string{"v=STSv10; id=1"}, ""},
		{"version in lower case", []string{"v=stsv1; id=1"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id, ok := smtp.ParseSTSRecord(test.txts)
			require.Equal(t, test.id != "", ok)
			if ok {
				require.Equal(t, test.id, id)
			}
		})
	}
}

func TestSTSPolicyMatch(t *testing.T) {
	t.Parallel()
	p := &smtp.STSPolicy{MX: []string{"mx.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mx.example.com": true, "MX.Example.com.": true, "a.example.net": true,
		"a.b.example.net": false, "example.net": false, "x.mx.example.com": false,
		"badexample.net": false, "": false, "net": false,
	} {
		require.Equal(t, want, p.Match(host), host)
	}
}

// authority issues certificates that conf trusts.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	conf *tls.Config
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	a.key = newKey(t)
	a.cert = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, &a.key.PublicKey)
	a.conf = &tls.Config{RootCAs: x509.NewCertPool()}
	a.conf.RootCAs.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// sign issues a certificate; an authority without one signs its own.
func (a *authority) sign(t *testing.T, template *x509.Certificate, public any) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(10*365*24*time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	return cert
}

// server is a TLS configuration for the given names.
func (a *authority) server(t *testing.T, names ...string) *tls.Config {
	t.Helper()
	key := newKey(t)
	cert := a.sign(t, &x509.Certificate{DNSNames: names}, &key.PublicKey)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}}}
}

// policyServer serves MTA-STS policies, and is what every connection reaches.
type policyServer struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	fetched atomic.Int64
	dialed  atomic.Pointer[string]
}

func newPolicyServer(t *testing.T, conf *tls.Config) *policyServer {
	t.Helper()
	s := new(policyServer)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetched.Add(1)
		(*s.handler.Load())(w, r)
	}))
	s.TLS = conf
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *policyServer) handle(h http.HandlerFunc) { s.handler.Store(&h) }

func (s *policyServer) serve(policy string) {
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/mta-sts.txt" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, policy)
	})
}

func (s *policyServer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	s.dialed.Store(&addr)
	return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
}

const enforce = "version: STSv1\nmode: enforce\nmx: mx.sts.test\nmax_age: 86400\n"

func stsZone(t *testing.T) *zone {
	return newZone(t,
		`_mta-sts.sts.test. 0 IN TXT "v=STSv1; id=1;"`, "mta-sts.sts.test. 60 IN A 8.8.4.9",
		"sts.test. 60 IN MX 10 mx.sts.test.", "sts.test. 60 IN MX 20 other.sts.test.",
		"mx.sts.test. 60 IN A 8.8.4.1", "other.sts.test. 60 IN A 8.8.4.2",
	)
}

func TestPlanSTS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
	s.serve(enforce)
	d := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf})
	for range 3 {
		p, err := d.Plan(t.Context(), "sts.test")
		require.NoError(t, err)
		require.Equal(t, smtp.STSEnforce, p.STS.Mode)
		require.Equal(t, "1", p.STS.ID)
		require.Equal(t, "mta-sts", p.Hosts[0].Policy)
		require.NoError(t, p.Hosts[0].Err)
		require.ErrorIs(t, p.Hosts[1].Err, smtp.ErrTLSPolicy, "a host that the policy does not name")
		require.True(t, temporary(t, p.Hosts[1].Err))
		require.Contains(t, p.String(), "MTA-STS: enforce, hosts mx.sts.test")
	}
	require.EqualValues(t, 1, s.fetched.Load(), "the policy is kept")
	require.Equal(t, "8.8.4.9:443", *s.dialed.Load())
}

// Many messages that find a policy new fetch it once.
func TestPlanSTSFetchedOnce(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
	s.serve(enforce)
	d := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			p, err := d.Plan(t.Context(), "sts.test")
			if err != nil || p.STS == nil {
				t.Errorf("no policy: %v, %v", p, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, s.fetched.Load())
}

func TestPlanSTSModes(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for mode, policy := range map[string]string{"enforce": "mta-sts", "testing": "", "none": ""} {
		s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
		s.serve(strings.Replace(enforce, "enforce", mode, 1))
		p, err := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf}).Plan(t.Context(), "sts.test")
		require.NoError(t, err)
		require.Equal(t, policy, p.Hosts[0].Policy, mode)
		require.Equal(t, mode == "enforce", p.Hosts[1].Err != nil)
	}
}

// DANE is the stronger of the two: a host that has it needs no MTA-STS.
func TestPlanDANEBeatsSTS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
	s.serve(enforce)
	z := stsZone(t)
	tlsa := "_25._tcp.other.sts.test. 60 IN TLSA 3 1 1 " + strings.Repeat("01", 32)
	z.records = append(z.records, newZone(t, tlsa).records...)
	z.broken = []string{"_25._tcp.mx.sts.test"}
	p, err := direct(t, z, smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf}).Plan(t.Context(), "sts.test")
	require.NoError(t, err)
	require.ErrorIs(t, p.Hosts[0].Err, smtp.ErrTLSPolicy, "MTA-STS does not excuse TLSA records out of reach")
	require.Equal(t, "dane", p.Hosts[1].Policy)
	require.NoError(t, p.Hosts[1].Err)
}

func TestPlanSTSRefusesWhatIsNoPolicy(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	plain := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain") }
	tests := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://mta-sts.sts.test/elsewhere", http.StatusFound)
		}},
		{"not found", http.NotFound},
		{"error with a policy", func(w http.ResponseWriter, _ *http.Request) {
			plain(w)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, enforce)
		}},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, enforce)
		}},
		{"longer than 64 KiB", func(w http.ResponseWriter, _ *http.Request) {
			plain(w)
			_, _ = io.WriteString(w, enforce+strings.Repeat("x: y\n", 14<<10))
		}},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			plain(w)
			for {
				if _, err := io.WriteString(w, strings.Repeat("x: y\n", 1<<10)); err != nil {
					return
				}
			}
		}},
		{"endless header", func(w http.ResponseWriter, _ *http.Request) {
			plain(w)
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			_, _ = io.WriteString(w, enforce)
		}},
		{"closed in the middle", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
			s.handle(test.handler)
			d := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf})
			for range 2 {
				p, err := d.Plan(t.Context(), "sts.test")
				require.NoError(t, err)
				require.Nil(t, p.STS)
				require.Error(t, p.STSErr)
			}
			require.EqualValues(t, 1, s.fetched.Load(), "what failed is left alone for a while")
		})
	}
	t.Run("certificate of another name", func(t *testing.T) {
		t.Parallel()
		s := newPolicyServer(t, ca.server(t, "www.sts.test"))
		s.serve(enforce)
		p, err := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf}).Plan(t.Context(), "sts.test")
		require.NoError(t, err)
		require.Nil(t, p.STS)
		var mismatch x509.HostnameError
		require.ErrorAs(t, p.STSErr, &mismatch)
	})
	t.Run("policy server on a private address", func(t *testing.T) {
		t.Parallel()
		z := stsZone(t)
		z.records = z.records[:1]
		z.records = append(z.records, newZone(t, "mta-sts.sts.test. 60 IN A 10.0.0.1", "sts.test. 60 IN A 8.8.4.1").records...)
		p, err := direct(t, z, smtp.DirectOptions{}).Plan(t.Context(), "sts.test") // noDialer would fail the test
		require.NoError(t, err)
		require.ErrorIs(t, p.STSErr, smtp.ErrBlockedAddr)
	})
}

// A policy that was seen once holds until it expires, whatever is hidden since.
func TestPlanSTSStaleUse(t *testing.T) {
	t.Parallel()
	kept := smtp.STSPolicy{ID: "1", Mode: smtp.STSEnforce, MX: []string{"mx.sts.test"}, MaxAge: 7 * 24 * time.Hour}
	ca := newAuthority(t)
	tests := []struct {
		name    string
		age     time.Duration
		change  func(t *testing.T, z *zone)
		policy  string
		fetches int64
	}{
		{"record gone", time.Hour, func(_ *testing.T, z *zone) { z.records = z.records[1:] }, "mta-sts", 0},
		{"record out of reach", time.Hour, func(_ *testing.T, z *zone) { z.broken = []string{"_mta-sts.sts.test"} }, "mta-sts", 0},
		{"new version that cannot be fetched", time.Hour, func(t *testing.T, z *zone) {
			z.records = append(z.records[1:], newZone(t, `_mta-sts.sts.test. 0 IN TXT "v=STSv1; id=2;"`).records...)
		}, "mta-sts", 1},
		{"policy server gone from the DNS", 2 * 24 * time.Hour, func(_ *testing.T, z *zone) { z.records = append(z.records[:1:1], z.records[2:]...) }, "mta-sts", 0},
		{"old, refresh fails", 2 * 24 * time.Hour, func(*testing.T, *zone) {}, "mta-sts", 1},
		{"expired, record gone", 8 * 24 * time.Hour, func(_ *testing.T, z *zone) { z.records = z.records[1:] }, "", 0},
		{"expired, fetch fails", 8 * 24 * time.Hour, func(*testing.T, *zone) {}, "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
			s.handle(http.NotFound)
			z := stsZone(t)
			test.change(t, z)
			p := kept
			p.Fetched = time.Now().Add(-test.age)
			d := direct(t, z, smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf, STSStore: &oneSTS{p: &p}})
			plan, err := d.Plan(t.Context(), "sts.test")
			require.NoError(t, err)
			require.Equal(t, test.policy, plan.Hosts[0].Policy)
			require.Equal(t, test.fetches, s.fetched.Load())
		})
	}
}

func TestPlanSTSRefresh(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
	s.serve(enforce)
	store := &oneSTS{p: &smtp.STSPolicy{ID: "1", Mode: smtp.STSTesting, MX: []string{"x.test"}, MaxAge: 7 * 24 * time.Hour,
		Fetched: time.Now().Add(-25 * time.Hour)}}
	d := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf, STSStore: store})
	p, err := d.Plan(t.Context(), "sts.test")
	require.NoError(t, err)
	require.Equal(t, "mta-sts", p.Hosts[0].Policy)
	require.Equal(t, smtp.STSEnforce, store.p.Mode, "the new policy is kept")
	require.Less(t, time.Since(store.p.Fetched), time.Minute)
}

// A store that fails must not turn a policy into none.
func TestPlanSTSStoreFails(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := newPolicyServer(t, ca.server(t, "mta-sts.sts.test"))
	s.serve(enforce)
	broken := errors.New("disk on fire")
	d := direct(t, stsZone(t), smtp.DirectOptions{Dialer: s, TLSConfig: ca.conf, STSStore: &oneSTS{err: broken}})
	_, err := d.Plan(t.Context(), "sts.test")
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, err, smtp.ErrTemporary)
}

// oneSTS is a store for one domain.
type oneSTS struct {
	p   *smtp.STSPolicy
	err error
}

func (s *oneSTS) LoadSTS(context.Context, string) (smtp.STSPolicy, bool, error) {
	if s.p == nil {
		return smtp.STSPolicy{}, false, s.err
	}
	return *s.p, true, s.err
}

func (s *oneSTS) SaveSTS(_ context.Context, _ string, p smtp.STSPolicy) error {
	s.p = &p
	return s.err
}
