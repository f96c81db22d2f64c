package smtp

import (
	"context"
	"sync"
	"time"
)

// dnsCache keeps the answers of a resolver for their TTL, and asks equal
// questions that come at the same time once. Failures are not kept.
type dnsCache struct {
	next Resolver
	size int

	mu      sync.Mutex // guards what follows
	answers map[dnsQuestion]dnsEntry
	asking  map[dnsQuestion]*dnsFlight
}

type dnsQuestion struct {
	name string
	t    RecordType
}

type dnsEntry struct {
	answer  Answer
	expires time.Time
}

// dnsFlight is a question on its way. done is closed after answer and err are set.
type dnsFlight struct {
	done   chan struct{}
	answer Answer
	err    error
	// abandoned says that whoever asked did not wait for the answer.
	abandoned bool
}

func newDNSCache(next Resolver, size int) *dnsCache {
	return &dnsCache{
		next:    next,
		size:    size,
		answers: make(map[dnsQuestion]dnsEntry),
		asking:  make(map[dnsQuestion]*dnsFlight),
	}
}

func (c *dnsCache) Lookup(ctx context.Context, name string, t RecordType) (Answer, error) {
	q := dnsQuestion{hostName(name), t}
	for {
		answer, flight, first := c.find(q)
		switch {
		case flight == nil:
			return answer, nil
		case first:
			return c.ask(ctx, q, flight)
		}
		select {
		case <-ctx.Done():
			return Answer{}, lookupError(name, t, "", context.Cause(ctx))
		case <-flight.done:
		}
		if !flight.abandoned {
			return flight.answer, flight.err
		}
	}
}

// find returns the kept answer, or else the flight to wait for; first says that
// the caller is the one who has to ask.
func (c *dnsCache) find(q dnsQuestion) (answer Answer, flight *dnsFlight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.answers[q]; ok && time.Now().Before(e.expires) {
		e.answer.TTL = time.Until(e.expires)
		return e.answer, nil, false
	}
	if flight, ok := c.asking[q]; ok {
		return Answer{}, flight, false
	}
	flight = &dnsFlight{done: make(chan struct{})}
	c.asking[q] = flight
	return Answer{}, flight, true
}

func (c *dnsCache) ask(ctx context.Context, q dnsQuestion, flight *dnsFlight) (Answer, error) {
	// The defer holds also when the resolver panics: nobody waits forever.
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.asking, q)
		if !flight.abandoned && flight.err == nil && flight.answer.TTL > 0 {
			c.evict()
			c.answers[q] = dnsEntry{flight.answer, time.Now().Add(flight.answer.TTL)}
		}
		close(flight.done)
	}()
	flight.abandoned = true
	flight.answer, flight.err = c.next.Lookup(ctx, q.name, q.t)
	flight.abandoned = flight.err != nil && ctx.Err() != nil
	return flight.answer, flight.err
}

// evict makes room for one answer: it looks at a few of those that the map
// offers for an expired one, and then takes what comes.
func (c *dnsCache) evict() {
	now, looked := time.Now(), 0
	for q, e := range c.answers {
		if len(c.answers) < c.size {
			return
		}
		if looked++; looked >= min(8, c.size) || now.After(e.expires) {
			delete(c.answers, q)
		}
	}
}
