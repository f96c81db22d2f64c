package smtp

import (
	"context"
	"sync"
	"time"
)

// dnsCache keeps the answers of a resolver for their TTL, and asks equal
// questions that come at the same time once. Failures are not kept.
type dnsCache struct {
	next   Resolver
	size   int
	asking shared[dnsQuestion, Answer]

	mu      sync.Mutex // guards answers
	answers map[dnsQuestion]dnsEntry
}

type dnsQuestion struct {
	name string
	t    RecordType
}

type dnsEntry struct {
	answer  Answer
	expires time.Time
}

func newDNSCache(next Resolver, size int) *dnsCache {
	return &dnsCache{next: next, size: size, answers: make(map[dnsQuestion]dnsEntry)}
}

func (c *dnsCache) Lookup(ctx context.Context, name string, t RecordType) (Answer, error) {
	q := dnsQuestion{hostName(name), t}
	if answer, ok := c.find(q); ok {
		return answer, nil
	}
	return c.asking.do(ctx, q, func() (Answer, error) {
		answer, err := c.next.Lookup(ctx, q.name, q.t)
		if err == nil && answer.TTL > 0 {
			c.keep(q, answer)
		}
		return answer, err
	})
}

func (c *dnsCache) find(q dnsQuestion) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.answers[q]
	left := time.Until(e.expires)
	e.answer.TTL = left
	return e.answer, ok && left > 0
}

// keep stores an answer. To make room it looks at a few of those that the map
// offers for an expired one, and then takes what comes.
func (c *dnsCache) keep(q dnsQuestion, answer Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, looked := time.Now(), 0
	for old, e := range c.answers {
		if len(c.answers) < c.size {
			break
		}
		if looked++; looked >= min(8, c.size) || now.After(e.expires) {
			delete(c.answers, old)
		}
	}
	c.answers[q] = dnsEntry{answer, now.Add(answer.TTL)}
}
