package natsqueue

import (
	"context"
	"maps"
	"sync"

	"github.com/franqueo/franqueo/queue"
)

// wakes gathers the flows that other processes have put jobs into, for those who
// listen. The zero value is ready for use.
type wakes struct {
	mu        sync.Mutex // guards all below
	fresh     map[queue.Flow]struct{}
	listeners map[*listener]struct{}
}

type listener struct {
	flows  map[queue.Flow]struct{} // guarded by the mutex of wakes
	signal chan struct{}
}

// add notes a flow. It is cheap: it is called for each job.
func (w *wakes) add(f queue.Flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.listeners) == 0 {
		return
	}
	if w.fresh == nil {
		w.fresh = map[queue.Flow]struct{}{}
	}
	w.fresh[f] = struct{}{}
}

// tell hands what was added to the listeners.
func (w *wakes) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fresh) == 0 {
		return
	}
	for l := range w.listeners {
		maps.Copy(l.flows, w.fresh)
		select {
		case l.signal <- struct{}{}:
		default:
		}
	}
	clear(w.fresh)
}

func (w *wakes) listen() *listener {
	l := &listener{flows: map[queue.Flow]struct{}{}, signal: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listeners == nil {
		w.listeners = map[*listener]struct{}{}
	}
	w.listeners[l] = struct{}{}
	return l
}

func (w *wakes) leave(l *listener) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.listeners, l)
}

// heard returns what was told, and forgets it.
func (w *wakes) heard(l *listener) map[queue.Flow]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	flows := l.flows
	l.flows = map[queue.Flow]struct{}{}
	return flows
}

// Wake tells f of the flows that other processes put jobs into, as soon as this one
// has read of it.
func (s *Store) Wake(ctx context.Context, f func(queue.Flow)) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	l := s.wakes.listen()
	defer s.wakes.leave(l)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.closing:
			return queue.ErrClosed
		case <-s.ended:
			return s.named("wake", s.fault())
		case <-l.signal:
			for flow := range s.wakes.heard(l) {
				f(flow)
			}
		}
	}
}
