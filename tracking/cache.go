package tracking

import "sync"

// cache remembers values by name, for what few names make most requests ask. When
// it is full it forgets all. It is safe for concurrent use.
type cache[K comparable, V any] struct {
	mu    sync.RWMutex // guards known
	known map[K]V
}

// maxCache bounds the values in a cache.
const maxCache = 4096

func (c *cache[K, V]) look(name K) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.known[name]
	return v, ok
}

// keep remembers a value. It retains name.
func (c *cache[K, V]) keep(name K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCache {
		c.known = make(map[K]V)
	}
	c.known[name] = v
}
