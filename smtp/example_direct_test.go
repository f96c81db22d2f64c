package smtp_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/franqueo/franqueo/smtp"
	"github.com/franqueo/franqueo/smtp/smtptest"
)

// records is a Resolver that knows a few names.
type records map[string]smtp.Answer

func (r records) Lookup(_ context.Context, name string, t smtp.RecordType) (smtp.Answer, error) {
	answer, ok := r[name+" "+t.String()]
	answer.Missing, answer.Canonical, answer.Authentic, answer.TTL = !ok, name, true, time.Hour
	return answer, nil
}

func ExampleDirect_Plan() {
	dns := records{
		"example.com MX":                {MX: []smtp.MX{{Preference: 20, Host: "mx2.example.com"}, {Preference: 10, Host: "mx1.example.com"}}},
		"mx1.example.com A":             {Addrs: []netip.Addr{netip.MustParseAddr("8.8.4.1")}},
		"mx2.example.com A":             {Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
		"_25._tcp.mx1.example.com TLSA": {TLSA: []smtp.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}},
	}
	direct, err := smtp.NewDirect("mta.example.org", &smtp.DirectOptions{Resolver: dns})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := direct.Plan(context.Background(), "example.com")
	fmt.Println(plan, err)
	// Output:
	// example.com: by MX, validated with DNSSEC
	//   MTA-STS: none
	//   10 mx1.example.com [8.8.4.1]: TLS required, certificate by DANE [3 1 1 0000000000000000000000000000000000000000000000000000000000000000]
	//   20 mx2.example.com: not used: smtp: policy mx2.example.com: refusing to connect to a private, loopback or otherwise special address: [10.0.0.2]
	//  <nil>
}

func ExampleNewResolver() {
	resolver, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{"127.0.0.1", "192.0.2.53"}})
	fmt.Println(resolver != nil, err)

	_, err = smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{"dns.example.com"}})
	fmt.Println(err)
	// Output:
	// true <nil>
	// smtp: resolver "dns.example.com" is not an IP address, with or without a port
}

func ExampleDirect_Send() {
	server := smtptest.NewServer(&smtptest.Options{Rules: []smtptest.Rule{{To: "nadie@*", Reply: "550 5.1.1 No existe"}}})
	defer server.Close()
	dns := records{
		"example.com MX":        {MX: []smtp.MX{{Preference: 10, Host: "mx.example.com"}}},
		"mx.example.com A":      {Addrs: []netip.Addr{netip.MustParseAddr("8.8.4.1")}},
		"sin-correo.example MX": {MX: []smtp.MX{{}}},
	}
	direct, err := smtp.NewDirect("mta.example.org", &smtp.DirectOptions{Resolver: dns, Dialer: server, TLSConfig: server.ClientTLS()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer direct.Close()

	result, _ := direct.Send(context.Background(), &smtp.Message{
		From:    "tienda@example.org",
		To:      []smtp.Recipient{{Addr: "ana@example.com"}, {Addr: "nadie@example.com"}, {Addr: "luis@sin-correo.example"}},
		Content: smtp.Bytes([]byte("From: tienda@example.org\r\nSubject: Su pedido\r\n\r\nEn camino.\r\n")),
	})
	for _, o := range result.Recipients {
		fmt.Printf("%s: %v, %v\n", o.Addr, o.Status, o.Err)
	}
	// Output:
	// ana@example.com: accepted, <nil>
	// nadie@example.com: rejected, smtp: rcpt mx.example.com: 550 5.1.1 No existe
	// luis@sin-correo.example: rejected, smtp: resolve sin-correo.example: domain accepts no mail (null MX)
}

func ExamplePreflight() {
	server := smtptest.NewServer(&smtptest.Options{Hostname: "mx.example.com"})
	defer server.Close()
	dns := records{
		"example.com MX":             {MX: []smtp.MX{{Preference: 10, Host: "mx.example.com"}}},
		"mx.example.com A":           {Addrs: []netip.Addr{netip.MustParseAddr("8.8.4.1")}},
		"example.com TXT":            {TXT: []string{"v=spf1 ip4:8.8.4.100 -all"}},
		"_dmarc.example.com TXT":     {TXT: []string{"v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com"}},
		"_smtp._tls.example.com TXT": {TXT: []string{"v=TLSRPTv1; rua=mailto:tls@example.com"}},
		"mta.example.com A":          {Addrs: []netip.Addr{netip.MustParseAddr("8.8.4.100")}},
	}
	report, err := smtp.Preflight(context.Background(), "tienda@example.com", &smtp.PreflightOptions{
		Addrs: []netip.Addr{netip.MustParseAddr("8.8.4.100")}, LocalName: "mta.example.com",
		Resolver: dns, Dialer: server, TLSConfig: server.ClientTLS(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings {
		fmt.Println(f.Check, f.Status)
	}
	fmt.Println(report.Findings[2].Advice)
	// Output:
	// MX ok
	// SPF ok
	// DKIM failure
	// DMARC ok
	// DMARC warning
	// PTR failure
	// EHLO ok
	// STARTTLS ok
	// MTA-STS warning
	// TLS-RPT ok
	// sign with smtp.DKIM, and give its keys here
}

func ExampleTLSReports() {
	var reports smtp.TLSReports
	_ = smtp.DirectOptions{ReportTLS: reports.Add}

	reports.Add(smtp.TLSResult{PolicyDomain: "example.com", PolicyType: "sts", Host: "mx.example.com", Failure: "certificate-expired"})
	taken, err := reports.Take("Tienda", "postmaster@example.org")
	fmt.Println(len(taken), taken[0].Domain, err)
	// Output: 1 example.com <nil>
}
