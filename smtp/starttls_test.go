package smtp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// tlsRelay makes a relay to a scripted server that it verifies for localhost. query
// is the tls option of the URL; empty is smtps.
func tlsRelay(t testing.TB, server *wireServer, query string, opts smtp.RelayOptions) *smtp.Relay {
	t.Helper()
	url := "smtps://localhost"
	if query != "" {
		url = "smtp://localhost?tls=" + query
	}
	opts.Dialer = server
	if opts.TLSConfig == nil {
		opts.TLSConfig = &tls.Config{RootCAs: server.ca.Pool()}
	}
	relay, err := smtp.NewRelay(url, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, relay.Close()) })
	return relay
}

// startTLS goes over to TLS, with a certificate for host.
func (p *wire) startTLS(ca *smtptest.CA, host string) bool {
	conn := tls.Server(p.conn, &tls.Config{Certificates: []tls.Certificate{ca.Issue(host)}})
	if conn.Handshake() != nil {
		return false
	}
	p.conn, p.r = conn, bufio.NewReader(conn)
	return true
}

// offerTLS greets, takes STARTTLS and greets again inside.
func (p *wire) offerTLS(ca *smtptest.CA, host string, extensions ...string) bool {
	if !p.greet("STARTTLS", "PIPELINING") {
		return false
	}
	if line, _ := p.line(); line != "STARTTLS" {
		return false
	}
	p.say("220 go")
	return p.startTLS(ca, host) && p.ehlo(extensions...)
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	server := newWireServer(t, func(p *wire) {
		if p.offerTLS(ca, "localhost", "PIPELINING", "AUTH PLAIN") {
			p.serve(accept)
		}
	})
	server.ca = ca
	relay := tlsRelay(t, server, "required", smtp.RelayOptions{})
	result, err := relay.Send(t.Context(), letter(hello))
	require.NoError(t, err)
	session := result.Recipients[0].Session
	require.True(t, session.TLSVerified)
	require.Equal(t, "required", session.Policy)
	require.EqualValues(t, tls.VersionTLS13, session.TLSVersion)
}

// TestImplicitTLS: nothing is said before the handshake.
func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	server := newWireServer(t, func(p *wire) {
		if p.startTLS(ca, "localhost") && p.greet() {
			p.serve(accept)
		}
	})
	server.ca = ca
	result, err := tlsRelay(t, server, "", smtp.RelayOptions{}).Send(t.Context(), letter(hello))
	require.NoError(t, err)
	require.True(t, result.Recipients[0].Session.TLSVerified)
}

// TestStartTLSInjection: what an attacker puts behind the reply to STARTTLS is an
// error, and nothing is sent after it.
func TestStartTLSInjection(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet("STARTTLS")
		p.hear("STARTTLS")
		p.say("220 go", "250-evil", "250 AUTH PLAIN")
		p.wait()
	})
	server.ca = smtptest.NewCA()
	relay := tlsRelay(t, server, "required", smtp.RelayOptions{Auth: smtp.Password("ana", "secreto")})
	_, err := relay.Send(t.Context(), letter(hello))
	require.ErrorContains(t, err, "data behind the reply to STARTTLS")
	server.wg.Wait()
	require.True(t, strings.HasSuffix(server.received(0), "STARTTLS\r\n"), "%q", server.received(0))
}

func TestStartTLSStripped(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet("PIPELINING", "AUTH PLAIN")
		p.wait()
	})
	server.ca = smtptest.NewCA()
	relay := tlsRelay(t, server, "required", smtp.RelayOptions{Auth: smtp.Password("ana", "secreto")})
	result, err := relay.Send(t.Context(), letter(hello))
	require.ErrorIs(t, err, smtp.ErrTLSRequired)
	require.Equal(t, "deferred", statuses(result))
	server.wg.Wait()
	require.Regexp(t, `^EHLO \S+\r\n$`, server.received(0))
}

func TestStartTLSKeywordInAnyCase(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	server := newWireServer(t, func(p *wire) {
		p.greet("StartTLS")
		p.hear("STARTTLS")
		p.say("220 go")
		if p.startTLS(ca, "localhost") && p.ehlo("8bitmime", "Size 5000", "Auth Plain") {
			p.serve(accept)
		}
	})
	server.ca = ca
	relay := tlsRelay(t, server, "required", smtp.RelayOptions{})
	_, err := relay.Send(t.Context(), letter(hello+"ñ\r\n"))
	require.NoError(t, err)
	require.Contains(t, server.received(0), " BODY=8BITMIME")
	require.Contains(t, server.received(0), " SIZE=")
}

// TestOpportunisticTLS: it is used where it is offered and works, also with a
// certificate that proves nothing, and given up where it does not work.
func TestOpportunisticTLS(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	for name, c := range map[string]struct {
		script        func(p *wire)
		tls, verified bool
		dialed        int
	}{
		"good":        {func(p *wire) { p.offerTLS(ca, "localhost"); p.serve(accept) }, true, true, 1},
		"wrong name":  {func(p *wire) { p.offerTLS(ca, "otro.example"); p.serve(accept) }, true, false, 1},
		"not offered": {func(p *wire) { p.greet(); p.serve(accept) }, false, false, 1},
		"refused": {func(p *wire) {
			p.greet("STARTTLS")
			p.hear("STARTTLS")
			p.say("454 not now")
			p.serve(accept)
		}, false, false, 1},
		"broken": {func(p *wire) {
			p.greet("STARTTLS")
			if p.n == 0 {
				p.hear("STARTTLS")
				p.say("220 go")
				_, _ = p.r.ReadByte()
				return
			}
			p.serve(accept)
		}, false, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, c.script)
			server.ca = ca
			relay := tlsRelay(t, server, "opportunistic", smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), letter(hello))
			require.NoError(t, err)
			require.Equal(t, c.tls, result.Recipients[0].Session.TLSVersion != 0)
			require.Equal(t, c.verified, result.Recipients[0].Session.TLSVerified)
			require.Equal(t, c.dialed, server.dialed())
		})
	}
}

func TestRequiredTLSIsVerified(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	server := newWireServer(t, func(p *wire) {
		if p.offerTLS(ca, "otro.example") {
			t.Error("handshake went through")
		}
	})
	server.ca = ca
	relay := tlsRelay(t, server, "required", smtp.RelayOptions{})
	result, err := relay.Send(t.Context(), letter(hello))
	var hostname x509.HostnameError
	require.ErrorAs(t, err, &hostname)
	require.Equal(t, "deferred", statuses(result))
	require.NotContains(t, server.received(0), "MAIL")
}

// TestRequireTLS: a message that requires TLS never travels on a connection that
// was made opportunistically, or to a server that would not pass that on.
func TestRequireTLS(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	strict := letter(hello)
	strict.TLS = smtp.TLSRequire
	t.Run("passed on", func(t *testing.T) {
		server := newWireServer(t, func(p *wire) {
			if p.offerTLS(ca, "localhost", "REQUIRETLS") {
				p.serve(accept)
			}
		})
		server.ca = ca
		relay := tlsRelay(t, server, "opportunistic", smtp.RelayOptions{})
		_, err := relay.Send(t.Context(), letter(hello))
		require.NoError(t, err)
		_, err = relay.Send(t.Context(), strict)
		require.NoError(t, err)
		require.Equal(t, 2, server.dialed())
		require.NotContains(t, server.received(0), "REQUIRETLS")
		require.Contains(t, server.received(1), "MAIL FROM:<ana@example.com> REQUIRETLS\r\n")
	})
	t.Run("not supported", func(t *testing.T) {
		server := newWireServer(t, func(p *wire) {
			if p.offerTLS(ca, "localhost") {
				p.serve(accept)
			}
		})
		server.ca = ca
		_, err := tlsRelay(t, server, "required", smtp.RelayOptions{}).Send(t.Context(), strict)
		require.ErrorIs(t, err, smtp.ErrNoRequireTLS)
	})
	t.Run("no TLS", func(t *testing.T) {
		server := newWireServer(t, func(p *wire) { p.greet("REQUIRETLS"); p.serve(accept) })
		server.ca = ca
		_, err := tlsRelay(t, server, "opportunistic", smtp.RelayOptions{}).Send(t.Context(), strict)
		require.ErrorIs(t, err, smtp.ErrTLSRequired)
	})
	t.Run("unverified", func(t *testing.T) {
		server := newWireServer(t, func(p *wire) {
			if p.offerTLS(ca, "otro.example", "REQUIRETLS") {
				p.serve(accept)
			}
		})
		server.ca = ca
		lax := smtp.RelayOptions{TLSConfig: &tls.Config{InsecureSkipVerify: true}}
		_, err := tlsRelay(t, server, "required", lax).Send(t.Context(), strict)
		require.ErrorIs(t, err, smtp.ErrNoRequireTLS)
	})
}

func TestTLSOptionalIsWritten(t *testing.T) {
	t.Parallel()
	var box inbox
	server := newWireServer(t, func(p *wire) { p.greet(); p.serve(box.answer) })
	relay := newRelay(t, server, smtp.RelayOptions{})
	m := letter(hello)
	m.TLS = smtp.TLSOptional
	_, err := relay.Send(t.Context(), m)
	require.NoError(t, err)
	m.Content = smtp.Bytes([]byte("TLS-Required: No\r\n" + hello))
	_, err = relay.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, []string{"TLS-Required: No\r\n" + hello, "TLS-Required: No\r\n" + hello}, box.all())
}

func TestHandshakeHonoursContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newWireServer(t, func(p *wire) {
			p.greet("STARTTLS")
			p.hear("STARTTLS")
			p.say("220 go")
			p.wait()
		})
		server.ca = smtptest.NewCA()
		relay := tlsRelay(t, server, "required", smtp.RelayOptions{})
		requirePromptCancel(t, func(ctx context.Context) (*smtp.Result, error) { return relay.Send(ctx, letter(hello)) })
	})
}
