package sqlitequeue

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"fmt"
	"sync"

	"github.com/franqueo/franqueo/queue"
)

// templates notes under which number a template is stored. Whoever asks for a
// template has seen its hash in a job, so it is nearly always known here; if not,
// all hashes of the file are read.
type templates struct {
	mu      sync.Mutex // guards numbers
	numbers map[queue.Hash]int64
}

func (t *templates) number(hash queue.Hash) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.numbers[hash]
	return n, ok
}

func (t *templates) add(hash queue.Hash, number int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.numbers) >= cacheSize {
		clear(t.numbers)
	}
	if t.numbers == nil {
		t.numbers = map[queue.Hash]int64{}
	}
	t.numbers[hash] = number
}

// Template returns the stored template.
func (s *Store) Template(ctx context.Context, hash queue.Hash) (content []byte, err error) {
	err = s.read(ctx, func(c *conn) error {
		if n, ok := s.templates.number(hash); ok {
			// It can have been swept meanwhile, and its number be another's.
			if content, err = c.template(n, hash); err == nil {
				return nil
			}
		}
		n, err := c.findTemplate(hash)
		if err == nil {
			content, err = c.template(n, hash)
		}
		if err == nil {
			s.templates.add(hash, n)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

func (c *conn) template(n int64, hash queue.Hash) (content []byte, err error) {
	found := false
	err = c.query(context.Background(), func(v []driver.Value) error {
		content, found = blob(v[0]), true
		return nil
	}, "SELECT content FROM content WHERE template = ?", n)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%w: template %x", queue.ErrNotFound, hash[:])
	case sha256.Sum256(content) != hash:
		return nil, fmt.Errorf("%w: template %x has changed on disk", queue.ErrCorrupt, hash[:])
	}
	return content, nil
}

func (c *conn) findTemplate(hash queue.Hash) (int64, error) {
	n, err := c.number("SELECT max(id) FROM template WHERE hash = ?", hash[:])
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: template %x", queue.ErrNotFound, hash[:])
	}
	return n, err
}

// remember notes the number of a template that the file has. Unlike what readers
// note, it is never out of date: the sweep forgets it.
func (w *writer) remember(hash queue.Hash, n int64) {
	if len(w.templates) >= cacheSize {
		clear(w.templates)
	}
	w.templates[hash] = n
}

func (w *writer) addTemplate(hash queue.Hash, content []byte) (int64, error) {
	n, err := w.insert("INSERT INTO template (hash) VALUES (?)", hash[:])
	if err == nil {
		_, err = w.exec("INSERT INTO content (template, content) VALUES (?, ?)", n, filled(content))
	}
	return n, err
}
