package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Resolver answers DNS questions. [NewResolver] makes the one that [Direct] and
// [Preflight] use by default.
//
// An implementation is safe for concurrent use.
type Resolver interface {
	// Lookup asks for the records of type t at name, a domain name in ASCII, with
	// or without the final dot, and follows aliases (CNAME).
	//
	// That a name does not exist, or has no such record, is an answer and no
	// error: an error means that nobody could tell, because the resolver did not
	// answer, answered nonsense, or could not validate what it found (SERVFAIL).
	// Delivery treats an error as temporary and never as the absence of a policy.
	Lookup(ctx context.Context, name string, t RecordType) (Answer, error)
}

// RecordType is a DNS resource record type, with its number in the DNS.
type RecordType uint16

// The record types that sending mail needs.
const (
	RecordA     RecordType = 1
	RecordCNAME RecordType = 5
	RecordPTR   RecordType = 12
	RecordMX    RecordType = 15
	RecordTXT   RecordType = 16
	RecordAAAA  RecordType = 28
	RecordTLSA  RecordType = 52
)

var recordNames = map[RecordType]string{
	RecordA: "A", RecordCNAME: "CNAME", RecordPTR: "PTR", RecordMX: "MX",
	RecordTXT: "TXT", RecordAAAA: "AAAA", RecordTLSA: "TLSA",
}

func (t RecordType) String() string {
	if name, ok := recordNames[t]; ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", uint16(t)) // RFC 3597, section 5
}

// Answer is what the DNS holds at a name. Of Addrs, MX, TXT, TLSA and Names the
// one that fits the question is set; it is empty when the name exists without
// such a record. Whoever receives an Answer must not change it.
type Answer struct {
	// Missing says that the name does not exist (NXDOMAIN).
	Missing bool
	// Authentic says that the whole answer, aliases included, was validated with
	// DNSSEC, by a resolver whose word may be trusted.
	Authentic bool
	// Canonical is the name at the end of the aliases, in lower case and without
	// final dot. Without an alias it is the name asked for.
	Canonical string
	// TTL is for how long the answer may be kept.
	TTL time.Duration

	Addrs []netip.Addr // A, AAAA
	MX    []MX         // as the DNS gave them, unsorted
	TXT   []string     // the strings of each record joined
	TLSA  []TLSA
	Names []string // PTR, CNAME; without final dot
}

// MX is a mail exchanger record.
type MX struct {
	Preference uint16
	// Host is in lower case and without final dot. It is empty for the root,
	// which stands for "no mail" (RFC 7505).
	Host string
}

// The limits of what the resolver takes from the network.
const (
	maxUDPAnswer    = 1232 // octets; more comes by TCP, where 65,535 is the protocol's limit
	maxRecords      = 128  // of an answer, the rest is ignored
	maxAliases      = 10   // CNAMEs in a row
	maxAnswerTTL    = time.Hour
	maxNegativeTTL  = 5 * time.Minute
	defaultCacheMax = 4096
)

// ResolverOptions tunes [NewResolver]. The zero value is ready for use where
// /etc/resolv.conf exists.
type ResolverOptions struct {
	// Servers are the recursive resolvers, each "address" or "address:port", in
	// the order in which they are asked. Empty means those of /etc/resolv.conf.
	Servers []string
	// DangerouslyTrustAD takes the AD bit ("this is validated") from any server.
	// Without it only servers on a loopback address are believed, because anyone
	// on the path to another one can set the bit. Set it only where that path is
	// protected. A server on loopback that merely forwards should not be used
	// for DANE: the bit is then anyone's on its path.
	DangerouslyTrustAD bool
	// Timeout bounds the wait for one server's answer. Zero means 3 seconds.
	Timeout time.Duration
	// Attempts is how often the list of servers is tried. Zero means 2.
	Attempts int
	// CacheSize is the number of answers kept. Zero means 4096; negative keeps none.
	CacheSize int
}

// NewResolver returns a stub resolver: it asks recursive resolvers, by UDP and
// where an answer does not fit by TCP, wants DNSSEC validated by them, and keeps
// answers as long as their TTL allows, up to an hour. Concurrent equal questions
// are asked once.
func NewResolver(opts *ResolverOptions) (Resolver, error) {
	s, err := newStub(opts)
	if err != nil {
		return nil, err
	}
	size := defaultCacheMax
	if opts != nil && opts.CacheSize != 0 {
		size = opts.CacheSize
	}
	if size < 0 {
		return s, nil
	}
	return newDNSCache(s, size), nil
}

// errServfail is what a resolver answers when it cannot find out, or when what
// it found does not validate.
var errServfail = errors.New("server failure (SERVFAIL): the zone is broken, out of reach, or fails DNSSEC validation")

// lookupError gives a failed lookup the standard library's type, so that callers
// find it with errors.As.
func lookupError(name string, t RecordType, server string, err error) error {
	var timeout net.Error
	return &net.DNSError{
		UnwrapErr:   err,
		Err:         "lookup of " + t.String() + ": " + err.Error(),
		Name:        name,
		Server:      server,
		IsTimeout:   errors.As(err, &timeout) && timeout.Timeout(),
		IsTemporary: true,
	}
}
