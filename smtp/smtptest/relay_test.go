package smtptest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xdg-go/scram"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

func newRelay(t testing.TB, server *smtptest.Server, opts *smtp.RelayOptions) *smtp.Relay {
	t.Helper()
	relay, err := smtp.NewRelay(server.URL(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = relay.Close() })
	return relay
}

// TestURLIsForRelay sends through a Relay that knows the URL and the authority.
func TestURLIsForRelay(t *testing.T) {
	t.Parallel()
	users := map[string]string{"ana": "s:e/c@r%e#to", "zoe": "otra"}
	tests := []struct {
		name   string
		opts   smtptest.Options
		secure bool
	}{
		{"default", smtptest.Options{}, true},
		{"implicit TLS", smtptest.Options{TLS: smtptest.ImplicitTLS}, true},
		{"in clear", smtptest.Options{TLS: smtptest.NoTLS}, false},
		{"users", smtptest.Options{Users: users}, true},
		{"users and implicit TLS", smtptest.Options{Users: users, TLS: smtptest.ImplicitTLS}, true},
		{"users in clear", smtptest.Options{Users: users, TLS: smtptest.NoTLS, PlaintextAuth: true}, false},
		{"LMTP", smtptest.Options{LMTP: true}, true},
		{"Unix socket", smtptest.Options{LMTP: true, Network: "unix", TLS: smtptest.NoTLS}, false},
		{"no extensions", smtptest.Options{Without: []string{"PIPELINING", "CHUNKING", "8BITMIME", "SIZE", "ENHANCEDSTATUSCODES"}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t, &test.opts)
			relay := newRelay(t, server, &smtp.RelayOptions{
				TLSConfig:                     server.ClientTLS(),
				DangerouslyAllowPlaintextAuth: !test.secure,
			})
			for range 3 {
				_, err := relay.Send(t.Context(), to("maria@example.net"))
				require.NoError(t, err)
			}
			require.Equal(t, 3, server.Len())
			m := server.Messages()[2]
			require.Equal(t, letter, string(m.Data))
			require.Equal(t, test.secure, m.TLS != nil)
			if test.opts.Users != nil {
				require.Equal(t, "ana", m.User)
				require.NotContains(t, server.Transcript(), "c@r")
			}
		})
	}
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	all := []string{
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1",
		"CRAM-MD5", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2",
	}
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, password := range []string{"secreto", "otra"} {
				server := newServer(t, &smtptest.Options{
					Users:      map[string]string{"ana": "secreto"},
					Mechanisms: []string{name},
				})
				relay := newRelay(t, server, &smtp.RelayOptions{TLSConfig: server.ClientTLS(), Auth: auth(name, password)})
				_, err := relay.Send(t.Context(), to("maria@example.net"))
				if password == "secreto" {
					require.NoError(t, err)
					require.Equal(t, "ana", server.One(t).User)
				} else {
					require.ErrorIs(t, err, smtp.ErrAuth)
					require.ErrorContains(t, err, "535 5.7.8")
					server.None(t)
				}
				require.Contains(t, server.Transcript(), "C: AUTH "+name+"\n")
			}
		})
	}
}

func TestChannelBindingOfTLS12(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{
		Users:      map[string]string{"ana": "secreto"},
		Mechanisms: []string{"SCRAM-SHA-256-PLUS"},
	})
	config := server.ClientTLS()
	config.MaxVersion = tls.VersionTLS12
	_, err := newRelay(t, server, &smtp.RelayOptions{TLSConfig: config}).Send(t.Context(), to("maria@example.net"))
	require.NoError(t, err)
}

// bound is SCRAM with tls-server-end-point.
type bound struct{ *scram.ClientConversation }

func (b bound) Start() (string, []byte, error) {
	first, err := b.Step("")
	return "SCRAM-SHA-256-PLUS", []byte(first), err
}

func (b bound) Next(challenge []byte) ([]byte, error) {
	response, err := b.Step(string(challenge))
	return []byte(response), err
}

func TestChannelBindingOfTheCertificate(t *testing.T) {
	t.Parallel()
	server := newServer(t, &smtptest.Options{Users: map[string]string{"ana": "secreto"}})
	for _, tampered := range []bool{false, true} {
		mechanism := smtp.Mechanism("SCRAM-SHA-256-PLUS", func(info *smtp.ServerInfo) (smtp.Exchange, error) {
			binding, err := scram.NewTLSServerEndpointBinding(info.TLS)
			if tampered {
				binding.Data[0] ^= 1
			}
			client, _ := scram.SHA256.NewClient("ana", "secreto", "")
			return bound{client.NewConversationWithChannelBinding(binding)}, err
		})
		relay := newRelay(t, server, &smtp.RelayOptions{TLSConfig: server.ClientTLS(), Auth: mechanism})
		_, err := relay.Send(t.Context(), to("maria@example.net"))
		require.Equal(t, tampered, errors.Is(err, smtp.ErrAuth), err)
	}
	require.Equal(t, 1, server.Len())
}

func auth(mechanism, password string) smtp.Auth {
	if mechanism == "OAUTHBEARER" || mechanism == "XOAUTH2" {
		return smtp.Token("ana", func(context.Context) (string, error) { return password, nil })
	}
	return smtp.Password("ana", password, mechanism)
}

// TestRelayInABubble sends under testing/synctest, where a day of greylisting
// takes no time.
func TestRelayInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.NewServer(&smtptest.Options{Network: "pipe", Rules: []smtptest.Rule{
			{Times: 1, Reply: "451 4.7.1 Mañana", Delay: time.Minute},
		}})
		defer server.Close()
		relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{Dialer: server, TLSConfig: server.ClientTLS()})
		require.NoError(t, err)
		defer func() { _ = relay.Close() }()
		_, err = relay.Send(t.Context(), to("maria@example.net"))
		require.ErrorContains(t, err, "451 4.7.1 Mañana")
		time.Sleep(24 * time.Hour)
		_, err = relay.Send(t.Context(), to("maria@example.net"))
		require.NoError(t, err)
		m := server.One(t)
		require.Equal(t, letter, string(m.Data))
		require.Equal(t, time.Now(), m.Time)
	})
}

// TestManyMessages holds that a load test does not fill the memory.
func TestManyMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("sends 20,000 messages")
	}
	t.Parallel()
	var received atomic.Int64
	for name, opts := range map[string]smtptest.Options{
		"envelopes": {EnvelopeOnly: true},
		"function":  {Receive: func(m *smtptest.Message) { received.Add(m.Size) }},
	} {
		opts.TLS = smtptest.NoTLS
		server := newServer(t, &opts)
		const n = 10_000
		pour(t, server, n)
		require.Equal(t, n, server.Len(), name)
	}
	require.EqualValues(t, 10_000*len(letter), received.Load())
}

// BenchmarkServer shows what the server takes; its clients should be the limit.
func BenchmarkServer(b *testing.B) {
	server := smtptest.NewServer(&smtptest.Options{TLS: smtptest.NoTLS, EnvelopeOnly: true})
	defer server.Close()
	b.ReportAllocs()
	for b.Loop() {
		pour(b, server, 1000)
	}
	b.ReportMetric(float64(server.Len())/b.Elapsed().Seconds(), "messages/s")
}

// pour sends n messages over one connection, as fast as it takes them.
func pour(t testing.TB, server *smtptest.Server, n int) {
	t.Helper()
	conn, err := server.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	one := fmt.Sprintf("MAIL FROM:<a@x.es>\r\nRCPT TO:<b@x.es>\r\nBDAT %d LAST\r\n%s", len(letter), letter)
	go func() {
		_, _ = io.WriteString(conn, "EHLO x\r\n"+strings.Repeat(one, n)+"QUIT\r\n")
	}()
	_, err = io.Copy(io.Discard, conn)
	require.NoError(t, err)
}
