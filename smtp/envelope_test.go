package smtp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// TestParameters: MAIL and RCPT carry what the message needs and the server knows.
func TestParameters(t *testing.T) {
	t.Parallel()
	all := []string{"8BITMIME", "SMTPUTF8", "DSN", "SIZE 100000"}
	reported := letter(hello)
	reported.EnvelopeID, reported.Return = "lote 7=1+2", smtp.ReturnHeaders
	reported.To = []smtp.Recipient{
		{Addr: "luis@example.com", Notify: smtp.NotifySuccess | smtp.NotifyFailure | smtp.NotifyDelay, ORCPT: "l+u=is@example.com"},
		{Addr: "eva@example.com", Notify: smtp.NotifyNever, ORCPT: "eva@correo.españa.example"},
	}
	anonymous := letter(hello)
	anonymous.From = ""
	size := fmt.Sprint(" SIZE=", len(hello))
	for name, c := range map[string]struct {
		message    *smtp.Message
		extensions []string
		want       string
	}{
		"plain": {letter(hello), nil, "MAIL FROM:<ana@example.com>\r\nRCPT TO:<luis@example.com>\r\n"},
		"plain to a server that knows everything": {letter(hello), all,
			"MAIL FROM:<ana@example.com>" + size + "\r\nRCPT TO:<luis@example.com>\r\n"},
		"null reverse-path": {anonymous, nil, "MAIL FROM:<>\r\n"},
		"eight bit body": {letter(hello + "ñ\r\n"), all[:1],
			"MAIL FROM:<ana@example.com> BODY=8BITMIME\r\n"},
		"header in UTF-8": {letter("Subject: Año\r\n\r\n"), all[:2],
			"MAIL FROM:<ana@example.com> BODY=8BITMIME SMTPUTF8\r\n"},
		"local part in UTF-8": {letter(hello, "josé@example.com"), all[:2],
			"MAIL FROM:<ana@example.com> SMTPUTF8\r\nRCPT TO:<josé@example.com>\r\n"},
		"domain in UTF-8 needs nothing": {letter(hello, "jose@españa.example"), nil,
			"MAIL FROM:<ana@example.com>\r\nRCPT TO:<jose@xn--espaa-rta.example>\r\n"},
		"quoted local part":           {letter(hello, `"a b"@example.com`), nil, `RCPT TO:<"a b"@example.com>` + "\r\n"},
		"quotes that were not needed": {letter(hello, `"luis"@example.com`), nil, "RCPT TO:<luis@example.com>\r\n"},
		"address literal":             {letter(hello, "luis@[192.0.2.1]"), nil, "RCPT TO:<luis@[192.0.2.1]>\r\n"},
		"delivery reports": {reported, all, "MAIL FROM:<ana@example.com>" + size + " RET=HDRS ENVID=lote+207+3D1+2B2\r\n" +
			"RCPT TO:<luis@example.com> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;l+2Bu+3Dis@example.com\r\n" +
			`RCPT TO:<eva@example.com> NOTIFY=NEVER ORCPT=utf-8;eva@correo.espa\x{F1}a.example` + "\r\n"},
		"delivery reports that the server does not know": {reported, nil,
			"MAIL FROM:<ana@example.com>\r\nRCPT TO:<luis@example.com>\r\nRCPT TO:<eva@example.com>\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) { p.greet(c.extensions...); p.serve(accept) })
			_, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(), c.message)
			require.NoError(t, err)
			require.Contains(t, server.received(0), c.want)
		})
	}
}

// TestServerLacks: what the server cannot take is refused before MAIL.
func TestServerLacks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message    *smtp.Message
		extensions []string
		want       error
	}{
		"SIZE":                   {letter(long(2000)), []string{"SIZE 1000"}, smtp.ErrTooLarge},
		"8BITMIME":               {letter(hello + "ñ\r\n"), nil, smtp.ErrNeed8Bit},
		"SMTPUTF8 for header":    {letter("Subject: Año\r\n\r\n"), []string{"8BITMIME"}, smtp.ErrNeedUTF8},
		"SMTPUTF8 for recipient": {letter(hello, "josé@example.com"), []string{"8BITMIME"}, smtp.ErrNeedUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) { p.greet(c.extensions...); p.serve(accept) })
			relay := newRelay(t, server, smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), c.message)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, "rejected", statuses(result))
			_, err = relay.Send(t.Context(), letter(hello))
			require.NoError(t, err, "the connection is as good as before")
			require.Equal(t, 1, server.dialed())
			require.Equal(t, 1, strings.Count(server.received(0), "MAIL"))
		})
	}
}

func TestEHLOName(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) { p.greet(); p.serve(accept) })
	_, err := newRelay(t, server, smtp.RelayOptions{LocalName: "mta.example.com"}).Check(t.Context())
	require.NoError(t, err)
	_, err = newRelay(t, server, smtp.RelayOptions{}).Check(t.Context())
	require.NoError(t, err)
	server.wg.Wait()
	require.Equal(t, "EHLO mta.example.com\r\nQUIT\r\n", server.received(0))
	require.NotContains(t, server.received(1), "localhost")
	for _, bad := range []string{"a b", "a\r\nMAIL", "a..b", "-a", "[1.2.3]", strings.Repeat("a", 64) + ".example"} {
		_, err := smtp.NewRelay("smtp://localhost", &smtp.RelayOptions{LocalName: bad})
		require.ErrorContains(t, err, "LocalName")
	}
}

func TestHELO(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.say("220 old.example.com")
		p.hear("EHLO")
		p.say("502 what?")
		p.hear("HELO")
		p.say("250-old.example.com", "250 PIPELINING")
		p.serve(accept)
	})
	_, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(), letter(hello))
	require.NoError(t, err)
}

// TestRecipients: each recipient has an outcome of its own.
func TestRecipients(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"RCPT TO:<luis@example.com>":   "",
		"RCPT TO:<nadie@example.com>":  "550 5.1.1 No such user",
		"RCPT TO:<llena@example.com>":  "452 4.2.2 Mailbox full",
		"RCPT TO:<otro@example.com>":   "251 2.1.5 User not local; will forward",
		"RCPT TO:<quizas@example.com>": "252 2.5.2 Cannot verify",
		"RCPT TO:<cuota@example.com>":  "552 5.2.2 Over quota",
	}
	for name, extensions := range extensionSets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) {
				p.greet(extensions...)
				p.serve(func(command, _ string) string { return answers[command] })
			})
			relay := newRelay(t, server, smtp.RelayOptions{})
			for range 2 { // the second time in one flight
				result, err := relay.Send(t.Context(), letter(hello, "luis@example.com", "nadie@example.com",
					"llena@example.com", "otro@example.com", "quizas@example.com", "cuota@example.com"))
				require.ErrorContains(t, err, "550 5.1.1 No such user")
				require.Equal(t, "accepted, rejected, deferred, accepted, accepted, rejected", statuses(result))
				refused := result.Recipients[1]
				require.Equal(t, smtp.EnhancedCode{5, 1, 1}, refused.Reply.Enhanced)
				require.Equal(t, "No such user", refused.Reply.Text())
				var failure *smtp.Error
				require.ErrorAs(t, refused.Err, &failure)
				require.Equal(t, smtp.PhaseRcpt, failure.Phase)
				require.Equal(t, "localhost", failure.Host)
				require.ErrorIs(t, refused.Err, smtp.ErrPermanent)
				require.ErrorIs(t, result.Recipients[2].Err, smtp.ErrTemporary)
				require.Equal(t, "4XyZ", result.Recipients[3].QueueID)
			}
			require.Equal(t, 1, server.dialed())
		})
	}
}

// TestRefusals: a refusal at any step is the outcome of all, and the connection
// goes on as if nothing had been.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, extensions := range extensionSets {
		for step, phase := range map[string]smtp.Phase{
			"MAIL": smtp.PhaseMail, "RCPT": smtp.PhaseRcpt, "DATA": smtp.PhaseData, ".": smtp.PhaseEndOfData,
		} {
			if step == "DATA" && strings.Contains(name, "BDAT") {
				continue
			}
			for _, text := range []string{hello, long(280 << 10)} {
				t.Run(fmt.Sprint(step, " in ", name, " of ", len(text)), func(t *testing.T) {
					t.Parallel()
					n := 0
					server := newWireServer(t, func(p *wire) {
						p.greet(extensions...)
						p.serve(strictly(func(command, _ string) string {
							if strings.HasPrefix(command, step) && n == 1 {
								return "451 4.3.0 Not now"
							}
							if command == "." {
								n++
							}
							return ""
						}))
					})
					relay := newRelay(t, server, smtp.RelayOptions{})
					_, err := relay.Send(t.Context(), letter(hello))
					require.NoError(t, err)
					result, err := relay.Send(t.Context(), letter(text))
					require.ErrorContains(t, err, "451 4.3.0 Not now")
					require.Equal(t, "deferred", statuses(result))
					var failure *smtp.Error
					require.ErrorAs(t, err, &failure)
					require.Equal(t, phase, failure.Phase)
					n = 2
					_, err = relay.Send(t.Context(), letter(hello))
					require.NoError(t, err)
					require.Equal(t, 1, server.dialed())
				})
			}
		}
	}
}

// strictly is a server that keeps a transaction open until its message has been
// sent, by BDAT until it was accepted, or until RSET. MAIL inside of one, and
// messages for nobody, are refused.
func strictly(answer func(command, body string) string) func(command, body string) string {
	open, recipients, chunked := false, 0, false
	return func(command, body string) string {
		verb, _, _ := strings.Cut(command, " ")
		said := answer(command, body)
		good := said == "" || said[0] == '2'
		switch {
		case verb == "MAIL" && open:
			return "503 5.5.1 Nested MAIL"
		case verb == "MAIL" && good:
			open, recipients = true, 0
		case verb == "RCPT" && !open:
			return "503 5.5.1 MAIL first"
		case verb == "RCPT" && good:
			recipients++
		case (verb == "DATA" || verb == "BDAT") && recipients == 0:
			return "503 5.5.1 RCPT first"
		case verb == "DATA", verb == "BDAT":
			chunked = verb == "BDAT"
		case verb == "RSET", verb == "." && (good || !chunked):
			open, recipients = false, 0
		}
		return said
	}
}

// TestNoRecipientAccepted: the server answers DATA with 354 all the same; it gets
// nothing but the dot (RFC 2920, section 3.1).
func TestNoRecipientAccepted(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.greet("PIPELINING")
		p.serve(func(command, body string) string {
			switch {
			case strings.HasPrefix(command, "RCPT TO:<nadie"):
				return "550 5.1.1 No such user"
			case command == "." && body == "":
				return "554 5.5.1 No valid recipients"
			}
			return ""
		})
	})
	relay := newRelay(t, server, smtp.RelayOptions{})
	result, err := relay.Send(t.Context(), letter(hello, "nadie@example.com"))
	require.ErrorContains(t, err, "550 5.1.1")
	require.Equal(t, "rejected", statuses(result))
	_, err = relay.Send(t.Context(), letter(hello))
	require.NoError(t, err)
	require.Contains(t, server.received(0), "DATA\r\n.\r\n")
}

func TestTooManyRecipients(t *testing.T) {
	t.Parallel()
	for _, refusal := range []string{"452 4.5.3 Too many recipients", "552 5.5.3 Too many recipients", "452 Too many", "552 Too many"} {
		for name, extensions := range extensionSets {
			t.Run(refusal+" in "+name, func(t *testing.T) {
				t.Parallel()
				n := 0
				server := newWireServer(t, func(p *wire) {
					p.greet(extensions...)
					p.serve(func(command, _ string) string {
						switch {
						case strings.HasPrefix(command, "MAIL"), command == "RSET":
							n = 0
						case strings.HasPrefix(command, "RCPT TO:<nadie"):
							return "550 5.1.1 No such user"
						case strings.HasPrefix(command, "RCPT"):
							if n++; n > 2 {
								return refusal
							}
						}
						return ""
					})
				})
				relay := newRelay(t, server, smtp.RelayOptions{})
				result, err := relay.Send(t.Context(), letter(hello, "a@example.com", "nadie@example.com", "b@example.com",
					"c@example.com", "d@example.com", "e@example.com"))
				require.ErrorContains(t, err, "No such user")
				require.Equal(t, "accepted, rejected, accepted, accepted, accepted, accepted", statuses(result))
				require.Equal(t, 3, strings.Count(server.received(0), "MAIL FROM"))
			})
		}
	}
	t.Run("none at all", func(t *testing.T) {
		t.Parallel()
		server := newWireServer(t, func(p *wire) {
			p.greet()
			p.serve(func(command, _ string) string {
				if strings.HasPrefix(command, "RCPT") {
					return "552 Too many recipients"
				}
				return ""
			})
		})
		result, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(), letter(hello))
		require.ErrorIs(t, err, smtp.ErrTemporary)
		require.Equal(t, "deferred", statuses(result))
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	many := func() (to []string) {
		for i := range 10 {
			to = append(to, fmt.Sprintf("u%d@d%d.example", i, i%3))
		}
		return to
	}()
	for limits, want := range map[string]struct{ transactions, connections int }{
		"RCPTMAX=4":                {3, 1},
		"MAILMAX=2 RCPTMAX=4":      {3, 2},
		"RCPTDOMAINMAX=1":          {3, 1},
		"rcptmax=x FUTURE RCPTMAX": {1, 1},
	} {
		t.Run(limits, func(t *testing.T) {
			t.Parallel()
			server := newWireServer(t, func(p *wire) { p.greet("LIMITS " + limits); p.serve(accept) })
			relay := newRelay(t, server, smtp.RelayOptions{})
			result, err := relay.Send(t.Context(), letter(hello, many...))
			require.NoError(t, err)
			require.Equal(t, strings.TrimSuffix(strings.Repeat("accepted, ", 10), ", "), statuses(result))
			require.NoError(t, relay.Shutdown(t.Context()))
			server.wg.Wait()
			require.Equal(t, want.connections, server.dialed())
			transactions := 0
			for i := range server.dialed() {
				transactions += strings.Count(server.received(i), "MAIL FROM")
			}
			require.Equal(t, want.transactions, transactions)
		})
	}
}

// TestThousandRecipients: more commands than any buffer holds, to a server that
// answers each before it reads the next.
func TestThousandRecipients(t *testing.T) {
	t.Parallel()
	var to []string
	for i := range 2500 {
		to = append(to, fmt.Sprintf("u%d@example.com", i))
	}
	server := newWireServer(t, func(p *wire) { p.greet("PIPELINING", "CHUNKING"); p.serve(accept) })
	result, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(), letter(hello, to...))
	require.NoError(t, err)
	require.Len(t, result.Recipients, len(to))
	require.Equal(t, 3, strings.Count(server.received(0), "MAIL FROM"))
}

func TestLMTP(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			server := smtptest.NewServer(&smtptest.Options{
				Network: network, LMTP: true, TLS: smtptest.NoTLS,
				Rules: []smtptest.Rule{
					{On: smtptest.Rcpt, To: "nadie@*", Reply: "550 5.1.1 No such user"},
					{On: smtptest.End, To: "llena@*", Reply: "452 4.2.2 Mailbox full"},
				},
			})
			defer server.Close()
			relay, err := smtp.NewRelay(server.URL(), nil)
			require.NoError(t, err)
			defer relay.Close()
			for range 3 {
				result, err := relay.Send(t.Context(), letter(hello, "luis@example.com", "nadie@example.com", "llena@example.com",
					"luis@example.com", "eva@example.com"))
				require.Error(t, err)
				require.Equal(t, "accepted, rejected, deferred, accepted, accepted", statuses(result))
			}
			require.Equal(t, 1, server.Connections())
		})
	}
}

// TestLMTPConnectionLost: the recipients that were answered have their outcome.
func TestLMTPConnectionLost(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) {
		p.say("220 lmtp")
		p.hear("LHLO")
		p.say("250-lmtp", "250 PIPELINING")
		p.hear("DATA")
		p.say("250 ok", "250 ok", "550 5.1.1 no", "250 ok", "354 go")
		p.body()
		p.say("250 2.0.0 <luis@example.com> 4XyZ Saved", "451 4.3.0 later")
	})
	relay, err := smtp.NewRelay("lmtp://localhost:24?tls=none", &smtp.RelayOptions{Dialer: server})
	require.NoError(t, err)
	defer relay.Close()
	result, err := relay.Send(t.Context(), letter(hello, "luis@example.com", "eva@example.com", "no@example.com"))
	require.Error(t, err)
	require.Equal(t, "accepted, rejected, deferred", statuses(result))

	server.script = func(p *wire) {
		p.say("220 lmtp")
		p.hear("LHLO")
		p.say("250-lmtp", "250 PIPELINING")
		p.hear("DATA")
		p.say("250 ok", "250 ok", "250 ok", "550 5.1.1 no", "354 go")
		p.body()
		p.say("250 2.0.0 Saved")
	}
	result, err = relay.Send(t.Context(), letter(hello, "luis@example.com", "eva@example.com", "no@example.com"))
	require.Error(t, err)
	require.Equal(t, "accepted, indeterminate, rejected", statuses(result))
}

// TestOneRecipientNeedsUTF8: who does not need it gets the message all the same.
func TestOneRecipientNeedsUTF8(t *testing.T) {
	t.Parallel()
	server := newWireServer(t, func(p *wire) { p.greet(); p.serve(accept) })
	result, err := newRelay(t, server, smtp.RelayOptions{}).Send(t.Context(),
		letter(hello, "luis@example.com", "josé@example.com", "eva@example.com"))
	require.ErrorIs(t, err, smtp.ErrNeedUTF8)
	require.Equal(t, "accepted, rejected, accepted", statuses(result))
}
