package smtp_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
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
	pem, err := os.ReadFile(peer(t, "FRANQUEO_CA"))
	require.NoError(t, err)
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	require.True(t, conf.RootCAs.AppendCertsFromPEM(pem))
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
