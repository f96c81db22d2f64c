package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// stub asks recursive resolvers, without a cache.
type stub struct {
	servers  []dnsServer
	timeout  time.Duration
	attempts int
}

type dnsServer struct {
	addr    string // host:port
	trusted bool   // its AD bit counts
}

const resolvConf = "/etc/resolv.conf"

func newStub(opts *ResolverOptions) (*stub, error) {
	var o ResolverOptions
	if opts != nil {
		o = *opts
	}
	var errs []error
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("smtp: ResolverOptions.Timeout is %v; use zero or more", o.Timeout))
	}
	if o.Attempts < 0 {
		errs = append(errs, fmt.Errorf("smtp: ResolverOptions.Attempts is %d; use zero or more", o.Attempts))
	}
	servers, err := dnsServers(o.Servers)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &stub{timeout: o.Timeout, attempts: o.Attempts}
	for _, addr := range servers {
		s.servers = append(s.servers, dnsServer{addr.String(), o.DangerouslyTrustAD || addr.Addr().Unmap().IsLoopback()})
	}
	if s.timeout == 0 {
		s.timeout = 3 * time.Second
	}
	if s.attempts == 0 {
		s.attempts = 2
	}
	return s, nil
}

// dnsServers parses the addresses of resolvers; none means the system's.
func dnsServers(list []string) ([]netip.AddrPort, error) {
	if len(list) == 0 {
		conf, err := dns.ClientConfigFromFile(resolvConf)
		if err != nil {
			return nil, fmt.Errorf("smtp: set ResolverOptions.Servers, the system's resolvers are not known: %w", err)
		}
		list = conf.Servers
	}
	var servers []netip.AddrPort
	var errs []error
	for _, s := range list {
		addr, err := netip.ParseAddrPort(s)
		if err != nil {
			ip, ipErr := netip.ParseAddr(s)
			addr, err = netip.AddrPortFrom(ip, 53), ipErr
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("smtp: resolver %q is not an IP address, with or without a port", s))
		}
		servers = append(servers, addr)
	}
	if len(list) == 0 {
		errs = append(errs, fmt.Errorf("smtp: set ResolverOptions.Servers, %s names no resolver", resolvConf))
	}
	return servers, errors.Join(errs...)
}

func (s *stub) Lookup(ctx context.Context, name string, t RecordType) (Answer, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return Answer{Missing: true, Canonical: hostName(name)}, nil // the DNS cannot hold it
	}
	var failure error
	for range s.attempts {
		for _, server := range s.servers {
			answer, err := s.ask(ctx, server, name, t)
			if err == nil {
				return answer, nil
			}
			failure = lookupError(name, t, server.addr, err)
			if ctx.Err() != nil {
				return Answer{}, failure
			}
		}
	}
	return Answer{}, failure
}

// ask puts one question to one server.
func (s *stub) ask(ctx context.Context, server dnsServer, name string, t RecordType) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	query := dnsQuery(name, t)
	reply, err := exchange(ctx, "udp", server.addr, query)
	if err == nil && reply.Truncated {
		reply, err = exchange(ctx, "tcp", server.addr, query)
	}
	if err != nil {
		return Answer{}, err
	}
	answer, err := readAnswer(query, reply)
	answer.Authentic = answer.Authentic && server.trusted
	return answer, err
}

// dnsQuery asks for validated data: the DO bit of EDNS0 (RFC 3225), and the AD
// bit (RFC 6840, section 5.7).
func dnsQuery(name string, t RecordType) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(strings.ToLower(name)), uint16(t))
	q.SetEdns0(maxUDPAnswer, true)
	q.AuthenticatedData = true
	return q
}

// exchange sends one query over a connection of its own, whose source port the
// system draws at random, and waits for the reply to it.
func exchange(ctx context.Context, network, addr string, query *dns.Msg) (*dns.Msg, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	conn := &dns.Conn{Conn: c, UDPSize: maxUDPAnswer}
	if err := conn.WriteMsg(query); err != nil {
		return nil, causeOf(ctx, err)
	}
	for {
		packet, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, causeOf(ctx, err)
		}
		reply := new(dns.Msg)
		switch {
		case err == nil && reply.Unpack(packet) == nil && answers(query, reply):
			return reply, nil
		case network == "tcp":
			return nil, errors.New("malformed answer")
		}
		// A datagram that does not answer the question is noise or a forgery.
	}
}

// causeOf says why ctx ended, where that is what broke the connection.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// answers reports whether reply belongs to query (RFC 5452, section 9.1).
func answers(query, reply *dns.Msg) bool {
	if !reply.Response || reply.Id != query.Id || len(reply.Question) != 1 {
		return false
	}
	q, r := query.Question[0], reply.Question[0]
	return q.Qtype == r.Qtype && q.Qclass == r.Qclass && strings.EqualFold(q.Name, r.Name)
}

// readAnswer takes from a reply what answers the query. The AD bit is reported
// as the server set it.
func readAnswer(query, reply *dns.Msg) (Answer, error) {
	switch reply.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return Answer{}, errServfail
	default:
		return Answer{}, fmt.Errorf("resolver answers %s", dns.RcodeToString[reply.Rcode])
	}
	q := query.Question[0]
	owner, ttl := followAliases(reply.Answer, q)
	a := Answer{
		Missing:   reply.Rcode == dns.RcodeNameError,
		Authentic: reply.AuthenticatedData,
		Canonical: hostName(owner),
	}
	found := 0
	for _, rr := range reply.Answer {
		h := rr.Header()
		if h.Rrtype != q.Qtype || h.Class != q.Qclass || !strings.EqualFold(h.Name, owner) || found == maxRecords {
			continue
		}
		a.add(rr)
		ttl = min(ttl, h.Ttl)
		found++
	}
	a.TTL = min(seconds(ttl), maxAnswerTTL)
	if found == 0 {
		a.TTL = min(a.TTL, negativeTTL(reply.Ns))
	}
	return a, nil
}

// followAliases returns the name at the end of the chain of CNAMEs that starts
// at the question, and the lowest TTL on the way.
func followAliases(rrs []dns.RR, q dns.Question) (owner string, ttl uint32) {
	owner, ttl = q.Name, 1<<31-1
	for range maxAliases {
		next := ""
		for _, rr := range rrs {
			if c, ok := rr.(*dns.CNAME); ok && q.Qtype != dns.TypeCNAME && strings.EqualFold(c.Hdr.Name, owner) {
				next, ttl = c.Target, min(ttl, c.Hdr.Ttl)
				break
			}
		}
		if next == "" {
			break
		}
		owner = next
	}
	return owner, ttl
}

// negativeTTL is how long the absence of a record may be kept (RFC 2308, section 5).
func negativeTTL(authority []dns.RR) time.Duration {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(seconds(min(soa.Minttl, soa.Hdr.Ttl)), maxNegativeTTL)
		}
	}
	return 0
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

func (a *Answer) add(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.A:
		a.addAddr(rr.A)
	case *dns.AAAA:
		a.addAddr(rr.AAAA)
	case *dns.MX:
		a.MX = append(a.MX, MX{rr.Preference, hostName(rr.Mx)})
	case *dns.TXT:
		a.TXT = append(a.TXT, unescapeTXT(strings.Join(rr.Txt, "")))
	case *dns.TLSA:
		a.TLSA = append(a.TLSA, newTLSA(rr))
	case *dns.PTR:
		a.Names = append(a.Names, hostName(rr.Ptr))
	case *dns.CNAME:
		a.Names = append(a.Names, hostName(rr.Target))
	}
}

func (a *Answer) addAddr(ip net.IP) {
	if addr, ok := netip.AddrFromSlice(ip); ok {
		a.Addrs = append(a.Addrs, addr)
	}
}

// hostName is a domain name of the DNS as mail uses it: lower case, no final dot.
func hostName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// unescapeTXT undoes the presentation format in which the dns package keeps
// character strings: \DDD and \x.
func unescapeTXT(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			b = append(b, s[i+1])
			i++
		}
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
