package smtp_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// TestCloseIdle: connections without work end in good order, through whatever is
// around their transport, and those with work go on.
func TestCloseIdle(t *testing.T) {
	t.Parallel()
	for name, around := range map[string]func(smtp.Transport) smtp.Transport{
		"Relay":    func(t smtp.Transport) smtp.Transport { return t },
		"Failover": func(t smtp.Transport) smtp.Transport { return smtp.Failover(t) },
		"Guard": func(next smtp.Transport) smtp.Transport {
			guard, err := smtp.Guard(next, &smtp.GuardOptions{Allow: []string{"*"}})
			require.NoError(t, err)
			return guard
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := smtptest.NewServer(&smtptest.Options{
					Network: "pipe", Rules: []smtptest.Rule{{To: "lento@*", On: smtptest.End, Delay: time.Second}},
				})
				defer server.Close()
				relay := newRelayTo(t, server)
				transport := around(relay)
				send := func(to string) error {
					_, err := transport.Send(t.Context(), &smtp.Message{
						From: "a@example.com", To: []smtp.Recipient{{Addr: to}}, Content: smtp.Bytes([]byte("Subject: x\r\n\r\nx\r\n")),
					})
					return err
				}
				done := make(chan error)
				go func() { done <- send("lento@example.com") }()
				synctest.Wait()
				require.NoError(t, send("ana@example.com"))
				synctest.Wait()
				require.Equal(t, smtp.Stats{Open: 2, Busy: 1, Dialed: 2, Sent: 1}, relay.Stats())

				closeIdle := transport.(interface{ CloseIdle() }).CloseIdle
				closeIdle()
				closeIdle()
				synctest.Wait()
				require.Equal(t, smtp.Stats{Open: 1, Busy: 1, Dialed: 2, Sent: 1}, relay.Stats())
				require.NoError(t, <-done)
				synctest.Wait()
				require.Equal(t, 1, relay.Stats().Open)
				closeIdle()
				synctest.Wait()
				require.Zero(t, relay.Stats().Open)
				require.NoError(t, send("ana@example.com"))
				require.EqualValues(t, 3, relay.Stats().Dialed)
			})
		})
	}
}

// newRelayTo is a relay that keeps its connections for long, and sends one message at a
// time by each.
func newRelayTo(t *testing.T, server *smtptest.Server) *smtp.Relay {
	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{
		Dialer: server, TLSConfig: server.ClientTLS(), Pool: smtp.PoolOptions{IdleTimeout: time.Hour, MaxInFlight: 1},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, relay.Close()) })
	return relay
}
