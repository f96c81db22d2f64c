package smtp_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

func TestResolverAnswers(t *testing.T) {
	t.Parallel()
	z := newZone(t,
		"example.com. 60 IN MX 10 mx1.example.com.",
		"example.com. 60 IN MX 20 MX2.Example.Com.",
		`example.com. 60 IN TXT "v=spf1 " "a \"b\" \\ \195\177"`,
		"mx1.example.com. 60 IN A 192.0.2.1",
		"mx1.example.com. 60 IN AAAA 2001:db8::1",
		"alias.example.com. 30 IN CNAME mx1.example.com.",
		"_25._tcp.mx1.example.com. 60 IN TLSA 3 1 1 "+strings.Repeat("ab", 32),
		"1.2.0.192.in-addr.arpa. 60 IN PTR mx1.example.com.",
		"null.example.com. 60 IN MX 0 .",
		"servfail.example.com. 60 IN A 192.0.2.9",
		"unsigned.example.com. 60 IN A 192.0.2.8",
	)
	z.broken = []string{"servfail.example.com"}
	z.unsigned = []string{"unsigned.example.com"}
	r := z.resolver(t)

	tests := []struct {
		name  string
		query string
		t     smtp.RecordType
		check func(t *testing.T, a smtp.Answer)
	}{
		{"mail exchangers", "example.com", smtp.RecordMX, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []smtp.MX{{Preference: 10, Host: "mx1.example.com"}, {Preference: 20, Host: "mx2.example.com"}}, a.MX)
			require.True(t, a.Authentic)
			require.Equal(t, time.Minute, a.TTL.Round(time.Second))
		}},
		{"null MX", "null.example.com", smtp.RecordMX, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []smtp.MX{{}}, a.MX)
		}},
		{"strings of a TXT record joined, octets as they are", "example.com", smtp.RecordTXT, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []string{`v=spf1 a "b" \ ñ`}, a.TXT)
		}},
		{"final dot and capitals", "MX1.Example.com.", smtp.RecordA, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, a.Addrs)
			require.Equal(t, "mx1.example.com", a.Canonical)
		}},
		{"alias followed", "alias.example.com", smtp.RecordAAAA, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []netip.Addr{netip.MustParseAddr("2001:db8::1")}, a.Addrs)
			require.Equal(t, "mx1.example.com", a.Canonical)
			require.LessOrEqual(t, a.TTL, 30*time.Second)
		}},
		{"alias itself", "alias.example.com", smtp.RecordCNAME, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []string{"mx1.example.com"}, a.Names)
			require.Equal(t, "alias.example.com", a.Canonical)
		}},
		{"TLSA", "_25._tcp.mx1.example.com", smtp.RecordTLSA, func(t *testing.T, a smtp.Answer) {
			require.Len(t, a.TLSA, 1)
			require.Equal(t, "3 1 1 "+strings.Repeat("ab", 32), a.TLSA[0].String())
		}},
		{"name of an address", "1.2.0.192.in-addr.arpa", smtp.RecordPTR, func(t *testing.T, a smtp.Answer) {
			require.Equal(t, []string{"mx1.example.com"}, a.Names)
		}},
		{"no such name is an answer", "nothing.example.com", smtp.RecordMX, func(t *testing.T, a smtp.Answer) {
			require.True(t, a.Missing)
			require.Empty(t, a.MX)
		}},
		{"no such record is another", "mx1.example.com", smtp.RecordMX, func(t *testing.T, a smtp.Answer) {
			require.False(t, a.Missing)
			require.Empty(t, a.MX)
		}},
		{"unsigned", "unsigned.example.com", smtp.RecordA, func(t *testing.T, a smtp.Answer) {
			require.Len(t, a.Addrs, 1)
			require.False(t, a.Authentic)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := r.Lookup(t.Context(), test.query, test.t)
			require.NoError(t, err)
			test.check(t, a)
		})
	}

	t.Run("SERVFAIL is an error, a temporary one", func(t *testing.T) {
		_, err := r.Lookup(t.Context(), "servfail.example.com", smtp.RecordA)
		var dnsErr *net.DNSError
		require.ErrorAs(t, err, &dnsErr)
		require.True(t, dnsErr.IsTemporary)
		require.False(t, dnsErr.IsNotFound)
	})
	t.Run("a name that no DNS can hold does not exist", func(t *testing.T) {
		for _, name := range []string{"", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 127) + "com"} {
			a, err := r.Lookup(t.Context(), name, smtp.RecordA)
			require.NoError(t, err)
			require.True(t, a.Missing)
		}
	})
}

func TestResolverFallsBackToTCP(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	z.large = true
	for i := range 100 {
		z.records = append(z.records, &dns.TXT{
			Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60},
			Txt: []string{strings.Repeat(string(rune('a'+i%26)), 200)},
		})
	}
	a, err := z.resolver(t).Lookup(t.Context(), "example.com", smtp.RecordTXT)
	require.NoError(t, err)
	require.Len(t, a.TXT, 100)
}

// A resolver elsewhere can be spoken for by anyone on the way to it.
func TestResolverBelievesADOfLoopbackOnly(t *testing.T) {
	t.Parallel()
	var outside netip.Addr
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			outside, _ = netip.AddrFromSlice(n.IP.To4())
		}
	}
	if !outside.IsValid() {
		outside = netip.MustParseAddr("127.0.0.1") // then only the option is tested
	}
	z := newZone(t, "example.com. 60 IN MX 10 mx.example.com.")
	udp, err := net.ListenPacket("udp", netip.AddrPortFrom(outside, 0).String())
	require.NoError(t, err)
	server := &dns.Server{PacketConn: udp, Handler: z}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = udp.Close(); <-done })

	for _, trust := range []bool{false, true} {
		r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{udp.LocalAddr().String()}, DangerouslyTrustAD: trust})
		require.NoError(t, err)
		a, err := r.Lookup(t.Context(), "example.com", smtp.RecordMX)
		require.NoError(t, err)
		require.Len(t, a.MX, 1)
		require.Equal(t, trust || outside.IsLoopback(), a.Authentic)
	}
}

func TestResolverAsksTheNextServer(t *testing.T) {
	t.Parallel()
	bad := newZone(t)
	bad.broken = []string{"."}
	good := newZone(t, "example.com. 60 IN A 192.0.2.1")
	r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{bad.serve(t), good.serve(t)}, CacheSize: -1})
	require.NoError(t, err)
	a, err := r.Lookup(t.Context(), "example.com", smtp.RecordA)
	require.NoError(t, err)
	require.Len(t, a.Addrs, 1)
	require.EqualValues(t, 1, bad.queries.Load())
}

func TestResolverIgnoresForeignDatagrams(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer udp.Close()
	go func() {
		buf := make([]byte, 4096)
		n, from, err := udp.ReadFrom(buf)
		if err != nil {
			return
		}
		query := new(dns.Msg)
		if query.Unpack(buf[:n]) != nil {
			return
		}
		send := func(change func(m *dns.Msg), addr string) {
			m := new(dns.Msg).SetReply(query)
			rr, _ := dns.NewRR("example.com. 60 IN A " + addr)
			m.Answer = []dns.RR{rr}
			change(m)
			packet, _ := m.Pack()
			_, _ = udp.WriteTo(packet, from)
		}
		_, _ = udp.WriteTo([]byte("noise"), from)
		send(func(m *dns.Msg) { m.Id++ }, "192.0.2.66")
		send(func(m *dns.Msg) { m.Question[0].Name = "example.org." }, "192.0.2.66")
		send(func(m *dns.Msg) { m.Response = false }, "192.0.2.66")
		send(func(*dns.Msg) {}, "192.0.2.1")
	}()
	r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{udp.LocalAddr().String()}})
	require.NoError(t, err)
	a, err := r.Lookup(t.Context(), "example.com", smtp.RecordA)
	require.NoError(t, err)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, a.Addrs)
}

func TestResolverEndsWithTheContext(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{silent.LocalAddr().String()}, Timeout: time.Minute})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	begun := time.Now()
	_, err = r.Lookup(ctx, "example.com", smtp.RecordA)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(begun), 5*time.Second)
}

func TestNewResolverRefuses(t *testing.T) {
	t.Parallel()
	_, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{"dns.example.com", "192.0.2.1:x"}, Timeout: -1, Attempts: -1})
	for _, fault := range []string{`"dns.example.com"`, `"192.0.2.1:x"`, "Timeout", "Attempts"} {
		require.ErrorContains(t, err, fault)
	}
}

// scripted is a Resolver that answers from a function, and counts.
type scripted struct {
	mu     sync.Mutex // guards asked
	asked  int
	answer func(ctx context.Context, name string, t smtp.RecordType) (smtp.Answer, error)
}

func (s *scripted) Lookup(ctx context.Context, name string, t smtp.RecordType) (smtp.Answer, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	return s.answer(ctx, name, t)
}

func TestCacheKeepsAnswersForTheirTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := &scripted{answer: func(context.Context, string, smtp.RecordType) (smtp.Answer, error) {
			return smtp.Answer{TXT: []string{"a"}, TTL: time.Minute}, nil
		}}
		c := smtp.NewCache(next, 2)
		for range 3 {
			_, err := c.Lookup(t.Context(), "Example.com.", smtp.RecordTXT)
			require.NoError(t, err)
			time.Sleep(25 * time.Second)
		}
		require.Equal(t, 1, next.asked)
		a, err := c.Lookup(t.Context(), "example.com", smtp.RecordTXT)
		require.NoError(t, err)
		require.Equal(t, time.Minute, a.TTL)
		require.Equal(t, 2, next.asked)
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	next := &scripted{answer: func(context.Context, string, smtp.RecordType) (smtp.Answer, error) {
		return smtp.Answer{TTL: time.Hour}, nil
	}}
	for _, size := range []int{1, 5, 100} {
		c := smtp.NewCache(next, size)
		for i := range 3 * size {
			_, err := c.Lookup(t.Context(), strings.Repeat("a", i+1), smtp.RecordA)
			require.NoError(t, err)
			require.LessOrEqual(t, c.Len(), size)
		}
		require.Equal(t, size, c.Len())
	}
}

func TestCacheAsksOnceAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := &scripted{answer: func(ctx context.Context, _ string, _ smtp.RecordType) (smtp.Answer, error) {
			select {
			case <-ctx.Done():
				return smtp.Answer{}, ctx.Err()
			case <-time.After(time.Second):
				return smtp.Answer{}, nil // TTL zero: kept for nobody who comes later
			}
		}}
		c := smtp.NewCache(next, 10)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				_, err := c.Lookup(t.Context(), "example.com", smtp.RecordA)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Equal(t, 1, next.asked)

		// Who asks first and gives up takes nobody along.
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			_, err := c.Lookup(ctx, "example.com", smtp.RecordA)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		all.Go(func() {
			_, err := c.Lookup(t.Context(), "example.com", smtp.RecordA)
			require.NoError(t, err)
		})
		synctest.Wait()
		cancel()
		all.Wait()
		require.Equal(t, 3, next.asked)
	})
}
