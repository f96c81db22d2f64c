package smtp_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/franqueo/franqueo/smtp"
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
