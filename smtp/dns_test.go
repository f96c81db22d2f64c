package smtp_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/franqueo/franqueo/smtp"
)

// zone is a recursive resolver on loopback that knows what its records say. It
// sets the AD bit, as one that validates does.
type zone struct {
	records  []dns.RR
	broken   []string // names below which it answers SERVFAIL
	unsigned []string // names below which nothing is authentic
	large    bool     // answers fit in no datagram
	// negativeTTL is for how many seconds the absence of a record may be kept.
	negativeTTL int
	queries     atomic.Int64
}

func newZone(t testing.TB, records ...string) *zone {
	t.Helper()
	z := new(zone)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		require.NoError(t, err, text)
		z.records = append(z.records, rr)
	}
	return z
}

// serve starts the resolver and returns its address.
func (z *zone) serve(t testing.TB) string {
	t.Helper()
	tcp, udp := listenBoth(t)
	for _, s := range []*dns.Server{{Listener: tcp, Handler: z}, {PacketConn: udp, Handler: z}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		done := make(chan struct{})
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	return tcp.Addr().String()
}

// listenBoth finds a port that is free for TCP and for UDP.
func listenBoth(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NoError(t, tcp.Close())
	}
}

// resolver starts z and returns a Resolver that asks it.
func (z *zone) resolver(t testing.TB) smtp.Resolver {
	t.Helper()
	r, err := smtp.NewResolver(&smtp.ResolverOptions{Servers: []string{z.serve(t)}, Timeout: 10 * time.Second})
	require.NoError(t, err)
	return r
}

func (z *zone) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	z.queries.Add(1)
	reply := z.answer(query)
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && z.large {
		reply.Truncated, reply.Answer = true, nil
	}
	_ = w.WriteMsg(reply)
}

func (z *zone) answer(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	reply.RecursionAvailable, reply.AuthenticatedData, reply.Compress = true, true, true
	q := query.Question[0]
	owner, exists := q.Name, false
	for range 10 {
		if below(owner, z.broken) {
			reply.Rcode = dns.RcodeServerFailure
			return reply
		}
		reply.AuthenticatedData = reply.AuthenticatedData && !below(owner, z.unsigned)
		var alias string
		for _, rr := range z.records {
			h := rr.Header()
			exists = exists || dns.IsSubDomain(owner, h.Name)
			if !strings.EqualFold(h.Name, owner) {
				continue
			}
			c, isAlias := rr.(*dns.CNAME)
			if h.Rrtype == q.Qtype || isAlias {
				reply.Answer = append(reply.Answer, rr)
			}
			if isAlias && q.Qtype != dns.TypeCNAME {
				alias = c.Target
			}
		}
		if alias == "" {
			break
		}
		owner, exists = alias, false
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if z.negativeTTL > 0 {
		soa, _ := dns.NewRR(fmt.Sprintf(". %d IN SOA . . 1 1 1 1 %[1]d", z.negativeTTL))
		reply.Ns = append(reply.Ns, soa)
	}
	return reply
}

func below(name string, parents []string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool { return dns.IsSubDomain(dns.Fqdn(parent), name) })
}
