package smtp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

func TestSend(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string][]string{
		"plain":                   nil,
		"pipelining":              {"PIPELINING"},
		"chunking":                {"CHUNKING"},
		"pipelining and chunking": {"PIPELINING", "CHUNKING"},
		"everything":              {"PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 100000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bodies []string
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				p.serve(func(command, body string) string {
					if command == "." {
						bodies = append(bodies, body)
					}
					return ""
				})
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			for range 3 {
				result, err := relay.Send(t.Context(), letter(hello))
				require.NoError(t, err)
				require.Equal(t, "accepted", statuses(result))
				require.Equal(t, "4XyZ", result.Recipients[0].QueueID)
			}
			require.NoError(t, relay.Shutdown(t.Context()))
			require.Equal(t, []string{hello, hello, hello}, bodies)
			require.Equal(t, 1, server.dialed())
		})
	}
}

func TestNewRelay(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{ // what is dialled
		"smtp://smtp.example.com":                   "tcp smtp.example.com:587",
		"smtp://ana:s%40creto@smtp.example.com:25":  "tcp smtp.example.com:25",
		"smtps://smtp.example.com":                  "tcp smtp.example.com:465",
		"smtps://SMTP.Example.COM:2465/":            "tcp smtp.example.com:2465",
		"lmtp://localhost":                          "tcp localhost:24",
		"lmtp:///run/dovecot/lmtp":                  "unix /run/dovecot/lmtp",
		"smtp://[::1]:2525":                         "tcp [::1]:2525",
		"smtp://correo.españa.example?tls=required": "tcp correo.xn--espaa-rta.example:587",
	} {
		var dialed string
		relay, err := smtp.NewRelay(raw, &smtp.RelayOptions{Dialer: dialerFunc(func(_ context.Context, network, addr string) (net.Conn, error) {
			dialed = network + " " + addr
			return nil, io.ErrClosedPipe
		})})
		require.NoError(t, err, raw)
		_, err = relay.Check(t.Context())
		require.ErrorIs(t, err, io.ErrClosedPipe)
		require.Equal(t, want, dialed, raw)
	}
}

func TestNewRelayRefuses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                   `URL scheme ""`,
		"smtp.example.com:25":                "URL",
		"http://smtp.example.com":            `URL scheme "http"`,
		"smtp://":                            "URL host",
		"smtp://a..b":                        `"a..b"`,
		"smtp://host_name:x":                 "URL cannot be parsed",
		"smtp://h:99999":                     "99999",
		"smtp://h/path":                      `"/path"`,
		"smtp://h?tls=maybe":                 `tls="maybe"`,
		"smtp://h?tls=none&tls=required":     "more than once",
		"smtp://h?retry=3":                   `"retry"`,
		"smtp://h#fragment":                  "fragment",
		"smtps://h?tls=none":                 "smtps always uses TLS",
		"smtp://ana@h":                       "user without password",
		"smtp://:secreto@h":                  "password without user",
		"smtp://ana:secreto%zz@h":            "percent-encode",
		"smtp://ana:secreto@h:x":             "invalid host, port or user",
		"smtp://ana:sec reto@h":              "invalid host, port or user",
		"smtp://ana:secreto@h\n":             "invalid host, port or user",
		"ana:secreto@smtp.example.com":       "URL",
		"lmtp://":                            "URL host",
		"lmtp://ana:secreto@h/run/dovecot/l": "URL path",
	} {
		_, err := smtp.NewRelay(raw, nil)
		require.ErrorContains(t, err, want, raw)
		require.NotContains(t, err.Error(), "secreto", raw)
		require.True(t, strings.HasPrefix(err.Error(), "smtp: relay: "), err)
	}
	_, err := smtp.NewRelay("http://h", &smtp.RelayOptions{
		LocalName: "a b", Pool: smtp.PoolOptions{MaxConns: -1}, Timeouts: smtp.Timeouts{Data: -1},
	})
	for _, fault := range []string{"http", "LocalName", "Pool.MaxConns -1", "Timeouts.Data"} {
		require.ErrorContains(t, err, fault, "all faults at once")
	}
}

// TestLoopbackNeedsNoCeremony: a development server on this machine works as it
// is, and one elsewhere, or with credentials, must have TLS.
func TestLoopbackNeedsNoCeremony(t *testing.T) {
	t.Parallel()
	for raw, clear := range map[string]bool{
		"smtp://localhost:2525": true, "smtp://127.0.0.1:2525": true, "smtp://[::1]:2525": true, "lmtp://localhost": true,
		"lmtp:///run/lmtp": true, "smtp://smtp.example.com": false, "smtp://10.0.0.1": false, "lmtp://smtp.example.com": false,
		"smtp://ana:secreto@localhost": false, "smtp://localhost.example.com": false, "smtp://smtp.example.com?tls=none": true,
	} {
		server := newWireServer(t, func(p *wire) { p.greet(); p.serve(accept) })
		relay, err := smtp.NewRelay(raw, &smtp.RelayOptions{Dialer: server})
		require.NoError(t, err)
		_, err = relay.Send(t.Context(), letter(hello))
		if clear {
			require.NoError(t, err, raw)
		} else {
			require.ErrorIs(t, err, smtp.ErrTLSRequired, raw)
		}
		require.NoError(t, relay.Close())
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet("SIZE 1000", "AUTH PLAIN LOGIN", "AUTH=LOGIN CRAM-MD5", "PIPELINING")
		p.serve(accept)
	})
	info, err := newRelay(t, server, smtp.RelayOptions{}).Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, "localhost", info.Host)
	require.Equal(t, "mx.example.com", info.Name)
	require.Equal(t, map[string]string{"SIZE": "1000", "AUTH": "PLAIN LOGIN CRAM-MD5", "PIPELINING": ""}, info.Extensions)
	require.True(t, info.Offers("CRAM-MD5"))
	server.wg.Wait()
	require.Regexp(t, `^EHLO \S+\r\nQUIT\r\n$`, server.received(0))
}

// TestTrace: hooks see all that was said, except credentials and the message.
func TestTrace(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet("AUTH LOGIN", "PIPELINING", "CHUNKING")
		p.hear("AUTH")
		p.say("334 VXNlcm5hbWU6")
		p.line()
		p.say("334 UGFzc3dvcmQ6")
		p.line()
		p.say("235 2.7.0 ok")
		p.serve(func(command, _ string) string {
			if strings.HasPrefix(command, "RCPT TO:<nadie") {
				return "550 5.1.1 No such user"
			}
			return ""
		})
	})
	var log []string
	add := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	ctx := smtp.WithTrace(t.Context(), &smtp.Trace{
		Connected: func(s smtp.Session, took time.Duration, err error) { add("connected %s %t %v", s.Host, took > 0, err) },
		Command:   func(line string) { add("C: %s", line) },
		Reply:     func(phase smtp.Phase, r smtp.Reply, took time.Duration) { add("S: %s: %s", phase, r) },
		Done:      func(r *smtp.Result, err error) { add("done %s", statuses(r)) },
	})
	relay := newRelay(t, server, smtp.RelayOptions{
		LocalName: "mta.example.com", Auth: smtp.Password("ana", "secreto"), DangerouslyAllowPlaintextAuth: true,
	})
	_, err := relay.Send(ctx, letter(hello, "luis@example.com", "nadie@example.com"))
	require.Error(t, err)
	require.Equal(t, []string{
		"S: greeting: 220 mx.example.com ESMTP",
		"C: EHLO mta.example.com",
		"S: hello: 250 mx.example.com AUTH LOGIN PIPELINING CHUNKING",
		"C: AUTH LOGIN",
		"S: auth: 334 VXNlcm5hbWU6",
		"C: ***",
		"S: auth: 334 UGFzc3dvcmQ6",
		"C: ***",
		"S: auth: 235 2.7.0 ok",
		"connected localhost true <nil>",
		"C: MAIL FROM:<ana@example.com>",
		"C: RCPT TO:<luis@example.com>",
		"C: RCPT TO:<nadie@example.com>",
		"S: mail: 250 2.0.0 OK",
		"S: rcpt: 250 2.0.0 OK",
		"S: rcpt: 550 5.1.1 No such user",
		fmt.Sprintf("C: BDAT %d LAST", len(hello)),
		"S: end of data: 250 2.0.0 Ok: queued as 4XyZ",
		"done accepted, rejected",
	}, log)
}

func TestLog(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet()
		p.serve(func(command, _ string) string {
			if strings.HasPrefix(command, "RCPT TO:<nadie") {
				return "550 5.1.1 No such user"
			}
			return ""
		})
	})
	var out bytes.Buffer
	relay := newRelay(t, server, smtp.RelayOptions{Log: slog.New(slog.NewTextHandler(&out, nil))})
	m := letter(hello, "luis@example.com")
	_, err := relay.Send(t.Context(), m)
	require.NoError(t, err)
	require.Empty(t, out.String())
	m = letter(hello, "luis@example.com", "nadie@example.com")
	m.ID = "pedido-17"
	_, err = relay.Send(t.Context(), m)
	require.Error(t, err)
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "id=pedido-17 host=localhost recipients=2")
	require.Contains(t, out.String(), "550 5.1.1 No such user")
	require.NotContains(t, out.String(), "Hola")
}
