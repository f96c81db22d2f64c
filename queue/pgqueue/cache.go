package pgqueue

import (
	"sync"
	"time"
)

// cache knows the numbers of rows that are named by K. What it says is so while it
// says it: the sweep deletes no row that was used within usedFor.
type cache[K comparable] struct {
	mu      sync.Mutex // guards numbers
	numbers map[K]numbered
}

type numbered struct {
	number int64
	since  time.Time
}

const (
	// trusted is how long a number is taken from the cache; then the row is marked as
	// used again.
	trusted = 30 * time.Minute
	// usedFor is how long a row is kept for those who may have its number.
	usedFor   = 2 * time.Hour
	cacheSize = 100_000
)

func (c *cache[K]) number(name K) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.numbers[name]
	return n.number, ok && time.Since(n.since) < trusted
}

// add notes a number that was marked as used after since.
func (c *cache[K]) add(name K, number int64, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.numbers) >= cacheSize {
		clear(c.numbers)
	}
	if c.numbers == nil {
		c.numbers = map[K]numbered{}
	}
	c.numbers[name] = numbered{number, since}
}
