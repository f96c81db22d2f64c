package smtp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// internet is a dialer that knows which server is at which address. Any other
// address refuses.
type internet struct {
	hosts map[string]smtp.Dialer

	mu    sync.Mutex // guards dials
	dials []string
}

func (n *internet) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, addr)
	n.mu.Unlock()
	if host := n.hosts[addr]; host != nil {
		return host.DialContext(ctx, network, addr)
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
}

// world is a DNS and the servers that it names. mx1.example.net is at 8.8.4.1,
// mx2.example.net at 8.8.4.2, both with certificates of ca.
type world struct {
	*zone
	*internet
	ca       *smtptest.CA
	mx1, mx2 *smtptest.Server
}

func newWorld(t *testing.T, mx1, mx2 smtptest.Options, records ...string) *world {
	t.Helper()
	w := &world{ca: smtptest.NewCA(), internet: &internet{hosts: make(map[string]smtp.Dialer)}}
	w.zone = newZone(t, append(records,
		"example.net. 60 IN MX 10 mx1.example.net.", "example.net. 60 IN MX 20 mx2.example.net.",
		"mx1.example.net. 60 IN A 8.8.4.1", "mx2.example.net. 60 IN A 8.8.4.2",
	)...)
	w.mx1 = w.start(t, "mx1.example.net", "8.8.4.1:25", mx1)
	w.mx2 = w.start(t, "mx2.example.net", "8.8.4.2:25", mx2)
	return w
}

func (w *world) start(t *testing.T, name, addr string, opts smtptest.Options) *smtptest.Server {
	t.Helper()
	opts.Hostname, opts.CA = name, w.ca
	s := smtptest.NewServer(&opts)
	t.Cleanup(s.Close)
	s.LogOnFailure(t)
	w.hosts[addr] = s
	return s
}

func (w *world) direct(t *testing.T, opts smtp.DirectOptions) *smtp.Direct {
	t.Helper()
	opts.Resolver = w.resolver(t)
	if opts.Dialer == nil {
		opts.Dialer = w.internet
	}
	if opts.TLSConfig == nil {
		opts.TLSConfig = &tls.Config{RootCAs: w.ca.Pool()}
	}
	d, err := smtp.NewDirect("mta.sender.example", &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func to(addrs ...string) *smtp.Message {
	m := &smtp.Message{
		From:    "tienda@sender.example",
		Content: smtp.Bytes([]byte("From: tienda@sender.example\r\nSubject: Su pedido\r\n\r\nEn camino.\r\n")),
	}
	for _, a := range addrs {
		m.To = append(m.To, smtp.Recipient{Addr: a})
	}
	return m
}

func TestDirectDelivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{})
	d := w.direct(t, smtp.DirectOptions{})
	result, err := d.Send(t.Context(), to("ana@example.net", "luis@example.net"))
	require.NoError(t, err)
	require.Equal(t, "accepted, accepted", statuses(result))
	require.Equal(t, "mx1.example.net", result.Recipients[0].Session.Host)
	require.True(t, result.Recipients[0].Session.TLSVerified)
	require.Empty(t, result.Recipients[0].Session.Policy)

	require.Len(t, w.mx1.Messages(), 1, "one transaction for both")
	got := w.mx1.Messages()[0]
	require.Equal(t, "mta.sender.example", got.Hello)
	require.NotNil(t, got.TLS)
	require.Zero(t, w.mx2.Connections())

	_, err = d.Send(t.Context(), to("eva@example.net"))
	require.NoError(t, err)
	require.Equal(t, 1, w.mx1.Connections(), "the connection is kept")
}

func TestDirectSecondHost(t *testing.T) {
	t.Parallel()
	rule := func(on smtptest.Command, reply string) smtptest.Options {
		return smtptest.Options{Rules: []smtptest.Rule{{On: on, Reply: reply}}}
	}
	do := func(on smtptest.Command, action smtptest.Action) smtptest.Options {
		return smtptest.Options{Rules: []smtptest.Rule{{On: on, Do: action}}}
	}
	tests := []struct {
		name   string
		mx1    smtptest.Options
		status smtp.Status
		second int // messages that the second host gets
		phase  smtp.Phase
	}{
		{"4xx greeting", rule(smtptest.Connect, "421 4.3.2 Vuelva más tarde"), smtp.Accepted, 1, ""},
		{"5xx greeting", rule(smtptest.Connect, "554 5.3.2 No hay servicio"), smtp.Accepted, 1, ""},
		{"no greeting, hangs up", do(smtptest.Connect, smtptest.Drop), smtp.Accepted, 1, ""},
		{"noise for a greeting", do(smtptest.Connect, smtptest.Garble), smtp.Accepted, 1, ""},
		{"4xx to EHLO", rule(smtptest.Hello, "451 4.3.0 Ahora no"), smtp.Accepted, 1, ""},
		{"4xx to MAIL", rule(smtptest.Mail, "451 4.3.0 Ahora no"), smtp.Accepted, 1, ""},
		{"5xx to MAIL is final", rule(smtptest.Mail, "550 5.7.1 No le queremos"), smtp.Rejected, 0, smtp.PhaseMail},
		{"4xx to RCPT is an answer", rule(smtptest.Rcpt, "450 4.2.0 Lista gris"), smtp.Deferred, 0, smtp.PhaseRcpt},
		{"5xx to RCPT is final", rule(smtptest.Rcpt, "550 5.1.1 No existe"), smtp.Rejected, 0, smtp.PhaseRcpt},
		{"421 to RCPT is about the host", rule(smtptest.Rcpt, "421 4.3.2 Se cierra"), smtp.Accepted, 1, ""},
		{"hangs up at RCPT", do(smtptest.Rcpt, smtptest.Drop), smtp.Accepted, 1, ""},
		{"4xx to the message is an answer", rule(smtptest.End, "451 4.7.1 Ahora no"), smtp.Deferred, 0, smtp.PhaseEndOfData},
		{"5xx to the message is final", rule(smtptest.End, "554 5.7.1 Es publicidad"), smtp.Rejected, 0, smtp.PhaseEndOfData},
		{"hangs up after the message", do(smtptest.End, smtptest.Drop), smtp.Indeterminate, 0, smtp.PhaseEndOfData},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.mx1, smtptest.Options{})
			result, err := w.direct(t, smtp.DirectOptions{}).Send(t.Context(), to("ana@example.net"))
			require.Equal(t, test.status, result.Recipients[0].Status, "%v", err)
			require.Equal(t, test.second, w.mx2.Len())
			if test.status == smtp.Accepted {
				require.NoError(t, err)
				require.Equal(t, "mx2.example.net", result.Recipients[0].Session.Host)
				return
			}
			var e *smtp.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, test.phase, e.Phase)
			require.Equal(t, "mx1.example.net", e.Host)
		})
	}
}

// Of the recipients of one message each is judged by itself, and what the first
// host says of one does not keep the others from the second.
func TestDirectOutcomesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{Rules: []smtptest.Rule{{To: "nadie@*", Reply: "550 5.1.1 No existe"}, {To: "gris@*", Reply: "450 4.2.0 Luego"}}},
		smtptest.Options{},
		"null.test. 60 IN MX 0 .", "example.org. 60 IN MX 5 mx2.example.net.", "down.test. 60 IN MX 10 mx.down.test.", "mx.down.test. 60 IN A 8.8.4.77",
		"inside.test. 60 IN MX 10 mx.inside.test.", "mx.inside.test. 60 IN A 10.0.0.1",
	)
	w.broken = []string{"broken.test"}
	d := w.direct(t, smtp.DirectOptions{})
	m := to("nadie@example.net", "a@null.test", "eva@example.org", "a@nothing.test", "gris@example.net", "ana@example.net",
		"a@broken.test", "a@down.test", "a@inside.test", "luis@example.org")
	result, err := d.Send(t.Context(), m)
	require.Equal(t, "rejected, rejected, accepted, rejected, deferred, accepted, deferred, deferred, rejected, accepted", statuses(result))
	require.Equal(t, result.Recipients[0].Err, err)
	for i, want := range map[int]error{1: smtp.ErrNullMX, 3: smtp.ErrNoHost, 6: smtp.ErrTemporary, 7: syscall.ECONNREFUSED, 8: smtp.ErrBlockedAddr} {
		require.ErrorIs(t, result.Recipients[i].Err, want)
	}
	for i, o := range result.Recipients {
		require.Equal(t, m.To[i].Addr, o.Addr)
	}
	require.Equal(t, "550 5.1.1 No existe", result.Recipients[0].Reply.String())
	require.Len(t, w.mx2.Messages(), 1)
	require.Len(t, w.mx2.Messages()[0].To, 2)
}

// However the first host stumbles, no message is lost and none is repeated. With
// BDAT a whole message may be on its way when the host hangs up; then it is
// indeterminate, and not sent again.
func TestDirectLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	rules := []smtptest.Rule{
		{On: smtptest.Mail, Reply: "451 4.3.0 Ahora no", Times: 20},
		{On: smtptest.Rcpt, To: "*7@*", Do: smtptest.Drop, Times: 1},
		{On: smtptest.Rcpt, To: "*3@*", Reply: "421 4.3.2 Se cierra", Times: 1},
	}
	for name, mx1 := range map[string]smtptest.Options{"DATA": {Rules: rules, Without: []string{"CHUNKING"}}, "BDAT": {Rules: rules}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mx1, smtptest.Options{})
			d := w.direct(t, smtp.DirectOptions{})
			results := make([]*smtp.Result, 400)
			var all sync.WaitGroup
			for worker := range 20 {
				all.Go(func() {
					for i := worker; i < len(results); i += 20 {
						results[i], _ = d.Send(t.Context(), to(fmt.Sprintf("u%d@example.net", i)))
					}
				})
			}
			all.Wait()
			arrived := make(map[string]int)
			for _, m := range slices.Concat(w.mx1.Messages(), w.mx2.Messages()) {
				arrived[m.To[0].Addr]++
			}
			for _, r := range results {
				o := r.Recipients[0]
				if o.Status == smtp.Indeterminate && name == "BDAT" {
					require.LessOrEqual(t, arrived[o.Addr], 1, o.Addr)
					continue
				}
				require.Equal(t, smtp.Accepted, o.Status, "%v", o.Err)
				require.Equal(t, 1, arrived[o.Addr], o.Addr)
			}
			require.NotZero(t, w.mx1.Len())
			require.NotZero(t, w.mx2.Len())
		})
	}
}

// The message that found the first host dead spares the next ones the wait.
func TestDirectRemembersDeadHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{}, "half.test. 60 IN MX 10 dead.half.test.", "half.test. 60 IN MX 20 mx2.example.net.",
		"dead.half.test. 60 IN A 8.8.4.99")
	d := w.direct(t, smtp.DirectOptions{})
	for range 3 {
		result, err := d.Send(t.Context(), to("ana@half.test"))
		require.NoError(t, err)
		require.Equal(t, "mx2.example.net", result.Recipients[0].Session.Host)
	}
	require.Equal(t, []string{"8.8.4.99:25", "8.8.4.2:25"}, w.dials)
}

// What the header asks counts where the envelope is silent.
func TestDirectObeysTheHeaderOnTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{}, "one.test. 60 IN MX 10 mx1.example.net.",
		"_25._tcp.mx1.example.net. 60 IN TLSA 3 1 1 "+strings.Repeat("00", 32))
	d := w.direct(t, smtp.DirectOptions{})
	_, err := d.Send(t.Context(), to("ana@one.test"))
	require.ErrorIs(t, err, smtp.ErrTLSPolicy)
	m := to("ana@one.test")
	m.Content = smtp.Bytes([]byte("From: tienda@sender.example\r\nTLS-Required: No\r\n\r\nSu certificado ha caducado.\r\n"))
	_, err = d.Send(t.Context(), m)
	require.NoError(t, err)
}

// A host whose first address greets badly may be well at another.
func TestDirectOtherAddressOfTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Connect, Reply: "421 4.3.2 Lleno"}}}, smtptest.Options{},
		"twin.test. 60 IN MX 10 mx.twin.test.", "mx.twin.test. 60 IN A 8.8.4.1", "mx.twin.test. 60 IN A 8.8.4.2")
	for range 5 {
		_, err := w.direct(t, smtp.DirectOptions{}).Send(t.Context(), to("ana@twin.test"))
		require.NoError(t, err)
	}
	require.Equal(t, 5, w.mx2.Len())
}

func TestDirectBoundsTheAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{})
	for i := range 60 {
		host := fmt.Sprintf("mx%d.many.test.", i%6)
		w.records = append(w.records, newZone(t, fmt.Sprintf("many.test. 60 IN MX %d %s", i%6, host), fmt.Sprintf("%s 60 IN A 8.8.8.%d", host, i)).records...)
	}
	_, err := w.direct(t, smtp.DirectOptions{}).Send(t.Context(), to("ana@many.test"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Len(t, w.dials, 10)
}

func TestDirectDANE(t *testing.T) {
	t.Parallel()
	one := "one.test. 60 IN MX 10 mx1.example.net."
	tests := []struct {
		name    string
		server  smtptest.Options
		record  func(ca *smtptest.CA, cert *tls.Certificate) smtp.TLSA
		message smtp.TLSNeed
		ok      bool
	}{
		{"authority", smtptest.Options{}, func(ca *smtptest.CA, _ *tls.Certificate) smtp.TLSA { return tlsa(2, 0, 1, ca.Certificate()) }, 0, true},
		{"the server's own key", smtptest.Options{}, func(_ *smtptest.CA, c *tls.Certificate) smtp.TLSA { return tlsa(3, 1, 1, c.Leaf) }, 0, true},
		{"another key", smtptest.Options{}, func(ca *smtptest.CA, _ *tls.Certificate) smtp.TLSA { return tlsa(3, 1, 1, ca.Certificate()) }, 0, false},
		{"another key, and the message prefers delivery", smtptest.Options{},
			func(ca *smtptest.CA, _ *tls.Certificate) smtp.TLSA { return tlsa(3, 1, 1, ca.Certificate()) }, smtp.TLSOptional, true},
		{"no usable record", smtptest.Options{}, func(ca *smtptest.CA, _ *tls.Certificate) smtp.TLSA { return tlsa(1, 1, 1, ca.Certificate()) }, 0, true},
		{"no STARTTLS", smtptest.Options{TLS: smtptest.NoTLS},
			func(_ *smtptest.CA, c *tls.Certificate) smtp.TLSA { return tlsa(3, 1, 1, c.Leaf) }, 0, false},
		{"no usable record, no STARTTLS", smtptest.Options{TLS: smtptest.NoTLS},
			func(ca *smtptest.CA, _ *tls.Certificate) smtp.TLSA { return tlsa(1, 1, 1, ca.Certificate()) }, 0, false},
		{"STARTTLS refused", smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.StartTLS, Reply: "454 4.7.0 Ahora no"}}},
			func(_ *smtptest.CA, c *tls.Certificate) smtp.TLSA { return tlsa(3, 1, 1, c.Leaf) }, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, smtptest.Options{}, smtptest.Options{}, one)
			cert := w.ca.Issue("mx1.example.net")
			if test.server.TLS != smtptest.NoTLS {
				test.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
			}
			mx1 := w.start(t, "mx1.example.net", "8.8.4.1:25", test.server)
			w.records = append(w.records, newZone(t, "_25._tcp.mx1.example.net. 60 IN TLSA "+test.record(w.ca, &cert).String()).records...)
			d := w.direct(t, smtp.DirectOptions{TLSConfig: &tls.Config{}}) // no authority of the web is asked
			m := to("ana@one.test")
			m.TLS = test.message
			result, err := d.Send(t.Context(), m)
			if test.ok {
				require.NoError(t, err)
				require.NotNil(t, mx1.Messages()[0].TLS)
				return
			}
			require.Equal(t, smtp.Deferred, result.Recipients[0].Status)
			require.ErrorIs(t, err, smtp.ErrTLSPolicy)
			require.Zero(t, mx1.Len())
			require.NotContains(t, mx1.Transcript(), "MAIL")
		})
	}
}

func TestDirectSTS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		mode   string
		cert   string
		tls    smtptest.TLSMode
		ok     bool
		report string
	}{
		{"enforce, all well", "enforce", "mx1.example.net", smtptest.StartTLSOffered, true, ""},
		{"enforce, certificate of another name", "enforce", "mail.example.net", smtptest.StartTLSOffered, false, "certificate-host-mismatch"},
		{"enforce, no STARTTLS", "enforce", "mx1.example.net", smtptest.NoTLS, false, "starttls-not-supported"},
		{"testing, certificate of another name", "testing", "mail.example.net", smtptest.StartTLSOffered, true, "validation-failure"},
		{"testing, no STARTTLS", "testing", "mx1.example.net", smtptest.NoTLS, true, "starttls-not-supported"},
		{"none, no STARTTLS", "none", "mx1.example.net", smtptest.NoTLS, true, "starttls-not-supported"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, smtptest.Options{}, smtptest.Options{}, "sts.test. 60 IN MX 10 mx1.example.net.",
				`_mta-sts.sts.test. 60 IN TXT "v=STSv1; id=1"`, "mta-sts.sts.test. 60 IN A 8.8.4.9")
			w.unsigned = []string{"."}
			server := smtptest.Options{TLS: test.tls}
			if test.tls != smtptest.NoTLS {
				server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(test.cert)}}
			}
			mx1 := w.start(t, "mx1.example.net", "8.8.4.1:25", server)
			policies := newPolicyServer(t, &tls.Config{Certificates: []tls.Certificate{w.ca.Issue("mta-sts.sts.test")}})
			policies.serve("version: STSv1\nmode: " + test.mode + "\nmx: *.example.net\nmax_age: 86400\n")
			w.hosts["8.8.4.9:443"] = policies

			var reports []smtp.TLSResult
			d := w.direct(t, smtp.DirectOptions{ReportTLS: func(r smtp.TLSResult) { reports = append(reports, r) }})
			result, err := d.Send(t.Context(), to("ana@sts.test"))
			require.Len(t, reports, 1)
			require.Equal(t, test.report, reports[0].Failure)
			require.Equal(t, "sts.test", reports[0].PolicyDomain)
			require.Equal(t, "8.8.4.1", reports[0].RemoteAddr.String())
			if test.ok {
				require.NoError(t, err)
				require.Equal(t, 1, mx1.Len())
				return
			}
			require.Equal(t, smtp.Deferred, result.Recipients[0].Status)
			require.Zero(t, mx1.Len())
		})
	}
}

// Without a policy TLS is used where it works, and mail goes out where it does not.
func TestDirectOpportunisticTLS(t *testing.T) {
	t.Parallel()
	stranger := smtptest.NewCA().Issue("elsewhere.example")
	tests := []struct {
		name     string
		server   smtptest.Options
		tls      bool
		verified bool
	}{
		{"certificate that verifies", smtptest.Options{}, true, true},
		{"certificate of a stranger", smtptest.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{stranger}}}, true, false},
		{"no STARTTLS", smtptest.Options{TLS: smtptest.NoTLS}, false, false},
		{"STARTTLS refused", smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.StartTLS, Reply: "454 4.7.0 Ahora no"}}}, false, false},
		{"handshake fails", smtptest.Options{TLSConfig: &tls.Config{}}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.server, smtptest.Options{})
			result, err := w.direct(t, smtp.DirectOptions{}).Send(t.Context(), to("ana@example.net"))
			require.NoError(t, err)
			s := result.Recipients[0].Session
			require.Equal(t, test.tls, s.TLSVersion != 0)
			require.Equal(t, test.verified, s.TLSVerified)
			require.Equal(t, "mx1.example.net", s.Host)
		})
	}
}

// A handshake that failed is not tried with each message, and a message that asks
// for TLS asks for it all the same.
func TestDirectRemembersBrokenTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{TLSConfig: &tls.Config{}}, smtptest.Options{})
	d := w.direct(t, smtp.DirectOptions{Pool: smtp.PoolOptions{MaxMessages: 1}})
	for range 3 {
		result, err := d.Send(t.Context(), to("ana@example.net"))
		require.NoError(t, err)
		require.Zero(t, result.Recipients[0].Session.TLSVersion)
	}
	require.Equal(t, 4, w.mx1.Connections(), "one with TLS, three without")
	m := to("ana@example.net")
	m.TLS = smtp.TLSRequire
	result, err := d.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, 3, w.mx1.Len())
	require.Equal(t, "mx2.example.net", result.Recipients[0].Session.Host)
	require.True(t, result.Recipients[0].Session.TLSVerified)
}

func TestDirectRequireTLS(t *testing.T) {
	t.Parallel()
	m := to("ana@example.net")
	m.TLS = smtp.TLSRequire
	t.Run("host named by DNSSEC", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, smtptest.Options{With: []string{"REQUIRETLS"}}, smtptest.Options{})
		result, err := w.direct(t, smtp.DirectOptions{}).Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, "required", result.Recipients[0].Session.Policy)
		require.True(t, w.mx1.Messages()[0].RequireTLS)
	})
	t.Run("host named by nobody", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, smtptest.Options{With: []string{"REQUIRETLS"}}, smtptest.Options{})
		w.unsigned = []string{"."}
		result, err := w.direct(t, smtp.DirectOptions{}).Send(t.Context(), m)
		require.ErrorIs(t, err, smtp.ErrNoRequireTLS)
		require.Equal(t, smtp.Rejected, result.Recipients[0].Status)
		require.Zero(t, w.mx1.Connections())
	})
	t.Run("certificate of a stranger", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, smtptest.Options{With: []string{"REQUIRETLS"}}, smtptest.Options{})
		result, err := w.direct(t, smtp.DirectOptions{TLSConfig: &tls.Config{RootCAs: smtptest.NewCA().Pool()}}).Send(t.Context(), m)
		require.Error(t, err)
		require.NotEqual(t, smtp.Accepted, result.Recipients[0].Status)
		require.Zero(t, w.mx1.Len()+w.mx2.Len())
	})
}

// A connection that was made without asking for a certificate carries no message
// that asks for one, nor one that leaves from elsewhere.
func TestDirectKeepsConnectionsApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{With: []string{"REQUIRETLS"}}, smtptest.Options{})
	d := w.direct(t, smtp.DirectOptions{Source: func(_ context.Context, a smtp.Attempt) (smtp.Source, error) {
		return smtp.Source{LocalName: a.Message.Tenant}, nil
	}})
	plain, strict, tenant := to("ana@example.net"), to("ana@example.net"), to("ana@example.net")
	strict.TLS, tenant.Tenant = smtp.TLSRequire, "mta2.sender.example"
	for range 2 {
		for _, m := range []*smtp.Message{plain, strict, tenant} {
			_, err := d.Send(t.Context(), m)
			require.NoError(t, err)
		}
	}
	require.Equal(t, 3, w.mx1.Connections())
	for _, m := range w.mx1.Messages() {
		require.Equal(t, m.Hello == "mta2.sender.example", m.Conn == 3)
		require.Equal(t, m.RequireTLS, m.Conn == 2)
	}
}

// The address is judged once more when the socket is made.
func TestDirectChecksTheAddressDialled(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	z := newZone(t, "x.test. 60 IN A 127.0.0.1")
	var asked atomic.Int64
	d, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{
		Resolver:  z.resolver(t),
		AllowAddr: func(netip.Addr) bool { return asked.Add(1) == 1 }, // and then no more
	})
	require.NoError(t, err)
	result, err := d.Send(t.Context(), to("ana@x.test"))
	require.ErrorIs(t, err, smtp.ErrBlockedAddr)
	require.Equal(t, smtp.Deferred, result.Recipients[0].Status)
	require.EqualValues(t, 2, asked.Load())
}

func TestDirectEndsWithTheContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{Rules: []smtptest.Rule{{On: smtptest.Rcpt, Do: smtptest.Hang}}}, smtptest.Options{})
	d := w.direct(t, smtp.DirectOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	result, err := d.Send(ctx, to("ana@example.net"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, smtp.NotTried, result.Recipients[0].Status)
	require.Less(t, time.Since(begun), 2*time.Second)
	require.Zero(t, w.mx2.Connections(), "no second host for a caller who has gone")

	result, err = d.Send(ctx, to("ana@example.net"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, "not tried", statuses(result))
}

func TestDirectTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{}, "example.org. 60 IN MX 5 mx2.example.net.")
	d := w.direct(t, smtp.DirectOptions{})
	inside, connected, done := 0, 0, 0 // a hook that runs beside another is a data race
	ctx := smtp.WithTrace(t.Context(), &smtp.Trace{
		Connected: func(smtp.Session, time.Duration, error) { inside++; connected++ },
		Command:   func(string) { inside++ },
		Reply:     func(smtp.Phase, smtp.Reply, time.Duration) { inside++ },
		Done:      func(*smtp.Result, error) { done++ },
	})
	_, err := d.Send(ctx, to("ana@example.net", "eva@example.org"))
	require.NoError(t, err)
	require.Equal(t, 2, connected)
	require.Equal(t, 1, done)
	require.Greater(t, inside, 10)
}

// A hook that panics does so where Send was called, however many domains there are.
func TestDirectPanicsWhereItWasCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{}, "example.org. 60 IN MX 5 mx2.example.net.")
	d := w.direct(t, smtp.DirectOptions{Source: func(context.Context, smtp.Attempt) (smtp.Source, error) { panic("sin origen") }})
	for _, m := range []*smtp.Message{to("ana@example.net"), to("ana@example.net", "eva@example.org")} {
		require.PanicsWithValue(t, "sin origen", func() { _, _ = d.Send(t.Context(), m) })
	}
}

func TestDirectClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, smtptest.Options{}, smtptest.Options{})
	d := w.direct(t, smtp.DirectOptions{})
	_, err := d.Send(t.Context(), to("ana@example.net"))
	require.NoError(t, err)
	require.Equal(t, 1, d.Stats().Open)
	require.EqualValues(t, 1, d.Stats().Sent)
	require.NoError(t, d.Shutdown(t.Context()))
	require.Zero(t, d.Stats().Open)
	_, err = d.Send(t.Context(), to("ana@example.net"))
	require.ErrorIs(t, err, smtp.ErrClosed)
}

func TestNewDirectRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a b", "x\r\nMAIL", "127.0.0.1", strings.Repeat("a", 64) + ".com"} {
		_, err := smtp.NewDirect(name, nil)
		require.ErrorContains(t, err, "local name", name)
	}
	_, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{
		Pool: smtp.PoolOptions{MaxConns: -1}, Timeouts: smtp.Timeouts{Data: -1}, TLSConfig: &tls.Config{InsecureSkipVerify: true},
	})
	for _, fault := range []string{"MaxConns", "Data", "InsecureSkipVerify"} {
		require.ErrorContains(t, err, fault)
	}
}
