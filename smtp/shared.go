package smtp

import (
	"context"
	"sync"
)

// shared lets those who want the same thing at the same time wait for one who
// gets it. The zero value is ready for use.
type shared[K comparable, V any] struct {
	mu      sync.Mutex // guards flights
	flights map[K]*errand[V]
}

// errand is somebody's attempt to get something. done is closed after the rest
// is set.
type errand[V any] struct {
	done      chan struct{}
	value     V
	err       error
	abandoned bool // whoever went gave up: go yourself
}

// do calls get, or waits for the call that is under way for the same key. A call
// that fails because its own context ends is nobody else's failure.
func (s *shared[K, V]) do(ctx context.Context, key K, get func() (V, error)) (V, error) {
	for {
		e, mine := s.join(key)
		if mine {
			s.run(ctx, key, e, get)
			return e.value, e.err
		}
		select {
		case <-ctx.Done():
			return *new(V), context.Cause(ctx)
		case <-e.done:
		}
		if !e.abandoned {
			return e.value, e.err
		}
	}
}

func (s *shared[K, V]) join(key K) (e *errand[V], mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.flights[key]; ok {
		return e, false
	}
	if s.flights == nil {
		s.flights = make(map[K]*errand[V])
	}
	e = &errand[V]{done: make(chan struct{}), abandoned: true}
	s.flights[key] = e
	return e, true
}

// run gets the value. Nobody waits forever, also where get panics.
func (s *shared[K, V]) run(ctx context.Context, key K, e *errand[V], get func() (V, error)) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.flights, key)
		close(e.done)
	}()
	e.value, e.err = get()
	e.abandoned = e.err != nil && ctx.Err() != nil
}
