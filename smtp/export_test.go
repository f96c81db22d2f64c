package smtp

import (
	"crypto/x509"

	"github.com/miekg/dns"
)

// What the tests of parsers and of single mechanisms need beside the exported API.

// NewCache is the cache without a stub below it.
func NewCache(next Resolver, size int) *dnsCache { return newDNSCache(next, size) }

// Len is the number of answers kept.
func (c *dnsCache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.answers)
}

// ReadReply parses a reply as it came from the network.
func ReadReply(packet []byte, name string, t RecordType) (Answer, error) {
	reply := new(dns.Msg)
	if err := reply.Unpack(packet); err != nil {
		return Answer{}, err
	}
	return readAnswer(dnsQuery(name, t), reply)
}

var (
	ParseSTSPolicy = parseSTSPolicy
	ParseSTSRecord = parseSTSRecord
	Race           = race
	Tags           = tags
)

// VerifyDANE holds a chain against the TLSA records of a host that may have the
// given names.
func VerifyDANE(records []TLSA, names []string, chain []*x509.Certificate) error {
	d := &dane{names: names}
	for _, r := range records {
		if r.usable() {
			d.records = append(d.records, r)
		}
	}
	return d.verify(chain)
}
