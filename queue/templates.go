package queue

import (
	"sync"

	"github.com/franqueo/franqueo/tracking"
)

// templatesSize bounds the stored size of the templates that are kept in memory.
const templatesSize = 64 << 20

// templates keeps those that were used of late: a campaign of a million renders
// one, while transactional mail may bring a new one each time.
type templates struct {
	mu         sync.Mutex // guards all below
	young, old map[Hash]sizedTemplate
	size       int // of young
}

type sizedTemplate struct {
	*tracking.Template
	size int
}

func (c *templates) load(hash Hash) *tracking.Template {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.young[hash]; ok {
		return t.Template
	}
	t, ok := c.old[hash]
	if ok {
		c.put(hash, t)
	}
	return t.Template
}

// unmarshal reads a stored template and keeps it in memory.
func (q *Queue) unmarshal(hash Hash, stored []byte) (*tracking.Template, error) {
	t, err := q.tracker.UnmarshalTemplate(stored)
	if err == nil {
		q.templates.store(hash, t, len(stored))
	}
	return t, err
}

func (c *templates) store(hash Hash, t *tracking.Template, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(hash, sizedTemplate{t, size})
}

// put adds to the young half; when that is full, it becomes the old half, and what
// was old and has not been used since is dropped.
func (c *templates) put(hash Hash, t sizedTemplate) {
	if c.young == nil || c.size+t.size > templatesSize/2 {
		c.old, c.young, c.size = c.young, map[Hash]sizedTemplate{}, 0
	}
	if _, known := c.young[hash]; !known {
		c.young[hash] = t
		c.size += t.size
	}
}
