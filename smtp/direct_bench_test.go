package smtp_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// BenchmarkDirect measures what finding route and policy anew costs a message,
// beside a Relay to the same server.
func BenchmarkDirect(b *testing.B) {
	server := smtptest.NewServer(&smtptest.Options{TLS: smtptest.NoTLS, EnvelopeOnly: true})
	b.Cleanup(server.Close)
	dns := newZone(b, "example.net. 3600 IN MX 10 mx1.example.net.", "mx1.example.net. 3600 IN A 8.8.4.1")
	dns.negativeTTL = 300
	direct, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{Resolver: dns.resolver(b), Dialer: server})
	require.NoError(b, err)
	b.Cleanup(func() { _ = direct.Close() })
	relay, err := smtp.NewRelay("smtp://"+server.Addr()+"?tls=none", nil)
	require.NoError(b, err)
	b.Cleanup(func() { _ = relay.Close() })

	transports := []struct {
		name string
		smtp.Transport
	}{{"direct", direct}, {"relay", relay}}
	for _, transport := range transports {
		b.Run(transport.name, func(b *testing.B) {
			m := to("ana@example.net")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transport.Send(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := direct.Plan(context.Background(), "example.net"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("domains", func(b *testing.B) { // each of its own, found for the first time
		r := constant{}
		d, err := smtp.NewDirect("mta.sender.example", &smtp.DirectOptions{Resolver: r, Dialer: server})
		require.NoError(b, err)
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			i++
			if _, err := d.Plan(context.Background(), fmt.Sprintf("d%d.test", i)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// constant is a resolver that answers the same for all names.
type constant struct{}

func (constant) Lookup(_ context.Context, name string, t smtp.RecordType) (smtp.Answer, error) {
	a := smtp.Answer{Canonical: name}
	switch t {
	case smtp.RecordMX:
		a.MX = []smtp.MX{{Preference: 10, Host: "mx." + name}}
	case smtp.RecordA:
		a.Addrs = []netip.Addr{netip.MustParseAddr("8.8.4.1")}
	}
	return a, nil
}
