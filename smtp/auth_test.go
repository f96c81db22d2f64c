package smtp_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xdg-go/scram"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

func TestAuthMechanisms(t *testing.T) {
	t.Parallel()
	password := smtp.Password("ana", "secreto=,ñ")
	token := smtp.Token("ana", func(context.Context) (string, error) { return "secreto=,ñ", nil })
	for _, c := range []struct {
		mechanism string
		auth      smtp.Auth
	}{
		{"SCRAM-SHA-256-PLUS", password}, {"SCRAM-SHA-256", password}, {"SCRAM-SHA-1-PLUS", password},
		{"SCRAM-SHA-1", password}, {"PLAIN", password}, {"LOGIN", password}, {"CRAM-MD5", password},
		{"OAUTHBEARER", token}, {"XOAUTH2", token},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(c.mechanism+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				server := smtptest.NewServer(&smtptest.Options{
					TLS:        smtptest.StartTLSOffered,
					Users:      map[string]string{"ana": "secreto=,ñ"},
					Mechanisms: []string{c.mechanism},
				})
				defer server.Close()
				config := server.ClientTLS()
				config.MaxVersion = version
				relay, err := smtp.NewRelay("smtp://"+server.Addr()+"?tls=required",
					&smtp.RelayOptions{Auth: c.auth, TLSConfig: config})
				require.NoError(t, err)
				defer relay.Close()
				var commands []string
				ctx := smtp.WithTrace(t.Context(), &smtp.Trace{Command: func(line string) { commands = append(commands, line) }})
				_, err = relay.Send(ctx, letter(hello))
				require.NoError(t, err)
				all := strings.Join(commands, "\n")
				require.Contains(t, all, "AUTH "+c.mechanism)
				require.NotContains(t, all, base64.StdEncoding.EncodeToString([]byte("ana"))[:4])
				require.NotContains(t, all, "secreto")
			})
		}
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "OAUTHBEARER", "XOAUTH2"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			server := smtptest.NewServer(&smtptest.Options{
				TLS: smtptest.StartTLSOffered, Users: map[string]string{"ana": "otro"}, Mechanisms: []string{mechanism},
			})
			defer server.Close()
			auth := smtp.Password("ana", "secreto")
			if strings.Contains(mechanism, "OAUTH") {
				auth = smtp.Token("ana", func(context.Context) (string, error) { return "caducado", nil })
			}
			relay, err := smtp.NewRelay("smtp://"+server.Addr()+"?tls=required",
				&smtp.RelayOptions{Auth: auth, TLSConfig: server.ClientTLS()})
			require.NoError(t, err)
			defer relay.Close()
			result, err := relay.Send(t.Context(), letter(hello))
			require.ErrorIs(t, err, smtp.ErrAuth)
			var failure *smtp.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, smtp.PhaseAuth, failure.Phase)
			require.Equal(t, 535, failure.Reply.Code, "the server's own words are kept")
			require.Equal(t, "deferred", statuses(result), "it is not the recipient's fault")
			_, err = relay.Check(t.Context())
			require.ErrorIs(t, err, smtp.ErrAuth)
			require.NotContains(t, err.Error(), "secreto")
		})
	}
}

// TestAuthInClear: no credential leaves without TLS, whatever the mechanism, unless
// the option says so.
func TestAuthInClear(t *testing.T) {
	t.Parallel()
	token := func(context.Context) (string, error) { return "secreto", nil }
	for name, auth := range map[string]smtp.Auth{
		"password": smtp.Password("ana", "secreto"),
		"CRAM-MD5": smtp.Password("ana", "secreto", "CRAM-MD5"),
		"token":    smtp.Token("ana", token),
		"external": smtp.External("ana"),
	} {
		for _, query := range []string{"none", "opportunistic"} {
			t.Run(name+" "+query, func(t *testing.T) {
				t.Parallel()
				server := newWireServer(t, func(p *wire) {
					p.greet("AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2 EXTERNAL")
					p.wait()
				})
				server.ca = smtptest.NewCA()
				relay := tlsRelay(t, server, query, smtp.RelayOptions{Auth: auth})
				_, err := relay.Send(t.Context(), letter(hello))
				require.ErrorIs(t, err, smtp.ErrInsecureAuth)
				server.wg.Wait()
				require.NotContains(t, server.received(0), "AUTH")
			})
		}
	}
	t.Run("allowed", func(t *testing.T) {
		t.Parallel()
		server := newWireServer(t, func(p *wire) {
			p.greet("AUTH PLAIN LOGIN")
			p.hear("AUTH PLAIN AGFuYQBzZWNyZXRv")
			p.say("235 ok")
			p.serve(accept)
		})
		relay := newRelay(t, server, smtp.RelayOptions{
			Auth: smtp.Password("ana", "secreto"), DangerouslyAllowPlaintextAuth: true,
		})
		_, err := relay.Send(t.Context(), letter(hello))
		require.NoError(t, err)
	})
}

// scramServer answers a SCRAM exchange; forge changes its messages: the first, and
// the final one, which an empty string leaves out.
func scramServer(p *wire, forge func(turn int, message string) string) {
	client, err := scram.SHA256.NewClient("ana", "secreto", "")
	require.NoError(p.t, err)
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "sal de mesa", Iters: 4096})
	require.NoError(p.t, err)
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	require.NoError(p.t, err)
	conversation := server.NewConversation()
	line, ok := p.hear("AUTH SCRAM-SHA-256 ")
	response := strings.TrimPrefix(line, "AUTH SCRAM-SHA-256 ")
	for turn := 1; ok && turn <= 2; turn++ {
		decoded, err := base64.StdEncoding.DecodeString(response)
		require.NoError(p.t, err)
		message, err := conversation.Step(string(decoded))
		require.NoError(p.t, err)
		if message = forge(turn, message); message == "" {
			break
		}
		p.say("334 " + base64.StdEncoding.EncodeToString([]byte(message)))
		if response, ok = p.line(); response == "*" {
			p.say("501 cancelled")
			return
		}
	}
	p.say("235 ok")
	p.serve(accept)
}

func TestScramServerMustProveItself(t *testing.T) {
	t.Parallel()
	honest := func(_ int, message string) string { return message }
	replace := func(prefix, value string) func(int, string) string {
		return func(_ int, message string) string {
			fields := strings.Split(message, ",")
			for i := range fields {
				if strings.HasPrefix(fields[i], prefix) {
					fields[i] = value
				}
			}
			return strings.Join(fields, ",")
		}
	}
	for name, c := range map[string]struct {
		forge func(turn int, message string) string
		want  string // of the error; empty is success
	}{
		"honest":            {honest, ""},
		"success at once":   {func(int, string) string { return "" }, "without proof"},
		"success too early": {func(turn int, m string) string { return strings.Repeat(m, 2-turn) }, "without proof"},
		"forged proof":      {replace("v=", "v="+base64.StdEncoding.EncodeToString(make([]byte, 32))), "validation failed"},
		"one iteration":     {replace("i=", "i=1"), "too few iterations"},
		"endless iteration": {replace("i=", "i=2147483648"), "iterations"},
		"short salt":        {replace("s=", "s=YQ=="), "salt"},
		"nonce of its own":  {replace("r=", "r=abcdefghijklmnop"), "nonce"},
		"error of server": {func(turn int, m string) string {
			return strings.Repeat(m, 2-turn) + strings.Repeat("e=other-error", turn-1)
		}, "other-error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				p.greet("AUTH SCRAM-SHA-256 PLAIN")
				scramServer(p, c.forge)
			})
			relay := newRelay(t, server, smtp.RelayOptions{
				Auth: smtp.Password("ana", "secreto"), DangerouslyAllowPlaintextAuth: true,
			})
			_, err := relay.Send(t.Context(), letter(hello))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, smtp.ErrAuth)
			require.ErrorContains(t, err, c.want)
			require.NoError(t, relay.Close())
			server.wg.Wait()
			require.NotContains(t, server.received(0), "MAIL")
		})
	}
}

// TestScramTellsOfHiddenPlus: with TLS and without the offer of PLUS, the client
// says that it could have bound the channel (RFC 5802, section 6).
func TestScramTellsOfHiddenPlus(t *testing.T) {
	t.Parallel()
	ca := smtptest.NewCA()
	for offer, flag := range map[string]string{
		"SCRAM-SHA-256":                    "y,,",
		"SCRAM-SHA-256 SCRAM-SHA-256-PLUS": "p=tls-exporter,,",
	} {
		t.Run(offer, func(t *testing.T) {
			server := newWireServer(t, func(p *wire) {
				if p.offerTLS(ca, "localhost", "AUTH "+offer) {
					p.hear("AUTH")
					p.say("535 no")
				}
			})
			server.ca = ca
			_, err := tlsRelay(t, server, "required", smtp.RelayOptions{Auth: smtp.Password("ana", "secreto")}).Check(t.Context())
			require.ErrorIs(t, err, smtp.ErrAuth)
			_, line, _ := strings.Cut(server.received(0), "AUTH ")
			initial, err := base64.StdEncoding.DecodeString(strings.Fields(line)[1])
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(initial), flag), "%q", initial)
		})
	}
}

func TestAuthThatCannotBegin(t *testing.T) {
	t.Parallel()
	errVault := errors.New("vault is sealed")
	ca := smtptest.NewCA()
	for name, c := range map[string]struct {
		auth smtp.Auth
		want string
	}{
		"nothing offered that is known": {smtp.Password("ana", "secreto", "SCRAM-SHA-512"), `server offers ["PLAIN" "XOAUTH2"]`},
		"token that does not come":      {smtp.Token("ana", func(context.Context) (string, error) { return "", errVault }), "vault is sealed"},
		"NUL in the user":               {smtp.Password("ana\x00", "secreto"), "NUL"},
		"control in the token":          {smtp.Token("ana", func(context.Context) (string, error) { return "a\x01b", nil }), "control"},
		"line break in a mechanism": {smtp.Mechanism("PLAIN", func(*smtp.ServerInfo) (smtp.Exchange, error) {
			return namedExchange("PLAIN\r\nMAIL"), nil
		}), "line break"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				if p.offerTLS(ca, "localhost", "AUTH PLAIN", "AUTH=XOAUTH2") {
					p.wait()
				}
			})
			server.ca = ca
			_, err := tlsRelay(t, server, "required", smtp.RelayOptions{Auth: c.auth}).Send(t.Context(), letter(hello))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secreto")
			server.wg.Wait()
			require.NotContains(t, server.received(0), "AUTH ")
		})
	}
}

type namedExchange string

func (n namedExchange) Start() (string, []byte, error) { return string(n), nil, nil }
func (namedExchange) Next([]byte) ([]byte, error)      { return nil, nil }

func TestExternal(t *testing.T) {
	t.Parallel()
	for identity, want := range map[string]string{"": "=", "ana": "YW5h"} {
		server := newWireServer(t, func(p *wire) {
			p.greet("AUTH EXTERNAL")
			p.hear("AUTH EXTERNAL " + want)
			p.say("235 ok")
			p.serve(accept)
		})
		relay := newRelay(t, server, smtp.RelayOptions{Auth: smtp.External(identity), DangerouslyAllowPlaintextAuth: true})
		info, err := relay.Check(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"EXTERNAL"}, info.Mechanisms())
	}
}

func ExamplePassword() {
	server := smtptest.NewServer(&smtptest.Options{
		TLS:   smtptest.StartTLSOffered,
		Users: map[string]string{"ana": "secreto"},
	})
	defer server.Close()
	relay, err := smtp.NewRelay("smtp://"+server.Addr(), &smtp.RelayOptions{
		Auth:      smtp.Password("ana", "secreto"),
		TLSConfig: server.ClientTLS(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer relay.Close()
	info, err := relay.Check(context.Background())
	fmt.Println(info.Mechanisms()[0], info.TLS != nil, err)
	// Output: SCRAM-SHA-256-PLUS true <nil>
}
