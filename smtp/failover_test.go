package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// stuck is a transport all of whose recipients have one outcome.
type stuck struct{ smtp.Outcome }

func (s *stuck) Send(_ context.Context, m *smtp.Message) (*smtp.Result, error) {
	result := &smtp.Result{}
	for _, to := range m.To {
		o := s.Outcome
		o.Recipient = to
		result.Recipients = append(result.Recipients, o)
	}
	return result, result.Err()
}

func failing(status smtp.Status, phase smtp.Phase, code int) *stuck {
	reply := smtp.Reply{Code: code}
	return &stuck{Outcome: smtp.Outcome{Status: status, Reply: reply, Err: &smtp.Error{Phase: phase, Reply: reply}}}
}

func TestFailoverOnlyForWhatWasNotSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first *stuck
		next  bool
	}{
		{"no connection", failing(smtp.Deferred, smtp.PhaseConnect, 0), true},
		{"no name", failing(smtp.Deferred, smtp.PhaseResolve, 0), true},
		{"not tried", failing(smtp.NotTried, smtp.PhaseMail, 0), true},
		{"not tried, without a reason", &stuck{Outcome: smtp.Outcome{Err: errors.New("?")}}, true},
		{"greeting 421", failing(smtp.Deferred, smtp.PhaseGreeting, 421), true},
		{"greeting 554", failing(smtp.Rejected, smtp.PhaseGreeting, 554), true},
		{"wrong password", failing(smtp.Rejected, smtp.PhaseAuth, 535), true},
		{"no TLS", failing(smtp.Rejected, smtp.PhaseStartTLS, 0), true},
		{"sender deferred", failing(smtp.Deferred, smtp.PhaseMail, 451), true},
		{"closing at RCPT", failing(smtp.Deferred, smtp.PhaseRcpt, 421), true},
		{"message deferred", failing(smtp.Deferred, smtp.PhaseEndOfData, 452), true},
		{"greylisted", failing(smtp.Deferred, smtp.PhaseRcpt, 451), false},
		{"unknown", failing(smtp.Rejected, smtp.PhaseRcpt, 550), false},
		{"sender refused", failing(smtp.Rejected, smtp.PhaseMail, 550), false},
		{"message refused", failing(smtp.Rejected, smtp.PhaseEndOfData, 554), false},
		{"null MX", failing(smtp.Rejected, smtp.PhaseResolve, 0), false},
		{"blocked address", failing(smtp.Rejected, smtp.PhasePolicy, 0), false},
		{"bad message", failing(smtp.Rejected, smtp.PhaseMessage, 0), false},
		{"unreadable message", failing(smtp.Deferred, smtp.PhaseMessage, 0), false},
		{"no answer", failing(smtp.Indeterminate, smtp.PhaseEndOfData, 0), false},
		{"accepted", &stuck{Outcome: smtp.Outcome{Status: smtp.Accepted}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			second := smtptest.NewRecorder()
			result, err := smtp.Failover(test.first, second).Send(t.Context(), message("luis@example.net"))
			require.Equal(t, test.next, second.Len() == 1)
			if test.next {
				require.NoError(t, err)
				require.Equal(t, smtp.Accepted, result.Recipients[0].Status)
			} else {
				require.Equal(t, test.first.Status, result.Recipients[0].Status)
				require.Equal(t, test.first.Err, err)
			}
		})
	}
}

// TestFailoverOfRelays breaks real conversations in every place.
func TestFailoverOfRelays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		rules []smtptest.Rule
		next  bool
	}{
		{"dropped at once", []smtptest.Rule{{On: smtptest.Connect, Do: smtptest.Drop}}, true},
		{"refused at once", []smtptest.Rule{{On: smtptest.Connect, Reply: "554 5.7.1 Aquí no"}}, true},
		{"no EHLO", []smtptest.Rule{{On: smtptest.Hello, Reply: "550 5.7.1 No"}}, true},
		{"wrong password", []smtptest.Rule{{On: smtptest.Auth, Reply: "535 5.7.8 No"}}, true},
		{"busy", []smtptest.Rule{{On: smtptest.Mail, Reply: "421 4.3.2 Cerrado"}}, true},
		{"gone at MAIL", []smtptest.Rule{{On: smtptest.Mail, Do: smtptest.Drop}}, true},
		{"no room", []smtptest.Rule{{On: smtptest.End, Reply: "452 4.3.1 Sin sitio"}}, true},
		{"greylisted", []smtptest.Rule{{Reply: "451 4.7.1 Luego"}}, false},
		{"unknown", []smtptest.Rule{{Reply: "550 5.1.1 No existe"}}, false},
		{"stored in silence", []smtptest.Rule{{On: smtptest.End, Do: smtptest.Drop}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			first := smtptest.NewServer(&smtptest.Options{Users: map[string]string{"ana": "secreto"}, Rules: test.rules})
			defer first.Close()
			second := smtptest.NewServer(nil)
			defer second.Close()
			var relays []smtp.Transport
			for _, server := range []*smtptest.Server{first, second} {
				relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
				require.NoError(t, err)
				defer func() { _ = relay.Close() }()
				relays = append(relays, relay)
			}
			_, err := smtp.Failover(relays...).Send(t.Context(), message("luis@example.net"))
			require.Equal(t, test.next, err == nil, err)
			require.Equal(t, test.next, second.Len() == 1)
		})
	}
}

func TestFailoverKeepsTheOrder(t *testing.T) {
	t.Parallel()
	first := smtptest.NewRecorder(
		smtptest.Rule{To: "b@*", Reply: "421 4.3.2 Cerrado"},
		smtptest.Rule{To: "c@*", Reply: "550 5.1.1 No"},
		smtptest.Rule{To: "d@*", On: smtptest.End, Do: smtptest.Drop},
		smtptest.Rule{To: "e@*", Reply: "421 4.3.2 Cerrado"},
	)
	second := smtptest.NewRecorder(smtptest.Rule{To: "e@*", Reply: "450 4.2.0 Luego"})
	result, err := smtp.Failover(first, second).Send(t.Context(), message("a@x.es", "b@x.es", "c@x.es", "d@x.es", "e@x.es"))
	require.Equal(t, []string{"a@x.es accepted", "b@x.es accepted", "c@x.es rejected", "d@x.es indeterminate", "e@x.es deferred"}, outcomes(result))
	require.ErrorContains(t, err, "550 5.1.1 No")
	require.Equal(t, []smtp.Recipient{{Addr: "b@x.es"}}, second.One(t).To)
}

// TestFailoverRests counts the connections to a relay that is down.
func TestFailoverRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.NewServer(&smtptest.Options{Network: "pipe", Rules: []smtptest.Rule{
			{On: smtptest.Connect, Times: 2, Reply: "421 4.3.2 Cerrado"},
		}})
		defer server.Close()
		relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{Dialer: server, TLSConfig: server.ClientTLS()})
		require.NoError(t, err)
		defer func() { _ = relay.Close() }()
		other := smtptest.NewRecorder()
		transport := smtp.Failover(relay, other)
		send := func() {
			t.Helper()
			_, err := transport.Send(t.Context(), message("luis@example.net"))
			require.NoError(t, err)
		}
		for range 10 {
			send()
		}
		require.Equal(t, 1, server.Connections())
		time.Sleep(2 * time.Minute)
		send() // still down
		time.Sleep(2 * time.Minute)
		require.Equal(t, 11, other.Len())
		send()
		send()
		require.Equal(t, 2, server.Len())
		require.Equal(t, 11, other.Len())
	})
}

// TestFailoverRestsWhenTimeRunsOut holds that a relay which swallows connections
// takes no more than one caller's time.
func TestFailoverRestsWhenTimeRunsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.NewServer(&smtptest.Options{Network: "pipe", Rules: []smtptest.Rule{
			{On: smtptest.Connect, Do: smtptest.Hang},
		}})
		defer server.Close()
		relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{Dialer: server, TLSConfig: server.ClientTLS()})
		require.NoError(t, err)
		defer func() { _ = relay.Close() }()
		other := smtptest.NewRecorder()
		transport := smtp.Failover(relay, other)
		for i := range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err = transport.Send(ctx, message("luis@example.net"))
			cancel()
			require.Equal(t, i == 0, errors.Is(err, context.DeadlineExceeded), err)
			require.Equal(t, i, other.Len())
		}
	})
}

// TestFailoverKeepsDirectAwake holds that one dead domain does not move the mail
// of all others.
func TestFailoverKeepsDirectAwake(t *testing.T) {
	t.Parallel()
	direct := smtp.Route(func(_ *smtp.Message, to smtp.Recipient) smtp.Transport {
		return failing(smtp.Deferred, smtp.PhaseConnect, 0)
	})
	tries := 0
	counted := smtp.Route(func(*smtp.Message, smtp.Recipient) smtp.Transport { tries++; return direct })
	transport := smtp.Failover(counted, smtptest.NewRecorder())
	for range 3 {
		_, err := transport.Send(t.Context(), message("luis@muerto.example"))
		require.NoError(t, err)
	}
	require.Equal(t, 3, tries)
}

func TestFailoverForWhatAServerLacks(t *testing.T) {
	t.Parallel()
	server := smtptest.NewServer(&smtptest.Options{Without: []string{"SMTPUTF8"}})
	defer server.Close()
	relay, err := smtp.NewRelay(server.URL(), &smtp.RelayOptions{TLSConfig: server.ClientTLS()})
	require.NoError(t, err)
	defer func() { _ = relay.Close() }()
	other := smtptest.NewRecorder()
	_, err = smtp.Failover(relay, other).Send(t.Context(), message("ñoño@example.net"))
	require.NoError(t, err)
	require.Zero(t, server.Len())
	require.Equal(t, 1, other.Len())
}

func TestFailoverStopsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	second := smtptest.NewRecorder()
	result, err := smtp.Failover(failing(smtp.NotTried, smtp.PhaseConnect, 0), second).Send(ctx, message("luis@example.net"))
	require.Error(t, err)
	require.Equal(t, smtp.NotTried, result.Recipients[0].Status)
	second.None(t)

	_, err = smtp.Failover().Send(t.Context(), message("luis@example.net"))
	require.EqualError(t, err, "smtp: resolve: no transport for this recipient")
}

func ExampleFailover() {
	down := smtptest.NewRecorder(smtptest.Rule{On: smtptest.Mail, Reply: "421 4.3.2 Cerrado"})
	up := smtptest.NewRecorder()
	transport := smtp.Failover(down, up)
	result, err := transport.Send(context.Background(), message("luis@example.net"))
	fmt.Println(result.Recipients[0].Status, err)
	// Output: accepted <nil>
}
