package smtp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// The tests in this file ask a validating resolver for zones that really are
// signed, unsigned, bogus and dead, and deliver to the servers that these name.

// signedDNS is a resolver that validates, at the address in FRANQUEO_DNS.
func signedDNS(t *testing.T) smtp.Resolver {
	t.Helper()
	r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{peer(t, "FRANQUEO_DNS")}})
	require.NoError(t, err)
	return r
}

// peerTLS trusts the authority of the peers, whose certificate is in the file
// that FRANQUEO_CA names.
func peerTLS(t *testing.T) *tls.Config {
	t.Helper()
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AddCert(peerAuthority(t))
	return conf
}

// loopbackOnly allows what is forbidden by default, and nothing else.
func loopbackOnly(a netip.Addr) bool { return a.IsLoopback() }

func TestPeerPlan(t *testing.T) {
	t.Parallel()
	d, err := smtp.NewDirect("client.app.test", &smtp.DirectOptions{
		Resolver: signedDNS(t), TLSConfig: peerTLS(t), AllowAddr: loopbackOnly,
	})
	require.NoError(t, err)
	tests := []struct {
		domain string
		hosts  string // of "?" any order
		policy string
		err    error
	}{
		{"postfix.test", "mx.postfix.test", "dane", nil},
		{"implicit.test", "implicit.test", "", nil},
		{"fallback.test", "dead1.fallback.test mx.postfix.test", "", nil},
		{"cnamemx.test", "alias.cnamemx.test", "dane", nil},
		{"cnamedom.test", "mx.postfix.test", "dane", nil},
		{"ipv6only.test", "mx.ipv6only.test", "", nil},
		{"españa.test", "mx.postfix.test", "dane", nil},
		{"badtlsa.test", "mx.badtlsa.test", "dane", nil},
		{"daneta.test", "mx.exim.test", "dane", nil},
		{"plain.test", "mx.plain.test", "", nil}, // TLSA there, but not signed
		{"nullmx.test", "", "", smtp.ErrNullMX},
		{"missing.test", "", "", smtp.ErrNoHost},
		{"no-such.test", "", "", smtp.ErrNoHost},
		{"bogus.test", "", "", smtp.ErrTemporary},
		{"lame.test", "", "", smtp.ErrTemporary},
	}
	for _, test := range tests {
		t.Run(test.domain, func(t *testing.T) {
			t.Parallel()
			p, err := d.Plan(t.Context(), test.domain)
			require.ErrorIs(t, err, test.err)
			if test.err != nil {
				return
			}
			require.Equal(t, test.hosts, strings.Join(hostNames(p), " "))
			require.Equal(t, test.policy, p.Hosts[0].Policy)
			require.Equal(t, test.domain != "plain.test", p.Authentic)
		})
	}
	t.Run("tie.test", func(t *testing.T) {
		t.Parallel()
		p, err := d.Plan(t.Context(), "tie.test")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"mx.postfix.test", "mx.exim.test"}, hostNames(p))
	})
}

// A resolver that does not validate gives no DANE, and one that is not asked for
// loopback addresses gets none.
func TestPeerPlanWithoutValidation(t *testing.T) {
	t.Parallel()
	r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{peer(t, "FRANQUEO_DNS_PLAIN")}})
	require.NoError(t, err)
	d, err := smtp.NewDirect("client.app.test", &smtp.DirectOptions{Resolver: r, AllowAddr: loopbackOnly})
	require.NoError(t, err)
	p, err := d.Plan(t.Context(), "postfix.test")
	require.NoError(t, err)
	require.False(t, p.Authentic)
	require.Empty(t, p.Hosts[0].Policy)

	d, err = smtp.NewDirect("client.app.test", &smtp.DirectOptions{Resolver: r})
	require.NoError(t, err)
	_, err = d.Plan(t.Context(), "postfix.test")
	require.ErrorIs(t, err, smtp.ErrBlockedAddr)
}

// sender is an address of the sending domain, which SPF allows and which no
// server takes for its own network.
var sender = netip.MustParseAddr("127.0.25.99")

// peerDirect delivers to the real servers, from the sender's address.
func peerDirect(t *testing.T, opts smtp.DirectOptions) *smtp.Direct {
	t.Helper()
	if opts.Resolver == nil {
		opts.Resolver = signedDNS(t)
	}
	opts.TLSConfig, opts.AllowAddr = peerTLS(t), loopbackOnly
	if opts.Dialer == nil {
		opts.Source = func(context.Context, smtp.Attempt) (smtp.Source, error) {
			return smtp.Source{Addrs: []netip.Addr{sender, netip.IPv6Loopback()}}, nil
		}
	}
	d, err := smtp.NewDirect("client.app.test", &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Shutdown(context.Background())) })
	return d
}

func fromApp(to ...string) *smtp.Message {
	m := &smtp.Message{
		From:    "tienda@app.test",
		Content: smtp.Bytes([]byte("From: tienda@app.test\r\nTo: ana@postfix.test\r\nSubject: Su pedido\r\nMessage-ID: <1@app.test>\r\n\r\nEn camino.\r\n")),
	}
	for _, a := range to {
		m.To = append(m.To, smtp.Recipient{Addr: a})
	}
	return m
}

// Postfix takes mail for postfix.test and refuses to relay for the other domains
// that lead to it, which shows that it was reached.
func TestPeerDirect(t *testing.T) {
	t.Parallel()
	peer(t, "FRANQUEO_POSTFIX")
	peer(t, "FRANQUEO_AIOSMTPD")
	d := peerDirect(t, smtp.DirectOptions{})
	tests := []struct {
		to     string
		status smtp.Status
		host   string // of the session; "" for none
		policy string
		err    error
		reply  int
	}{
		{"sink@postfix.test", smtp.Accepted, "mx.postfix.test", "dane", nil, 250},
		{"unknown-1@postfix.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 550},
		{"full-rcpt@postfix.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 552},
		{"tempfail@postfix.test", smtp.Deferred, "mx.postfix.test", "dane", smtp.ErrTemporary, 451},
		{"blocked@postfix.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 554},
		{"busy@postfix.test", smtp.Deferred, "mx.postfix.test", "dane", smtp.ErrTemporary, 421},
		{"dmarcfail@postfix.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 550},
		{"ana@implicit.test", smtp.Rejected, "implicit.test", "", smtp.ErrPermanent, 554},
		{"ana@fallback.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 554},
		{"ana@tie.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 554},
		{"ana@cnamemx.test", smtp.Rejected, "alias.cnamemx.test", "dane", smtp.ErrPermanent, 554},
		{"ana@cnamedom.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 554},
		{"ana@españa.test", smtp.Rejected, "mx.postfix.test", "dane", smtp.ErrPermanent, 554},
		{"ana@plain.test", smtp.Rejected, "mx.plain.test", "", smtp.ErrPermanent, 554},
		{"ana@[127.0.25.1]", smtp.Rejected, "[127.0.25.1]", "", smtp.ErrPermanent, 554},
		{"ana@nullmx.test", smtp.Rejected, "", "", smtp.ErrNullMX, 0},
		{"ana@missing.test", smtp.Rejected, "", "", smtp.ErrNoHost, 0},
		{"ana@no-such.test", smtp.Rejected, "", "", smtp.ErrNoHost, 0},
		{"ana@dead.test", smtp.Deferred, "", "", syscall.ECONNREFUSED, 0},
		{"ana@ipv6only.test", smtp.Deferred, "", "", syscall.ECONNREFUSED, 0},
		{"ana@bogus.test", smtp.Deferred, "", "", smtp.ErrTemporary, 0},
		{"ana@lame.test", smtp.Deferred, "", "", smtp.ErrTemporary, 0},
		{"ana@badtlsa.test", smtp.Deferred, "", "", smtp.ErrTLSPolicy, 0},
		{"eat1@aio.test", smtp.Accepted, "mx.aio.test", "", nil, 250},
		{"code-452@aio.test", smtp.Deferred, "mx.aio.test", "", smtp.ErrTemporary, 452},
		{"enh-550-5.7.26@aio.test", smtp.Rejected, "mx.aio.test", "", smtp.ErrPermanent, 550},
		{"data-554@aio.test", smtp.Rejected, "mx.aio.test", "", smtp.ErrPermanent, 554},
		{"drop-rcpt@aio.test", smtp.Deferred, "mx.aio.test", "", smtp.ErrTemporary, 0},
		{"drop-after-data@aio.test", smtp.Indeterminate, "mx.aio.test", "", smtp.ErrIndeterminate, 0},
		{"garbage@aio.test", smtp.Deferred, "mx.aio.test", "", smtp.ErrTemporary, 0},
	}
	for _, test := range tests {
		t.Run(test.to, func(t *testing.T) {
			t.Parallel()
			result, err := d.Send(t.Context(), fromApp(test.to))
			o := result.Recipients[0]
			require.Equal(t, test.status, o.Status, "%v", err)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.reply, o.Reply.Code)
			if test.host == "" {
				require.Nil(t, o.Session)
				return
			}
			require.Equal(t, test.host, o.Session.Host)
			require.Equal(t, test.policy, o.Session.Policy)
			require.Equal(t, test.policy != "", o.Session.Policy != "" && o.Session.TLSVerified)
			require.NotZero(t, o.Session.TLSVersion)
			require.Equal(t, sender, o.Session.LocalAddr.Addr())
		})
	}
}

// One message for all of them at once: each is judged by itself, in order.
func TestPeerDirectManyDomains(t *testing.T) {
	t.Parallel()
	peer(t, "FRANQUEO_POSTFIX")
	peer(t, "FRANQUEO_AIOSMTPD")
	result, err := peerDirect(t, smtp.DirectOptions{}).Send(t.Context(), fromApp(
		"sink@postfix.test", "ana@nullmx.test", "eat2@aio.test", "unknown-2@postfix.test", "ana@badtlsa.test", "eat3@aio.test"))
	require.ErrorIs(t, err, smtp.ErrNullMX)
	require.Equal(t, "accepted, rejected, accepted, rejected, deferred, accepted", statuses(result))
}

// DANE by the authority's key, with a server behind mx.exim.test.
func TestPeerDirectDANEAuthority(t *testing.T) {
	t.Parallel()
	for name, certificate := range map[string]string{"good": "mx.exim.test", "wrong name": "mx.haraka.test"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := peerCertificate(t, certificate)
			chain.Certificate = append(chain.Certificate, peerAuthority(t).Raw) // RFC 7671, section 5.2.1
			server := smtptest.NewServer(&smtptest.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{chain}}})
			t.Cleanup(server.Close)
			n := &internet{hosts: map[string]smtp.Dialer{"127.0.25.2:25": server}}
			result, err := peerDirect(t, smtp.DirectOptions{Dialer: n}).Send(t.Context(), fromApp("ana@daneta.test"))
			if name == "good" {
				require.NoError(t, err)
				require.Equal(t, "dane", result.Recipients[0].Session.Policy)
				require.True(t, result.Recipients[0].Session.TLSVerified)
				return
			}
			require.ErrorIs(t, err, smtp.ErrTLSPolicy)
			require.Zero(t, server.Len())
		})
	}
}

// peerCertificate is one that the peers' authority issued; it lies beside that.
func peerCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	base := filepath.Join(filepath.Dir(peer(t, "FRANQUEO_CA")), name)
	cert, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	require.NoError(t, err)
	return cert
}

func peerAuthority(t *testing.T) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(peer(t, "FRANQUEO_CA"))
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}

// Without DNSSEC it is MTA-STS that protects the way to Postfix.
func TestPeerDirectSTS(t *testing.T) {
	t.Parallel()
	peer(t, "FRANQUEO_POSTFIX")
	plain, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{peer(t, "FRANQUEO_DNS_PLAIN")}})
	require.NoError(t, err)
	tests := []struct {
		name, policy string
		resolver     smtp.Resolver
		reached      bool
		session      string
	}{
		{"enforce", "version: STSv1\nmode: enforce\nmx: mx.postfix.test\nmax_age: 86400\n", plain, true, "mta-sts"},
		{"enforce, other hosts", "version: STSv1\nmode: enforce\nmx: mx.stsbad.test\nmax_age: 86400\n", plain, false, ""},
		{"testing, other hosts", "version: STSv1\nmode: testing\nmx: mx.stsbad.test\nmax_age: 86400\n", plain, true, ""},
		{"DANE comes first", "version: STSv1\nmode: enforce\nmx: mx.stsbad.test\nmax_age: 86400\n", nil, true, "dane"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newPolicyServer(t, &tls.Config{Certificates: []tls.Certificate{peerCertificate(t, "mta-sts.stsbad.test")}})
			s.serve(test.policy)
			n := &internet{hosts: map[string]smtp.Dialer{
				"127.0.25.80:443": s,
				"127.0.25.1:25":   &net.Dialer{LocalAddr: &net.TCPAddr{IP: sender.AsSlice()}},
			}}
			result, err := peerDirect(t, smtp.DirectOptions{Resolver: test.resolver, Dialer: n}).Send(t.Context(), fromApp("ana@stsbad.test"))
			if !test.reached {
				require.ErrorIs(t, err, smtp.ErrTLSPolicy)
				require.Equal(t, "deferred", statuses(result))
				return
			}
			require.Equal(t, 554, result.Recipients[0].Reply.Code, "Postfix refuses to relay: %v", err)
			require.Equal(t, test.session, result.Recipients[0].Session.Policy)
			require.Equal(t, test.policy != "" && test.session != "", result.Recipients[0].Session.Policy != "")
		})
	}
}

func TestPeerPreflight(t *testing.T) {
	t.Parallel()
	peer(t, "FRANQUEO_AIOSMTPD") // where the bounces of app.test go
	key := func(selector, file string) *smtp.DKIMKey {
		text, err := os.ReadFile(filepath.Join(peer(t, "FRANQUEO_DKIM_KEYS"), file))
		require.NoError(t, err)
		k, err := smtp.ParseDKIMKey("app.test", selector, text)
		require.NoError(t, err)
		return k
	}
	r, err := smtp.Preflight(t.Context(), "tienda@app.test", &smtp.PreflightOptions{
		Addrs: []netip.Addr{sender}, LocalName: "t.app.test",
		DKIM:     []*smtp.DKIMKey{key("s1", "s1.pem"), key("s2", "s2.pem"), key("revoked", "s1.pem")},
		Resolver: signedDNS(t), TLSConfig: peerTLS(t), AllowAddr: loopbackOnly,
	})
	require.NoError(t, err)
	var found []string
	for _, f := range r.Findings {
		found = append(found, f.Check+" "+f.Subject+": "+string(f.Status))
	}
	require.Equal(t, []string{
		"MX app.test: ok",
		"SPF app.test from 127.0.25.99: ok",
		"DKIM s1._domainkey.app.test: ok",
		"DKIM s2._domainkey.app.test: ok",
		"DKIM revoked._domainkey.app.test: failure",
		"DMARC _dmarc.app.test: ok",
		"DMARC alignment with app.test: ok",
		"PTR 127.0.25.99: failure",
		"EHLO t.app.test: ok",
		"STARTTLS mx.app.test: failure", // the sink has none
		"MTA-STS app.test: warning",
		"TLS-RPT _smtp._tls.app.test: warning",
	}, found, r.String())
}
