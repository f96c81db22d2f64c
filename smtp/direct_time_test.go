package smtp_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// names is a resolver without a network: two hosts for every domain.
type names struct{}

func (names) Lookup(_ context.Context, name string, t smtp.RecordType) (smtp.Answer, error) {
	a := smtp.Answer{Canonical: name}
	switch {
	case t == smtp.RecordMX:
		a.MX = []smtp.MX{{Preference: 10, Host: "mx1.example.net"}, {Preference: 20, Host: "mx2.example.net"}}
	case t == smtp.RecordA && name == "mx1.example.net":
		a.Addrs = []netip.Addr{netip.MustParseAddr("8.8.4.1")}
	case t == smtp.RecordA && name == "mx2.example.net":
		a.Addrs = []netip.Addr{netip.MustParseAddr("8.8.4.2")}
	}
	return a, nil
}

// timed runs f in a bubble of time in which nothing of a Direct may be left over.
func timed(t *testing.T, mx1, mx2 smtptest.Options, f func(t *testing.T, d *smtp.Direct, n *internet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mx1.Network, mx2.Network = "pipe", "pipe"
		first, second := smtptest.NewServer(&mx1), smtptest.NewServer(&mx2)
		defer first.Close()
		defer second.Close()
		n := &internet{hosts: map[string]smtp.Dialer{"8.8.4.1:25": first, "8.8.4.2:25": second}}
		d, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{
			Resolver: names{}, Dialer: n, TLSConfig: &tls.Config{RootCAs: smtptest.NewCA().Pool()},
		})
		require.NoError(t, err)
		defer d.Close()
		f(t, d, n)
	})
}

// blackHole never answers.
type blackHole struct{}

func (blackHole) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDirectLeavesAHostThatHangs(t *testing.T) {
	t.Parallel()
	hang := func(on smtptest.Command) smtptest.Options {
		return smtptest.Options{TLS: smtptest.NoTLS, Rules: []smtptest.Rule{{On: on, Do: smtptest.Hang}}}
	}
	for name, test := range map[string]struct {
		mx1  smtptest.Options
		took time.Duration
	}{
		"greeting": {hang(smtptest.Connect), 5 * time.Minute},
		"EHLO":     {hang(smtptest.Hello), 5 * time.Minute},
		"MAIL":     {hang(smtptest.Mail), 5 * time.Minute},
		"RCPT":     {hang(smtptest.Rcpt), 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timed(t, test.mx1, smtptest.Options{TLS: smtptest.NoTLS}, func(t *testing.T, d *smtp.Direct, _ *internet) {
				began := time.Now()
				result, err := d.Send(t.Context(), to("ana@example.net"))
				require.NoError(t, err)
				require.Equal(t, "mx2.example.net", result.Recipients[0].Session.Host)
				require.Equal(t, test.took, time.Since(began).Round(time.Second))
			})
		})
	}
}

// A first host behind a black hole costs one message the wait, and is tried again
// after a while.
func TestDirectTriesADeadHostAgain(t *testing.T) {
	t.Parallel()
	timed(t, smtptest.Options{TLS: smtptest.NoTLS}, smtptest.Options{TLS: smtptest.NoTLS}, func(t *testing.T, d *smtp.Direct, n *internet) {
		alive := n.hosts["8.8.4.1:25"]
		n.hosts["8.8.4.1:25"] = blackHole{}
		began := time.Now()
		for range 3 {
			result, err := d.Send(t.Context(), to("ana@example.net"))
			require.NoError(t, err)
			require.Equal(t, "mx2.example.net", result.Recipients[0].Session.Host)
		}
		require.Equal(t, 30*time.Second, time.Since(began).Round(time.Second))

		n.hosts["8.8.4.1:25"] = alive
		time.Sleep(time.Minute)
		result, err := d.Send(t.Context(), to("ana@example.net"))
		require.NoError(t, err)
		require.Equal(t, "mx1.example.net", result.Recipients[0].Session.Host)
	})
}

func TestDirectForgetsIdleConnections(t *testing.T) {
	t.Parallel()
	timed(t, smtptest.Options{}, smtptest.Options{}, func(t *testing.T, d *smtp.Direct, _ *internet) {
		_, err := d.Send(t.Context(), to("ana@example.net"))
		require.NoError(t, err)
		require.Equal(t, 1, d.Stats().Open)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, d.Stats().Open)
	})
}

// Our own timeouts are failures of the other side. The end of the caller's context
// is not.
func TestDirectTellsWhoseTimeItWas(t *testing.T) {
	t.Parallel()
	plain := smtptest.Options{TLS: smtptest.NoTLS}
	t.Run("no host answers", func(t *testing.T) {
		t.Parallel()
		timed(t, plain, plain, func(t *testing.T, d *smtp.Direct, n *internet) {
			n.hosts["8.8.4.1:25"], n.hosts["8.8.4.2:25"] = blackHole{}, blackHole{}
			result, err := d.Send(t.Context(), to("ana@example.net"))
			require.ErrorIs(t, err, smtp.ErrTemporary)
			require.Equal(t, "deferred", statuses(result))
		})
	})
	t.Run("the caller does not wait", func(t *testing.T) {
		t.Parallel()
		timed(t, plain, plain, func(t *testing.T, d *smtp.Direct, n *internet) {
			n.hosts["8.8.4.1:25"], n.hosts["8.8.4.2:25"] = blackHole{}, blackHole{}
			for _, patience := range []time.Duration{10 * time.Second, 40 * time.Second} { // at the first host, at the second
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				result, err := d.Send(ctx, to("ana@example.net"))
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, "not tried", statuses(result))
			}
		})
	})
	t.Run("no resolver answers", func(t *testing.T) {
		t.Parallel()
		silent, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		defer silent.Close()
		for name, test := range map[string]struct {
			resolver, caller time.Duration
			status           string
		}{
			"in time":                {20 * time.Millisecond, time.Minute, "deferred"},
			"while the caller waits": {time.Minute, 20 * time.Millisecond, "not tried"},
		} {
			r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{silent.LocalAddr().String()}, Timeout: test.resolver})
			require.NoError(t, err)
			d, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{Resolver: r})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), test.caller)
			result, err := d.Send(ctx, to("ana@example.net"))
			cancel()
			require.Error(t, err)
			require.Equal(t, test.status, statuses(result), name)
		}
	})
}
